CREATE ROLE g_u; CREATE ROLE g_v; CREATE TABLE t (id int PRIMARY KEY, who name, n int CHECK (n < 100), note text NOT NULL); GRANT ALL ON t TO g_u, g_v;
----
CREATE ROLE
CREATE ROLE
CREATE TABLE
GRANT

INSERT INTO t VALUES (1, 'g_u', 1, 'u1'), (2, 'g_u', 2, 'u2'), (3, 'g_v', 3, 'v3'), (4, 'g_v', 4, 'v4');
----
INSERT 0 4

ALTER TABLE t ENABLE ROW LEVEL SECURITY;
----
ALTER TABLE

CREATE POLICY own ON t USING (who = current_user);
----
CREATE POLICY

SET ROLE g_u;
----
SET

INSERT INTO t VALUES (5, 'g_u', 5, 'u5');
----
INSERT 0 1

INSERT INTO t VALUES (6, 'g_v', 6, 'v6');
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (6, NULL, 6, 'none');
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t SELECT id + 10, who, n, note FROM t RETURNING id;
----
id
11
12
15
INSERT 0 3

INSERT INTO t VALUES (7, 'g_u', 7, 'u7'), (8, 'g_v', 8, 'v8');
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT id FROM t ORDER BY id;
----
id
1
2
5
11
12
15

UPDATE t SET n = n + 1 RETURNING id, n;
----
id	n
1	2
2	3
5	6
11	2
12	3
15	6
UPDATE 6

UPDATE t SET who = 'g_v' WHERE id = 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET n = 50 WHERE id = 3;
----
UPDATE 0

DELETE FROM t WHERE id IN (3, 11) RETURNING id;
----
id
11
DELETE 1

DELETE FROM t WHERE who = 'g_v';
----
DELETE 0

-- row rules come before constraints, and those tell no values of what may not be seen
INSERT INTO t VALUES (9, 'g_v', 200, 'x');
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (9, 'g_v', 1, NULL);
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (9, 'g_u', 200, 'x');
----
ERROR 23514: new row for relation "t" violates check constraint "t_n_check"

INSERT INTO t VALUES (9, 'g_u', 1, NULL);
----
ERROR 23502: null value in column "note" of relation "t" violates not-null constraint

INSERT INTO t VALUES (1, 'g_u', 1, 'dup');
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"

INSERT INTO t VALUES (3, 'g_u', 1, 'dup of what is not seen');
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"

UPDATE t SET id = 3 WHERE id = 1;
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"

UPDATE t SET n = 100 WHERE id = 1;
----
ERROR 23514: new row for relation "t" violates check constraint "t_n_check"

RESET ROLE;
----
RESET

INSERT INTO t VALUES (1, 'g_u', 1, 'dup');
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (id)=(1) already exists.

INSERT INTO t VALUES (9, 'g_u', 200, 'x');
----
ERROR 23514: new row for relation "t" violates check constraint "t_n_check"
DETAIL: Failing row contains (9, g_u, 200, x).

-- USING and WITH CHECK apart, command by command
DROP POLICY own ON t; CREATE POLICY sel ON t FOR SELECT USING (n < 10); CREATE POLICY ins ON t FOR INSERT WITH CHECK (n < 5); CREATE POLICY upd ON t FOR UPDATE USING (n < 8) WITH CHECK (n < 9); CREATE POLICY del ON t FOR DELETE USING (n = 1);
----
DROP POLICY
CREATE POLICY
CREATE POLICY
CREATE POLICY
CREATE POLICY

TRUNCATE t; INSERT INTO t VALUES (1, 'a', 1, 'x'), (7, 'a', 7, 'x'), (8, 'a', 8, 'x'), (20, 'a', 20, 'x');
----
TRUNCATE TABLE
INSERT 0 4

SET ROLE g_u;
----
SET

INSERT INTO t VALUES (4, 'b', 4, 'y');
----
INSERT 0 1

INSERT INTO t VALUES (6, 'b', 6, 'y');
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (3, 'b', 3, 'y') RETURNING n;
----
n
3
INSERT 0 1

-- without WHERE and RETURNING an update need not see the rows
UPDATE t SET note = 'z';
----
UPDATE 4

UPDATE t SET n = 30 WHERE id = 7;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET n = 8 WHERE id = 7;
----
UPDATE 1

UPDATE t SET n = 8 WHERE id = 7 RETURNING *;
----
id	who	n	note
UPDATE 0

SELECT * FROM t ORDER BY id;
----
id	who	n	note
1	a	1	z
3	b	3	z
4	b	4	z
7	a	8	z
8	a	8	x

SELECT id FROM t ORDER BY id FOR UPDATE;
----
id
1
3
4

DELETE FROM t;
----
DELETE 1

DELETE FROM t WHERE id > 0;
----
DELETE 0

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	who	n	note
3	b	3	z
4	b	4	z
7	a	8	z
8	a	8	x
20	a	20	x

-- an UPDATE that makes a row invisible fails when it has to see it
CREATE POLICY upd2 ON t FOR UPDATE USING (true) WITH CHECK (true);
----
CREATE POLICY

SET ROLE g_u;
----
SET

UPDATE t SET n = 15 WHERE id = 8;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET n = 15;
----
UPDATE 5

RESET ROLE;
----
RESET

SELECT id, n FROM t ORDER BY id;
----
id	n
3	15
4	15
7	15
8	15
20	15

UPDATE t SET n = id;
----
UPDATE 5

SET ROLE g_u;
----
SET

UPDATE t SET note = 'w' WHERE id = 20;
----
UPDATE 0

UPDATE t SET note = 'w';
----
UPDATE 5

RESET ROLE;
----
RESET

SELECT id, n, note FROM t ORDER BY id;
----
id	n	note
3	3	w
4	4	w
7	7	w
8	8	w
20	20	w

-- INSERT with RETURNING must be allowed to see the row
CREATE POLICY ins2 ON t FOR INSERT WITH CHECK (true);
----
CREATE POLICY

SET ROLE g_u;
----
SET

INSERT INTO t VALUES (30, 'c', 30, 'q');
----
INSERT 0 1

INSERT INTO t VALUES (31, 'c', 31, 'q') RETURNING id;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (32, 'c', 32, 'q') RETURNING 1;
----
?column?
1
INSERT 0 1

RESET ROLE;
----
RESET

-- restrictive ones are named, in the order of their names
DROP POLICY sel ON t; DROP POLICY ins ON t; DROP POLICY ins2 ON t; DROP POLICY upd ON t; DROP POLICY upd2 ON t; DROP POLICY del ON t;
----
DROP POLICY
DROP POLICY
DROP POLICY
DROP POLICY
DROP POLICY
DROP POLICY

CREATE POLICY open ON t USING (true); CREATE POLICY z_cap ON t AS RESTRICTIVE USING (n < 50); CREATE POLICY a_note ON t AS RESTRICTIVE FOR INSERT WITH CHECK (note <> 'bad'); CREATE POLICY m_upd ON t AS RESTRICTIVE FOR UPDATE USING (note <> 'fixed') WITH CHECK (note <> 'worse');
----
CREATE POLICY
CREATE POLICY
CREATE POLICY
CREATE POLICY

DELETE FROM t; INSERT INTO t VALUES (1, 'a', 1, 'x'), (2, 'a', 2, 'fixed'), (60, 'a', 60, 'x');
----
DELETE 7
INSERT 0 3

SET ROLE g_u;
----
SET

INSERT INTO t VALUES (70, 'a', 70, 'bad');
----
ERROR 42501: new row violates row-level security policy "a_note" for table "t"

INSERT INTO t VALUES (70, 'a', 70, 'good');
----
ERROR 42501: new row violates row-level security policy "z_cap" for table "t"

INSERT INTO t VALUES (3, 'a', 3, 'bad');
----
ERROR 42501: new row violates row-level security policy "a_note" for table "t"

INSERT INTO t VALUES (3, 'a', 3, NULL);
----
ERROR 42501: new row violates row-level security policy "a_note" for table "t"

UPDATE t SET note = 'worse' WHERE id = 1;
----
ERROR 42501: new row violates row-level security policy "m_upd" for table "t"

UPDATE t SET note = 'worse' WHERE id = 2;
----
UPDATE 0

UPDATE t SET n = 55 WHERE id = 1;
----
ERROR 42501: new row violates row-level security policy "z_cap" for table "t"

-- ON CONFLICT
INSERT INTO t VALUES (1, 'a', 1, 'again') ON CONFLICT (id) DO NOTHING;
----
INSERT 0 0

INSERT INTO t VALUES (60, 'a', 1, 'again') ON CONFLICT (id) DO NOTHING;
----
INSERT 0 0

INSERT INTO t VALUES (60, 'a', 1, 'again') ON CONFLICT DO NOTHING;
----
INSERT 0 0

INSERT INTO t VALUES (1, 'a', 1, 'up') ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING *;
----
id	who	n	note
1	a	1	up
INSERT 0 1

INSERT INTO t VALUES (1, 'a', 1, 'bad') ON CONFLICT (id) DO UPDATE SET note = 'ok';
----
ERROR 42501: new row violates row-level security policy "a_note" for table "t"

INSERT INTO t VALUES (2, 'a', 2, 'x') ON CONFLICT (id) DO UPDATE SET note = excluded.note;
----
ERROR 42501: new row violates row-level security policy "m_upd" (USING expression) for table "t"

INSERT INTO t VALUES (60, 'a', 1, 'x') ON CONFLICT (id) DO UPDATE SET note = excluded.note;
----
ERROR 42501: new row violates row-level security policy "z_cap" (USING expression) for table "t"

INSERT INTO t VALUES (1, 'a', 1, 'x') ON CONFLICT (id) DO UPDATE SET note = 'worse';
----
ERROR 42501: new row violates row-level security policy "m_upd" for table "t"

INSERT INTO t VALUES (1, 'a', 1, 'x') ON CONFLICT (id) DO UPDATE SET n = 77;
----
ERROR 42501: new row violates row-level security policy "z_cap" for table "t"

INSERT INTO t VALUES (2, 'a', 2, 'x') ON CONFLICT (id) DO UPDATE SET note = 'n' WHERE t.n > 5;
----
INSERT 0 0

INSERT INTO t VALUES (12, 'a', 2, 'fresh') ON CONFLICT (id) DO UPDATE SET note = 'n' RETURNING id;
----
id
12
INSERT 0 1

RESET ROLE;
----
RESET

DROP POLICY open ON t; CREATE POLICY s ON t FOR SELECT USING (n <> 2); CREATE POLICY i ON t FOR INSERT WITH CHECK (n < 40); CREATE POLICY u ON t FOR UPDATE USING (n < 30) WITH CHECK (n < 35);
----
DROP POLICY
CREATE POLICY
CREATE POLICY
CREATE POLICY

SET ROLE g_u;
----
SET

INSERT INTO t VALUES (2, 'a', 4, 'x') ON CONFLICT (id) DO UPDATE SET note = 'seen';
----
ERROR 42501: new row violates row-level security policy "m_upd" (USING expression) for table "t"

INSERT INTO t VALUES (1, 'a', 36, 'x') ON CONFLICT (id) DO UPDATE SET n = excluded.n;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (1, 'a', 2, 'x') ON CONFLICT (id) DO UPDATE SET n = excluded.n;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (1, 'a', 41, 'x') ON CONFLICT (id) DO UPDATE SET n = 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (1, 'a', 33, 'x') ON CONFLICT (id) DO UPDATE SET n = excluded.n;
----
INSERT 0 1

INSERT INTO t VALUES (1, 'a', 33, 'x') ON CONFLICT (id) DO UPDATE SET n = excluded.n;
----
ERROR 42501: new row violates row-level security policy (USING expression) for table "t"

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	who	n	note
1	a	33	up
2	a	2	fixed
12	a	2	fresh
60	a	60	x

-- other tables of UPDATE and DELETE; writes in WITH
CREATE TABLE o (id int, ok bool); INSERT INTO o VALUES (1, true), (12, true), (60, true); GRANT ALL ON o TO g_u; ALTER TABLE o ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON o USING (id <> 12);
----
CREATE TABLE
INSERT 0 3
GRANT
ALTER TABLE
CREATE POLICY

SET ROLE g_u;
----
SET

UPDATE t SET note = 'joined' FROM o WHERE o.id = t.id RETURNING t.id, o.ok;
----
id	ok
UPDATE 0

UPDATE t SET note = 'all' WHERE EXISTS (SELECT FROM o) RETURNING id;
----
id
UPDATE 0

WITH w AS (INSERT INTO o VALUES (12, false) RETURNING id) SELECT * FROM w;
----
ERROR 42501: new row violates row-level security policy for table "o"

WITH w AS (INSERT INTO o VALUES (13, false) RETURNING id) SELECT * FROM w;
----
id
13

DELETE FROM o USING t WHERE t.id = o.id RETURNING o.id;
----
id
1
DELETE 1

RESET ROLE;
----
RESET

SELECT * FROM o ORDER BY id;
----
id	ok
12	t
13	f
60	t

-- keys are checked over all rows, whoever sees them
CREATE TABLE parent (id int PRIMARY KEY, who name); CREATE TABLE child (id int, parent int REFERENCES parent ON DELETE CASCADE); GRANT ALL ON parent, child TO g_u;
----
CREATE TABLE
CREATE TABLE
GRANT

INSERT INTO parent VALUES (1, 'g_u'), (2, 'g_v'), (3, 'g_u'); ALTER TABLE parent ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON parent USING (who = current_user); ALTER TABLE child ENABLE ROW LEVEL SECURITY; CREATE POLICY c ON child USING (id < 10);
----
INSERT 0 3
ALTER TABLE
CREATE POLICY
ALTER TABLE
CREATE POLICY

INSERT INTO child VALUES (11, 3);
----
INSERT 0 1

SET ROLE g_u;
----
SET

INSERT INTO child VALUES (1, 2);
----
INSERT 0 1

INSERT INTO child VALUES (2, 99);
----
ERROR 23503: insert or update on table "child" violates foreign key constraint "child_parent_fkey"
DETAIL: Key is not present in table "parent".

INSERT INTO child VALUES (3, 1), (4, 1);
----
INSERT 0 2

DELETE FROM parent WHERE id = 1;
----
DELETE 1

SELECT * FROM child;
----
id	parent
1	2

DELETE FROM parent WHERE id = 3;
----
DELETE 1

RESET ROLE;
----
RESET

SELECT * FROM child;
----
id	parent
1	2

ALTER TABLE child DROP CONSTRAINT child_parent_fkey; ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent;
----
ALTER TABLE
ALTER TABLE

SET ROLE g_u;
----
SET

INSERT INTO parent VALUES (5, 'g_u'); 
----
INSERT 0 1

INSERT INTO child VALUES (5, 5);
----
INSERT 0 1

DELETE FROM parent WHERE id = 5;
----
ERROR 23503: update or delete on table "parent" violates foreign key constraint "child_parent_fkey" on table "child"
DETAIL: Key is still referenced from table "child".

RESET ROLE;
----
RESET

DELETE FROM parent WHERE id = 5;
----
ERROR 23503: update or delete on table "parent" violates foreign key constraint "child_parent_fkey" on table "child"
DETAIL: Key (id)=(5) is still referenced from table "child".

-- what a role may not read no detail tells either
CREATE TABLE secrets (id int PRIMARY KEY, word text NOT NULL, n int CHECK (n > 0)); GRANT INSERT ON secrets TO g_v; GRANT UPDATE (n), SELECT (id) ON secrets TO g_v; INSERT INTO secrets VALUES (1, 'hush', 1);
----
CREATE TABLE
GRANT
GRANT
INSERT 0 1

SET ROLE g_v;
----
SET

UPDATE secrets SET n = -1 WHERE id = 1;
----
ERROR 23514: new row for relation "secrets" violates check constraint "secrets_n_check"
DETAIL: Failing row contains (id, n) = (1, -1).

INSERT INTO secrets VALUES (2, 'mine', 0);
----
ERROR 23514: new row for relation "secrets" violates check constraint "secrets_n_check"
DETAIL: Failing row contains (id, word, n) = (2, mine, 0).

INSERT INTO secrets (id) VALUES (2);
----
ERROR 23502: null value in column "word" of relation "secrets" violates not-null constraint
DETAIL: Failing row contains (id) = (2).

INSERT INTO secrets VALUES (1, 'x', 1);
----
ERROR 23505: duplicate key value violates unique constraint "secrets_pkey"
DETAIL: Key (id)=(1) already exists.

RESET ROLE;
----
RESET

REVOKE SELECT (id) ON secrets FROM g_v;
----
REVOKE

SET ROLE g_v;
----
SET

INSERT INTO secrets VALUES (1, 'x', 1);
----
ERROR 23505: duplicate key value violates unique constraint "secrets_pkey"

INSERT INTO secrets (id, n) VALUES (1, 1) ON CONFLICT (id) DO NOTHING;
----
ERROR 42501: permission denied for table secrets

RESET ROLE;
----
RESET
