CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'x'), (2, NULL);
----
CREATE TABLE
INSERT 0 2

SELECT row_to_json(t) FROM t ORDER BY id;
----
row_to_json
{"id":1,"name":"x"}
{"id":2,"name":null}

SELECT json_agg(t ORDER BY id) FROM t;
----
json_agg
[{"id":1,"name":"x"}, \n {"id":2,"name":null}]

SELECT jsonb_agg(x) FROM (SELECT id AS k, name AS "the name" FROM t ORDER BY id) x;
----
jsonb_agg
[{"k": 1, "the name": "x"}, {"k": 2, "the name": null}]

SELECT to_jsonb(t) || '{"z": 1}' FROM t WHERE id = 1;
----
?column?
{"z": 1, "id": 1, "name": "x"}

SELECT row_to_json(ROW(1, 'a'));
----
row_to_json
{"f1":1,"f2":"a"}

SELECT row_to_json(q, true) FROM (SELECT 1 AS a, ARRAY[1, 2] AS b) q;
----
row_to_json
{"a":1,\n "b":[1,2]}

SELECT $1;
----
ERROR 42P02: there is no parameter $1

SELECT id, $2 FROM t;
----
ERROR 42P02: there is no parameter $2

PREPARE p AS SELECT $1::int + 1 AS n;
----
PREPARE

EXECUTE p(41);
----
n
42

EXPLAIN SELECT $1;
----
ERROR 42P02: there is no parameter $1

CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (0), (1), (2);
----
CREATE TABLE
INSERT 0 3

CREATE TABLE child (c int, a int DEFAULT 0 REFERENCES parent ON DELETE SET DEFAULT ON UPDATE SET DEFAULT); INSERT INTO child VALUES (1, 1), (2, 2);
----
CREATE TABLE
INSERT 0 2

DELETE FROM parent WHERE id = 1;
----
DELETE 1

UPDATE parent SET id = 5 WHERE id = 2;
----
UPDATE 1

SELECT * FROM child ORDER BY c;
----
c	a
1	0
2	0

DELETE FROM parent WHERE id = 0;
----
ERROR 23503: update or delete on table "parent" violates foreign key constraint "child_a_fkey" on table "child"
DETAIL: Key (id)=(0) is still referenced from table "child".
