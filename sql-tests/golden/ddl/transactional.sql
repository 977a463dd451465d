BEGIN;
----
BEGIN

CREATE TABLE t (a int); INSERT INTO t VALUES (1);
----
CREATE TABLE
INSERT 0 1

SAVEPOINT s1;
----
SAVEPOINT

ALTER TABLE t ADD COLUMN b int DEFAULT 2;
----
ALTER TABLE

SELECT * FROM t;
----
a	b
1	2

CREATE INDEX t_b ON t (b);
----
CREATE INDEX

SAVEPOINT s2;
----
SAVEPOINT

DROP TABLE t;
----
DROP TABLE

SELECT * FROM t;
----
ERROR 42P01: relation "t" does not exist

ROLLBACK TO s2;
----
ROLLBACK

SELECT * FROM t;
----
a	b
1	2

ROLLBACK TO s1;
----
ROLLBACK

SELECT * FROM t;
----
a
1

b: SELECT * FROM t;
----
ERROR 42P01: relation "t" does not exist

COMMIT;
----
COMMIT

b: SELECT * FROM t;
----
a
1

BEGIN; DROP TABLE t; CREATE TABLE t (x text); INSERT INTO t VALUES ('new'); SELECT * FROM t; ROLLBACK;
----
BEGIN
DROP TABLE
CREATE TABLE
INSERT 0 1
x
new
ROLLBACK

SELECT * FROM t;
----
a
1

BEGIN; TRUNCATE t; SELECT count(*) FROM t; ROLLBACK;
----
BEGIN
TRUNCATE TABLE
count
0
ROLLBACK

SELECT count(*) FROM t;
----
count
1

CREATE TABLE c AS SELECT g AS n, g * g AS sq FROM generate_series(1, 4) g;
----
SELECT 4

SELECT * FROM c ORDER BY n;
----
n	sq
1	1
2	4
3	9
4	16

CREATE TABLE c2 (x, y) AS SELECT 1, 'a'::text WITH NO DATA;
----
CREATE TABLE AS

SELECT * FROM c2;
----
x	y

CREATE TABLE c3 (x, y, z) AS SELECT 1, 2;
----
ERROR 42601: too many column names were specified

CREATE TABLE IF NOT EXISTS c AS SELECT 1;
----
NOTICE: relation "c" already exists, skipping
CREATE TABLE AS

SELECT n INTO c4 FROM c WHERE n > 2;
----
SELECT 2

SELECT * FROM c4 ORDER BY 1;
----
n
3
4

CREATE TABLE src (id int PRIMARY KEY, v text NOT NULL DEFAULT 'd', w int CHECK (w > 0)); CREATE INDEX src_v ON src (v);
----
CREATE TABLE
CREATE INDEX

CREATE TABLE like1 (LIKE src);
----
CREATE TABLE

INSERT INTO like1 VALUES (1, NULL, 1);
----
ERROR 23502: null value in column "v" of relation "like1" violates not-null constraint
DETAIL: Failing row contains (1, null, 1).

INSERT INTO like1 (id) VALUES (1);
----
ERROR 23502: null value in column "v" of relation "like1" violates not-null constraint
DETAIL: Failing row contains (1, null, null).

CREATE TABLE like2 (LIKE src INCLUDING ALL, extra int);
----
CREATE TABLE

INSERT INTO like2 (id) VALUES (1) RETURNING *;
----
id	v	w	extra
1	d	\N	\N
INSERT 0 1

INSERT INTO like2 (id) VALUES (1);
----
ERROR 23505: duplicate key value violates unique constraint "like2_pkey"
DETAIL: Key (id)=(1) already exists.

INSERT INTO like2 (id, w) VALUES (2, 0);
----
ERROR 23514: new row for relation "like2" violates check constraint "src_w_check"
DETAIL: Failing row contains (2, d, 0, null).

SELECT indexname FROM pg_indexes WHERE tablename = 'like2' ORDER BY 1;
----
indexname
like2_pkey
like2_v_idx

CREATE TABLE like3 (LIKE nosuch);
----
ERROR 42P01: relation "nosuch" does not exist

CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE TABLE s1.t (a text); INSERT INTO s1.t VALUES ('s1');
----
CREATE SCHEMA
CREATE SCHEMA
CREATE TABLE
INSERT 0 1

SET search_path = s1, public;
----
SET

SELECT * FROM t;
----
a
s1

SHOW search_path;
----
search_path
s1, public
SHOW

CREATE TABLE made_here (x int);
----
CREATE TABLE

SELECT schemaname FROM pg_tables WHERE tablename = 'made_here';
----
schemaname
s1

SET search_path = nosuch;
----
SET

SELECT * FROM t;
----
ERROR 42P01: relation "t" does not exist

CREATE TABLE x (y int);
----
ERROR 3F000: no schema has been selected to create in

SELECT current_schema(), current_schemas(true);
----
current_schema	current_schemas
\N	{pg_catalog}

RESET search_path;
----
RESET

ALTER TABLE s1.t SET SCHEMA s2;
----
ALTER TABLE

SELECT * FROM s2.t;
----
a
s1

ALTER SCHEMA s2 RENAME TO s3;
----
ALTER SCHEMA

SELECT * FROM s3.t;
----
a
s1

SELECT * FROM public.nosuch;
----
ERROR 42P01: relation "public.nosuch" does not exist

SELECT * FROM nosuch.t;
----
ERROR 42P01: relation "nosuch.t" does not exist

COMMENT ON TABLE c IS 'about c'; COMMENT ON COLUMN c.n IS 'about n';
----
COMMENT
COMMENT

SELECT obj_description('c'::regclass), col_description('c'::regclass, 1), col_description('c'::regclass, 2);
----
obj_description	col_description	col_description
about c	about n	\N

COMMENT ON TABLE c IS NULL;
----
COMMENT

SELECT obj_description('c'::regclass);
----
obj_description
\N

COMMENT ON TABLE nosuch IS 'x';
----
ERROR 42P01: relation "nosuch" does not exist

COMMENT ON COLUMN c.nosuch IS 'x';
----
ERROR 42703: column "nosuch" of relation "c" does not exist

-- open: temporary tables is not supported yet
CREATE TEMP TABLE tt (a int); INSERT INTO tt VALUES (1); SELECT * FROM tt;
----
CREATE TABLE
INSERT 0 1
a
1

CREATE UNIQUE INDEX c_n ON c (n);
----
CREATE INDEX

CREATE INDEX c_n ON c (sq);
----
ERROR 42P07: relation "c_n" already exists

CREATE INDEX IF NOT EXISTS c_n ON c (sq);
----
NOTICE: relation "c_n" already exists, skipping
CREATE INDEX

-- open: the key of an expression index that is being built is not told
CREATE UNIQUE INDEX c_mod ON c ((n % 2));
----
ERROR 23505: could not create unique index "c_mod"
DETAIL: Key ((n % 2))=(1) is duplicated.

CREATE INDEX ON c (nosuch);
----
ERROR 42703: column "nosuch" does not exist

CREATE INDEX ON c ((random()));
----
ERROR 42P17: functions in index expression must be marked IMMUTABLE

CREATE INDEX ON c (n, sq DESC NULLS LAST);
----
CREATE INDEX

SELECT indexdef FROM pg_indexes WHERE tablename = 'c' ORDER BY indexname;
----
indexdef
CREATE UNIQUE INDEX c_n ON public.c USING btree (n)
CREATE INDEX c_n_sq_idx ON public.c USING btree (n, sq DESC NULLS LAST)

CREATE VIEW vc AS SELECT n FROM c;
----
CREATE VIEW

CREATE VIEW vc AS SELECT 1 AS n;
----
ERROR 42P07: relation "vc" already exists

CREATE OR REPLACE VIEW vc AS SELECT n, sq FROM c;
----
CREATE VIEW

CREATE OR REPLACE VIEW vc AS SELECT sq FROM c;
----
ERROR 42P16: cannot drop columns from view

-- open: INSERT through a view is not supported yet
INSERT INTO vc VALUES (1);
----
ERROR 23505: duplicate key value violates unique constraint "c_n"
DETAIL: Key (n)=(1) already exists.

CREATE VIEW bad AS SELECT 1 AS a, 2 AS a;
----
ERROR 42701: column "a" specified more than once

CREATE VIEW bad AS SELECT * FROM nosuch;
----
ERROR 42P01: relation "nosuch" does not exist
