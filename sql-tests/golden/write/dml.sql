CREATE TABLE t (id int PRIMARY KEY, v text DEFAULT 'dflt', n int);
----
CREATE TABLE

INSERT INTO t VALUES (1, 'a', 10), (2, DEFAULT, 20), (3, 'c');
----
ERROR 42601: VALUES lists must all be the same length

INSERT INTO t (id, n) VALUES (4, 40) RETURNING *;
----
id	v	n
4	dflt	40
INSERT 0 1

INSERT INTO t (id) SELECT g FROM generate_series(5, 7) g RETURNING id, v;
----
id	v
5	dflt
6	dflt
7	dflt
INSERT 0 3

INSERT INTO t VALUES (8, 'x', 1, 2);
----
ERROR 42601: INSERT has more expressions than target columns

INSERT INTO t (id, v) VALUES (8);
----
ERROR 42601: INSERT has more target columns than expressions

INSERT INTO t (id, id) VALUES (8, 8);
----
ERROR 42701: column "id" specified more than once

INSERT INTO t (nosuch) VALUES (8);
----
ERROR 42703: column "nosuch" of relation "t" does not exist

INSERT INTO t VALUES ('abc');
----
ERROR 22P02: invalid input syntax for type integer: "abc"

INSERT INTO t VALUES (99999999999);
----
ERROR 22003: integer out of range

INSERT INTO t DEFAULT VALUES;
----
ERROR 23502: null value in column "id" of relation "t" violates not-null constraint
DETAIL: Failing row contains (null, dflt, null).

INSERT INTO t (id) VALUES (1), (100);
----
INSERT 0 2

SELECT count(*) FROM t WHERE id = 100;
----
count
1

INSERT INTO t (n, id) VALUES (90, 9) RETURNING id + n AS total, t.v, upper(v);
----
total	v	upper
99	dflt	DFLT
INSERT 0 1

UPDATE t SET n = n + 1, v = v || '!' WHERE id <= 2 RETURNING id, v, n;
----
id	v	n
1	dflt!	\N
UPDATE 1

UPDATE t SET n = DEFAULT, v = DEFAULT WHERE id = 1 RETURNING *;
----
id	v	n
1	dflt	\N
UPDATE 1

UPDATE t SET (v, n) = ('row', 7) WHERE id = 1 RETURNING *;
----
id	v	n
1	row	7
UPDATE 1

UPDATE t SET (v, n) = (SELECT 'sub', max(n) FROM t) WHERE id = 1 RETURNING *;
----
id	v	n
1	sub	90
UPDATE 1

UPDATE t SET (v, n) = (SELECT 'sub') WHERE id = 1;
----
ERROR 42601: number of columns does not match number of values

UPDATE t SET v = 'a', v = 'b';
----
ERROR 42601: multiple assignments to same column "v"

UPDATE t SET nosuch = 1;
----
ERROR 42703: column "nosuch" of relation "t" does not exist

UPDATE t AS x SET n = 0 WHERE x.id = 3 RETURNING x.*;
----
id	v	n
UPDATE 0

UPDATE t AS x SET n = 0 WHERE t.id = 3;
----
ERROR 42P01: invalid reference to FROM-clause entry for table "t"
HINT: Perhaps you meant to reference the table alias "x".

UPDATE t SET n = 'x' WHERE id = 1;
----
ERROR 22P02: invalid input syntax for type integer: "x"

CREATE TABLE s (id int, w int); INSERT INTO s VALUES (1, 100), (2, 200), (9, 900);
----
CREATE TABLE
INSERT 0 3

UPDATE t SET n = s.w FROM s WHERE s.id = t.id RETURNING t.id, t.n, s.w;
----
id	n	w
1	100	100
9	900	900
UPDATE 2

UPDATE t SET n = s.w FROM s JOIN s AS s2 ON s.id = s2.id WHERE s.id = t.id AND s2.w > 150 RETURNING t.id;
----
id
9
UPDATE 1

DELETE FROM t USING s WHERE s.id = t.id AND s.w = 900 RETURNING t.*, s.w;
----
id	v	n	w
9	dflt	900	900
DELETE 1

DELETE FROM t WHERE id IN (SELECT id FROM s) RETURNING id;
----
id
1
DELETE 1

DELETE FROM t WHERE false;
----
DELETE 0

DELETE FROM nosuch;
----
ERROR 42P01: relation "nosuch" does not exist

DELETE FROM t WHERE id = 3 RETURNING nosuch;
----
ERROR 42703: column "nosuch" does not exist

SELECT * FROM t ORDER BY id;
----
id	v	n
4	dflt	40
5	dflt	\N
6	dflt	\N
7	dflt	\N
100	dflt	\N

UPDATE t SET id = id + 1;
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (id)=(5) already exists.

SELECT id FROM t ORDER BY id;
----
id
4
5
6
7
100

UPDATE t SET id = 5 WHERE id = 6;
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (id)=(5) already exists.

WITH ins AS (INSERT INTO t VALUES (50, 'cte', 1) RETURNING *) SELECT * FROM ins;
----
id	v	n
50	cte	1

WITH moved AS (DELETE FROM t WHERE id = 50 RETURNING *) INSERT INTO s SELECT id, n FROM moved RETURNING *;
----
id	w
50	1
INSERT 0 1

WITH up AS (UPDATE t SET n = 77 WHERE id = 4 RETURNING id, n) SELECT t.n AS old, up.n AS new FROM t JOIN up USING (id);
----
old	new
40	77

WITH a AS (INSERT INTO s VALUES (60, 1) RETURNING id), b AS (INSERT INTO s SELECT id + 1, 2 FROM a RETURNING id) SELECT a.id, b.id FROM a, b;
----
id	id
60	61

WITH x AS (DELETE FROM s) SELECT * FROM x;
----
ERROR 0A000: WITH query "x" does not have a RETURNING clause

SELECT * FROM (INSERT INTO s VALUES (1, 1) RETURNING *) q;
----
ERROR 42601: syntax error at or near "INTO"

SELECT * FROM s ORDER BY id, w;
----
id	w
1	100
2	200
9	900
50	1
60	1
61	2

TRUNCATE t, s;
----
TRUNCATE TABLE

SELECT count(*) FROM t;
----
count
0

TRUNCATE nosuch;
----
ERROR 42P01: relation "nosuch" does not exist

CREATE TABLE arr (a int[], j jsonb); INSERT INTO arr VALUES ('{1,2,3}', '{"a": 1}');
----
CREATE TABLE
INSERT 0 1

-- open: assignment to a part of a column is not supported yet
UPDATE arr SET a[2] = 20, a[5] = 50 RETURNING *;
----
a	j
{1,20,3,NULL,50}	{"a": 1}
UPDATE 1

UPDATE arr SET j = jsonb_set(j, '{b}', '2') RETURNING j;
----
j
{"a": 1, "b": 2}
UPDATE 1

-- open: assignment to a part of a column is not supported yet
UPDATE arr SET j['c'] = '3' RETURNING j;
----
j
{"a": 1, "b": 2, "c": 3}
UPDATE 1

CREATE TABLE len (c char(3), v varchar(3), n numeric(4,1), s smallint);
----
CREATE TABLE

INSERT INTO len VALUES ('a', 'abc', 12.34, 5) RETURNING *, length(c);
----
c	v	n	s	length
a  	abc	12.3	5	1
INSERT 0 1

INSERT INTO len (c) VALUES ('abcd');
----
ERROR 22001: value too long for type character(3)

INSERT INTO len (v) VALUES ('abcd');
----
ERROR 22001: value too long for type character varying(3)

INSERT INTO len (v) VALUES ('abc   ') RETURNING v;
----
v
abc
INSERT 0 1

INSERT INTO len (n) VALUES (1234.5);
----
ERROR 22003: numeric field overflow
DETAIL: A field with precision 4, scale 1 must round to an absolute value less than 10^3.

INSERT INTO len (s) VALUES (40000);
----
ERROR 22003: smallint out of range

INSERT INTO len (v) VALUES ('abcdef'::varchar(3)) RETURNING v;
----
v
abc
INSERT 0 1

INSERT INTO len (c) SELECT 5 RETURNING c;
----
c
5  
INSERT 0 1

INSERT INTO len (s) VALUES (1.5) RETURNING s;
----
s
2
INSERT 0 1

INSERT INTO len (s) VALUES (true);
----
ERROR 42804: column "s" is of type smallint but expression is of type boolean
HINT: You will need to rewrite or cast the expression.
