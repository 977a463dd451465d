CREATE TABLE d (id int CONSTRAINT d_key UNIQUE DEFERRABLE, v int); CREATE TABLE e (id int CONSTRAINT e_pkey PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v int); INSERT INTO d VALUES (1, 1), (2, 2), (3, 3); INSERT INTO e SELECT * FROM d;
----
CREATE TABLE
CREATE TABLE
INSERT 0 3
INSERT 0 3

-- at the end of the statement
UPDATE d SET id = id + 1;
----
UPDATE 3

UPDATE d SET id = 5 - id WHERE id IN (2, 3);
----
UPDATE 2

SELECT * FROM d ORDER BY id;
----
id	v
2	2
3	1
4	3

INSERT INTO d VALUES (9, 9), (9, 10);
----
ERROR 23505: duplicate key value violates unique constraint "d_key"
DETAIL: Key (id)=(9) already exists.

INSERT INTO d VALUES (2, 9);
----
ERROR 23505: duplicate key value violates unique constraint "d_key"
DETAIL: Key (id)=(2) already exists.

UPDATE d SET id = 3 WHERE id = 2;
----
ERROR 23505: duplicate key value violates unique constraint "d_key"
DETAIL: Key (id)=(3) already exists.

INSERT INTO d VALUES (NULL, 1), (NULL, 2); DELETE FROM d WHERE id IS NULL;
----
INSERT 0 2
DELETE 2

SELECT count(*) FROM d;
----
count
3

-- at COMMIT
BEGIN; INSERT INTO e VALUES (1, 10); SELECT * FROM e WHERE id = 1 ORDER BY v; UPDATE e SET id = 4 WHERE v = 10; COMMIT;
----
BEGIN
INSERT 0 1
id	v
1	1
1	10
UPDATE 1
COMMIT

BEGIN; INSERT INTO e VALUES (1, 10), (2, 20); SELECT count(*) FROM e WHERE id IN (1, 2);
----
BEGIN
INSERT 0 2
count
4

COMMIT;
----
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(1) already exists.

INSERT INTO e VALUES (1, 10);
----
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(1) already exists.

SELECT * FROM e ORDER BY id;
----
id	v
1	1
2	2
3	3
4	10

-- SET CONSTRAINTS
BEGIN; SET CONSTRAINTS d_key DEFERRED; INSERT INTO d VALUES (2, 99); SET CONSTRAINTS d_key IMMEDIATE;
----
BEGIN
SET CONSTRAINTS
INSERT 0 1
ERROR 23505: duplicate key value violates unique constraint "d_key"
DETAIL: Key (id)=(2) already exists.

ROLLBACK;
----
ROLLBACK

BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO d VALUES (2, 99); DELETE FROM d WHERE v = 99; SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO d VALUES (2, 100);
----
BEGIN
SET CONSTRAINTS
INSERT 0 1
DELETE 1
SET CONSTRAINTS
ERROR 23505: duplicate key value violates unique constraint "d_key"
DETAIL: Key (id)=(2) already exists.

ROLLBACK;
----
ROLLBACK

BEGIN; SET CONSTRAINTS d_key DEFERRED; INSERT INTO d VALUES (2, 99); INSERT INTO e VALUES (1, 99); SET CONSTRAINTS e_pkey IMMEDIATE;
----
BEGIN
SET CONSTRAINTS
INSERT 0 1
INSERT 0 1
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(1) already exists.

ROLLBACK;
----
ROLLBACK

BEGIN; SET CONSTRAINTS d_key DEFERRED; INSERT INTO d VALUES (2, 99); SET CONSTRAINTS e_pkey IMMEDIATE; INSERT INTO e VALUES (1, 99);
----
BEGIN
SET CONSTRAINTS
INSERT 0 1
SET CONSTRAINTS
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(1) already exists.

ROLLBACK;
----
ROLLBACK

BEGIN; SET CONSTRAINTS e_pkey IMMEDIATE; INSERT INTO e VALUES (1, 99);
----
BEGIN
SET CONSTRAINTS
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(1) already exists.

ROLLBACK;
----
ROLLBACK

-- savepoints: what they take back need not hold, what they leave must
BEGIN; SAVEPOINT s; INSERT INTO e VALUES (1, 10); ROLLBACK TO s; INSERT INTO e VALUES (10, 10); COMMIT;
----
BEGIN
SAVEPOINT
INSERT 0 1
ROLLBACK
INSERT 0 1
COMMIT

BEGIN; INSERT INTO e VALUES (1, 11); SAVEPOINT s; SET CONSTRAINTS ALL IMMEDIATE;
----
BEGIN
INSERT 0 1
SAVEPOINT
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(1) already exists.

ROLLBACK TO s; COMMIT;
----
ROLLBACK
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(1) already exists.

BEGIN; INSERT INTO e VALUES (1, 11); SAVEPOINT s; DELETE FROM e WHERE v = 11; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO s; COMMIT;
----
BEGIN
INSERT 0 1
SAVEPOINT
DELETE 1
SET CONSTRAINTS
ROLLBACK
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(1) already exists.

SELECT * FROM e ORDER BY id;
----
id	v
1	1
2	2
3	3
4	10
10	10

-- between transactions
a: BEGIN; INSERT INTO e VALUES (20, 1);
----
BEGIN
INSERT 0 1

b: BEGIN; INSERT INTO e VALUES (20, 2);
----
BEGIN
INSERT 0 1

b&: COMMIT;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
ERROR 23505: duplicate key value violates unique constraint "e_pkey"
DETAIL: Key (id)=(20) already exists.

a: BEGIN; INSERT INTO e VALUES (21, 1);
----
BEGIN
INSERT 0 1

b: BEGIN; INSERT INTO e VALUES (21, 2);
----
BEGIN
INSERT 0 1

b&: COMMIT;
----
(waits)

a: ROLLBACK;
----
ROLLBACK

b wait
----
COMMIT

a: BEGIN; DELETE FROM e WHERE id = 21;
----
BEGIN
DELETE 1

b&: INSERT INTO e VALUES (21, 3);
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
INSERT 0 1

a: BEGIN; INSERT INTO d VALUES (30, 1);
----
BEGIN
INSERT 0 1

b&: INSERT INTO d VALUES (30, 2);
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
ERROR 23505: duplicate key value violates unique constraint "d_key"
DETAIL: Key (id)=(30) already exists.

SELECT * FROM e WHERE id >= 20 ORDER BY id;
----
id	v
20	1
21	3

-- what rests on uniqueness does not rest on this one
INSERT INTO d VALUES (2, 5) ON CONFLICT (id) DO NOTHING;
----
ERROR 55000: ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters

INSERT INTO d VALUES (2, 5) ON CONFLICT DO NOTHING;
----
ERROR 55000: ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters

INSERT INTO d VALUES (77, 5) ON CONFLICT DO NOTHING;
----
ERROR 55000: ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters

INSERT INTO d VALUES (2, 5) ON CONFLICT (id) DO UPDATE SET v = 0;
----
ERROR 55000: ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters

INSERT INTO d VALUES (2, 5) ON CONFLICT ON CONSTRAINT d_key DO NOTHING;
----
ERROR 55000: ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters

CREATE TABLE f (id int REFERENCES d (id));
----
ERROR 55000: cannot use a deferrable unique constraint for referenced table "d"

CREATE TABLE f (id int REFERENCES e);
----
ERROR 55000: cannot use a deferrable primary key for referenced table "e"

SELECT id, v FROM e GROUP BY id;
----
ERROR 42803: column "e.v" must appear in the GROUP BY clause or be used in an aggregate function

BEGIN; INSERT INTO e VALUES (1, 10); SELECT e.v, (SELECT count(*) FROM e x WHERE x.id = e.id) FROM e WHERE e.id = 1 ORDER BY v; SELECT d.id, count(*) FROM d LEFT JOIN e ON e.id = d.id - 1 WHERE d.id = 2 GROUP BY d.id; ROLLBACK;
----
BEGIN
INSERT 0 1
v	count
1	2
10	2
id	count
2	2
ROLLBACK

-- added later
CREATE TABLE g (a int, b int); INSERT INTO g VALUES (1, 1), (2, 2); ALTER TABLE g ADD CONSTRAINT g_ab UNIQUE (a, b) DEFERRABLE INITIALLY DEFERRED; ALTER TABLE g ADD CONSTRAINT g_a_key UNIQUE (a) DEFERRABLE;
----
CREATE TABLE
INSERT 0 2
ALTER TABLE
ALTER TABLE

UPDATE g SET a = 3 - a;
----
UPDATE 2

BEGIN; INSERT INTO g VALUES (1, 2); SELECT * FROM g ORDER BY a, b;
----
BEGIN
ERROR 23505: duplicate key value violates unique constraint "g_a_key"
DETAIL: Key (a)=(1) already exists.

COMMIT;
----
ROLLBACK

SELECT conname, condeferrable, condeferred, indimmediate, indisunique FROM pg_constraint JOIN pg_index ON conindid = indexrelid WHERE conrelid IN ('d'::regclass, 'e'::regclass, 'g'::regclass) ORDER BY 1;
----
conname	condeferrable	condeferred	indimmediate	indisunique
d_key	t	f	f	t
e_pkey	t	t	f	t
g_a_key	t	f	f	t
g_ab	t	t	f	t

SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'g'::regclass ORDER BY conname;
----
pg_get_constraintdef
UNIQUE (a) DEFERRABLE
UNIQUE (a, b) DEFERRABLE INITIALLY DEFERRED

-- a CASCADE that makes two rows one
CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int REFERENCES p ON UPDATE CASCADE, CONSTRAINT c_key UNIQUE (id) DEFERRABLE); INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1), (2); UPDATE p SET id = id + 10;
----
CREATE TABLE
CREATE TABLE
INSERT 0 2
INSERT 0 2
UPDATE 2

SELECT * FROM c ORDER BY id;
----
id
11
12

-- into many rows, and long ones
TRUNCATE d; INSERT INTO d SELECT i, i FROM generate_series(1, 2000) i; UPDATE d SET id = 2001 - id; SELECT count(DISTINCT id), min(id), max(id) FROM d;
----
TRUNCATE TABLE
INSERT 0 2000
UPDATE 2000
count	min	max
2000	1	2000

INSERT INTO d SELECT i, i FROM generate_series(1999, 2003) i;
----
ERROR 23505: duplicate key value violates unique constraint "d_key"
DETAIL: Key (id)=(1999) already exists.

-- a table whose rows wait to be checked is left as it is
BEGIN; INSERT INTO e VALUES (1, 77); TRUNCATE e;
----
BEGIN
INSERT 0 1
ERROR 55006: cannot TRUNCATE "e" because it has pending trigger events

ROLLBACK; BEGIN; INSERT INTO e VALUES (1, 77); DROP TABLE e;
----
ROLLBACK
BEGIN
INSERT 0 1
ERROR 55006: cannot DROP TABLE "e" because it has pending trigger events

ROLLBACK; BEGIN; INSERT INTO e VALUES (1, 77); ALTER TABLE e DROP CONSTRAINT e_pkey;
----
ROLLBACK
BEGIN
INSERT 0 1
ERROR 55006: cannot ALTER TABLE "e" because it has pending trigger events

ROLLBACK; BEGIN; INSERT INTO e VALUES (1, 77); CREATE INDEX ON e (v);
----
ROLLBACK
BEGIN
INSERT 0 1
ERROR 55006: cannot CREATE INDEX "e" because it has pending trigger events

ROLLBACK; BEGIN; INSERT INTO e VALUES (77, 77); ALTER TABLE e ADD COLUMN w int; COMMIT;
----
ROLLBACK
BEGIN
INSERT 0 1
ALTER TABLE
COMMIT

CREATE TABLE fp (id int PRIMARY KEY); CREATE TABLE fc (id int REFERENCES fp DEFERRABLE INITIALLY DEFERRED);
----
CREATE TABLE
CREATE TABLE

BEGIN; INSERT INTO fc VALUES (1); ALTER TABLE fc ADD COLUMN w int;
----
BEGIN
INSERT 0 1
ERROR 55006: cannot ALTER TABLE "fc" because it has pending trigger events

ROLLBACK; BEGIN; INSERT INTO fc VALUES (1); SAVEPOINT s; INSERT INTO fp VALUES (1); SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO s; COMMIT;
----
ROLLBACK
BEGIN
INSERT 0 1
SAVEPOINT
INSERT 0 1
SET CONSTRAINTS
ROLLBACK
ERROR 23503: insert or update on table "fc" violates foreign key constraint "fc_id_fkey"
DETAIL: Key (id)=(1) is not present in table "fp".

ROLLBACK; BEGIN; INSERT INTO fc VALUES (1); INSERT INTO fp VALUES (1); SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE fc ADD COLUMN w int; ALTER TABLE fc DROP COLUMN id; COMMIT;
----
WARNING: there is no transaction in progress
ROLLBACK
BEGIN
INSERT 0 1
INSERT 0 1
SET CONSTRAINTS
ALTER TABLE
ALTER TABLE
COMMIT

SELECT count(*) FROM fc;
----
count
1
