CREATE TABLE t (a int, b text);
----
CREATE TABLE

INSERT INTO t VALUES (1, '10'), (2, '20'), (3, NULL);
----
INSERT 0 3

ALTER TABLE t ADD COLUMN c int DEFAULT 5;
----
ALTER TABLE

SELECT * FROM t ORDER BY a;
----
a	b	c
1	10	5
2	20	5
3	\N	5

ALTER TABLE t ADD COLUMN c int;
----
ERROR 42701: column "c" of relation "t" already exists

ALTER TABLE t ADD COLUMN IF NOT EXISTS c int;
----
NOTICE: column "c" of relation "t" already exists, skipping
ALTER TABLE

ALTER TABLE t ADD COLUMN d int NOT NULL;
----
ERROR 23502: column "d" of relation "t" contains null values

ALTER TABLE t ALTER COLUMN b SET NOT NULL;
----
ERROR 23502: column "b" of relation "t" contains null values

ALTER TABLE t ALTER COLUMN a SET NOT NULL;
----
ALTER TABLE

INSERT INTO t VALUES (NULL);
----
ERROR 23502: null value in column "a" of relation "t" violates not-null constraint
DETAIL: Failing row contains (null, null, 5).

ALTER TABLE t ALTER COLUMN a DROP NOT NULL;
----
ALTER TABLE

ALTER TABLE t ALTER COLUMN c SET DEFAULT 6;
----
ALTER TABLE

INSERT INTO t (a) VALUES (4) RETURNING *;
----
a	b	c
4	\N	6
INSERT 0 1

ALTER TABLE t ALTER COLUMN c DROP DEFAULT;
----
ALTER TABLE

INSERT INTO t (a) VALUES (5) RETURNING *;
----
a	b	c
5	\N	\N
INSERT 0 1

ALTER TABLE t ALTER COLUMN b TYPE int;
----
ERROR 42804: column "b" cannot be cast automatically to type integer
HINT: You might need to specify "USING b::integer".

ALTER TABLE t ALTER COLUMN b TYPE int USING b::int;
----
ALTER TABLE

SELECT a, b + 1 AS b1 FROM t ORDER BY a;
----
a	b1
1	11
2	21
3	\N
4	\N
5	\N

ALTER TABLE t ALTER COLUMN a TYPE numeric(6,2);
----
ALTER TABLE

SELECT a FROM t ORDER BY a;
----
a
1.00
2.00
3.00
4.00
5.00

ALTER TABLE t ALTER COLUMN a TYPE date;
----
ERROR 42804: column "a" cannot be cast automatically to type date
HINT: You might need to specify "USING a::date".

ALTER TABLE t ALTER COLUMN zz TYPE int;
----
ERROR 42703: column "zz" of relation "t" does not exist

ALTER TABLE t ADD CONSTRAINT a_positive CHECK (a > 0);
----
ALTER TABLE

ALTER TABLE t ADD CONSTRAINT a_small CHECK (a < 3);
----
ERROR 23514: check constraint "a_small" of relation "t" is violated by some row

ALTER TABLE t ADD CONSTRAINT a_small CHECK (a < 3) NOT VALID;
----
ALTER TABLE

INSERT INTO t (a) VALUES (9);
----
ERROR 23514: new row for relation "t" violates check constraint "a_small"
DETAIL: Failing row contains (9.00, null, null).

ALTER TABLE t VALIDATE CONSTRAINT a_small;
----
ERROR 23514: check constraint "a_small" of relation "t" is violated by some row

DELETE FROM t WHERE a >= 3;
----
DELETE 3

ALTER TABLE t VALIDATE CONSTRAINT a_small;
----
ALTER TABLE

ALTER TABLE t ADD CONSTRAINT a_positive CHECK (a > 1);
----
ERROR 42710: constraint "a_positive" for relation "t" already exists

ALTER TABLE t ADD PRIMARY KEY (a);
----
ALTER TABLE

ALTER TABLE t ADD PRIMARY KEY (b);
----
ERROR 42P16: multiple primary keys for table "t" are not allowed

ALTER TABLE t ADD UNIQUE (b);
----
ALTER TABLE

ALTER TABLE t DROP CONSTRAINT nosuch;
----
ERROR 42704: constraint "nosuch" of relation "t" does not exist

ALTER TABLE t DROP CONSTRAINT IF EXISTS nosuch;
----
NOTICE: constraint "nosuch" of relation "t" does not exist, skipping
ALTER TABLE

ALTER TABLE t ALTER COLUMN a DROP NOT NULL;
----
ERROR 42P16: column "a" is in a primary key

ALTER TABLE t DROP CONSTRAINT t_pkey;
----
ALTER TABLE

ALTER TABLE t RENAME COLUMN b TO bb;
----
ALTER TABLE

ALTER TABLE t RENAME COLUMN nosuch TO x;
----
ERROR 42703: column "nosuch" does not exist

ALTER TABLE t RENAME COLUMN bb TO c;
----
ERROR 42701: column "c" of relation "t" already exists

ALTER TABLE t RENAME CONSTRAINT a_small TO a_tiny;
----
ALTER TABLE

ALTER TABLE t RENAME TO tt;
----
ALTER TABLE

SELECT * FROM t;
----
ERROR 42P01: relation "t" does not exist

ALTER TABLE IF EXISTS t ADD COLUMN z int;
----
NOTICE: relation "t" does not exist, skipping
ALTER TABLE

ALTER TABLE t ADD COLUMN z int;
----
ERROR 42P01: relation "t" does not exist

SELECT * FROM tt ORDER BY a;
----
a	bb	c
1.00	10	5
2.00	20	5

ALTER TABLE tt DROP COLUMN nosuch;
----
ERROR 42703: column "nosuch" of relation "tt" does not exist

ALTER TABLE tt DROP COLUMN IF EXISTS nosuch;
----
NOTICE: column "nosuch" of relation "tt" does not exist, skipping
ALTER TABLE

ALTER TABLE tt DROP COLUMN a;
----
ALTER TABLE

SELECT * FROM tt ORDER BY 1;
----
bb	c
10	5
20	5

SELECT conname FROM pg_constraint WHERE conrelid = 'tt'::regclass ORDER BY 1;
----
conname
t_b_key

ALTER TABLE tt ADD COLUMN a text DEFAULT 'new', DROP COLUMN c, ADD COLUMN s serial;
----
ALTER TABLE

SELECT * FROM tt ORDER BY bb;
----
bb	a	s
10	new	1
20	new	2

ALTER TABLE tt SET SCHEMA nosuch;
----
ERROR 3F000: schema "nosuch" does not exist

ALTER TABLE tt ALTER COLUMN s ADD GENERATED ALWAYS AS IDENTITY;
----
ERROR 55000: column "s" of relation "tt" already has a default value

CREATE TABLE v_base (id int, val int, note text DEFAULT 'n', CHECK (val > 0));
----
CREATE TABLE

CREATE INDEX v_base_expr ON v_base ((val + 1)) WHERE val > 5;
----
CREATE INDEX

CREATE VIEW v AS SELECT id, val * 2 AS dbl FROM v_base WHERE val > 1;
----
CREATE VIEW

ALTER TABLE v_base RENAME COLUMN val TO amount;
----
ALTER TABLE

ALTER TABLE v_base RENAME TO base2;
----
ALTER TABLE

SELECT pg_get_viewdef('v'::regclass, true);
----
pg_get_viewdef
 SELECT base2.id,\n    base2.amount * 2 AS dbl\n   FROM base2\n  WHERE base2.amount > 1;

SELECT indexdef FROM pg_indexes WHERE indexname = 'v_base_expr';
----
indexdef
CREATE INDEX v_base_expr ON public.base2 USING btree (((amount + 1))) WHERE (amount > 5)

SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'base2'::regclass;
----
pg_get_constraintdef
CHECK ((amount > 0))

INSERT INTO base2 VALUES (1, 0);
----
ERROR 23514: new row for relation "base2" violates check constraint "v_base_val_check"
DETAIL: Failing row contains (1, 0, n).

INSERT INTO base2 VALUES (1, 6), (2, 1);
----
INSERT 0 2

SELECT * FROM v;
----
id	dbl
1	12

ALTER TABLE base2 ALTER COLUMN amount TYPE bigint;
----
ERROR 0A000: cannot alter type of a column used by a view or rule
DETAIL: rule _RETURN on view v depends on column "amount"

ALTER TABLE base2 DROP COLUMN amount;
----
ERROR 2BP01: cannot drop column amount of table base2 because other objects depend on it
DETAIL: view v depends on column amount of table base2
HINT: Use DROP ... CASCADE to drop the dependent objects too.

ALTER TABLE base2 DROP COLUMN amount CASCADE;
----
NOTICE: drop cascades to view v
ALTER TABLE

SELECT * FROM v;
----
ERROR 42P01: relation "v" does not exist

SELECT column_name, data_type, column_default FROM information_schema.columns WHERE table_name = 'base2' ORDER BY ordinal_position;
----
column_name	data_type	column_default
id	integer	\N
note	text	'n'::text

ALTER VIEW v RENAME TO w;
----
ERROR 42P01: relation "v" does not exist

ALTER INDEX nosuch RENAME TO x;
----
ERROR 42P01: relation "nosuch" does not exist

CREATE INDEX i1 ON base2 (id); ALTER INDEX i1 RENAME TO i2;
----
CREATE INDEX
ALTER INDEX

DROP INDEX i1;
----
ERROR 42704: index "i1" does not exist

DROP INDEX IF EXISTS i1;
----
NOTICE: index "i1" does not exist, skipping
DROP INDEX

DROP INDEX i2;
----
DROP INDEX
