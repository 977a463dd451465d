CREATE TABLE p (id int PRIMARY KEY, u text UNIQUE); INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e');
----
CREATE TABLE
INSERT 0 5

CREATE TABLE no_action (id int REFERENCES p); CREATE TABLE restricted (id int REFERENCES p ON DELETE RESTRICT ON UPDATE RESTRICT); CREATE TABLE cascades (id int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, note text); CREATE TABLE nulls (id int REFERENCES p ON DELETE SET NULL ON UPDATE SET NULL, u text REFERENCES p (u) ON DELETE CASCADE);
----
CREATE TABLE
CREATE TABLE
CREATE TABLE
CREATE TABLE

INSERT INTO no_action VALUES (99);
----
ERROR 23503: insert or update on table "no_action" violates foreign key constraint "no_action_id_fkey"
DETAIL: Key (id)=(99) is not present in table "p".

INSERT INTO no_action VALUES (1), (NULL);
----
INSERT 0 2

INSERT INTO restricted VALUES (2); INSERT INTO cascades VALUES (3, 'x'), (3, 'y'), (4, 'z'); INSERT INTO nulls VALUES (4, 'd'), (5, 'a');
----
INSERT 0 1
INSERT 0 3
INSERT 0 2

DELETE FROM p WHERE id = 1;
----
ERROR 23503: update or delete on table "p" violates foreign key constraint "no_action_id_fkey" on table "no_action"
DETAIL: Key (id)=(1) is still referenced from table "no_action".

UPDATE p SET id = 100 WHERE id = 1;
----
ERROR 23503: update or delete on table "p" violates foreign key constraint "no_action_id_fkey" on table "no_action"
DETAIL: Key (id)=(1) is still referenced from table "no_action".

DELETE FROM p WHERE id = 2;
----
ERROR 23503: update or delete on table "p" violates foreign key constraint "restricted_id_fkey" on table "restricted"
DETAIL: Key (id)=(2) is still referenced from table "restricted".

UPDATE p SET id = 200 WHERE id = 2;
----
ERROR 23503: update or delete on table "p" violates foreign key constraint "restricted_id_fkey" on table "restricted"
DETAIL: Key (id)=(2) is still referenced from table "restricted".

UPDATE p SET u = 'bb' WHERE id = 2;
----
UPDATE 1

DELETE FROM p WHERE id = 3;
----
DELETE 1

SELECT * FROM cascades ORDER BY note;
----
id	note
4	z

UPDATE p SET id = 400 WHERE id = 4;
----
UPDATE 1

SELECT * FROM cascades ORDER BY note;
----
id	note
400	z

SELECT * FROM nulls ORDER BY u;
----
id	u
5	a
\N	d

DELETE FROM p WHERE id = 400;
----
DELETE 1

SELECT * FROM nulls;
----
id	u
5	a

SELECT * FROM cascades;
----
id	note

UPDATE no_action SET id = 77 WHERE id = 1;
----
ERROR 23503: insert or update on table "no_action" violates foreign key constraint "no_action_id_fkey"
DETAIL: Key (id)=(77) is not present in table "p".

UPDATE no_action SET id = 5 WHERE id = 1;
----
UPDATE 1

DROP TABLE p;
----
ERROR 2BP01: cannot drop table p because other objects depend on it
DETAIL: constraint no_action_id_fkey on table no_action depends on table p\nconstraint restricted_id_fkey on table restricted depends on table p\nconstraint cascades_id_fkey on table cascades depends on table p\nconstraint nulls_id_fkey on table nulls depends on table p\nconstraint nulls_u_fkey on table nulls depends on table p
HINT: Use DROP ... CASCADE to drop the dependent objects too.

TRUNCATE p;
----
ERROR 0A000: cannot truncate a table referenced in a foreign key constraint
DETAIL: Table "no_action" references "p".
HINT: Truncate table "no_action" at the same time, or use TRUNCATE ... CASCADE.

TRUNCATE p CASCADE;
----
NOTICE: truncate cascades to table "no_action"
NOTICE: truncate cascades to table "restricted"
NOTICE: truncate cascades to table "cascades"
NOTICE: truncate cascades to table "nulls"
TRUNCATE TABLE

SELECT count(*) FROM no_action;
----
count
0

CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
----
CREATE TABLE

INSERT INTO tree VALUES (2, 1), (1, NULL), (3, 2), (4, 3);
----
INSERT 0 4

INSERT INTO tree VALUES (9, 8);
----
ERROR 23503: insert or update on table "tree" violates foreign key constraint "tree_parent_fkey"
DETAIL: Key (parent)=(8) is not present in table "tree".

DELETE FROM tree WHERE id = 2;
----
DELETE 1

SELECT * FROM tree;
----
id	parent
1	\N

CREATE TABLE d (id int PRIMARY KEY, other int, CONSTRAINT d_other FOREIGN KEY (other) REFERENCES d DEFERRABLE INITIALLY DEFERRED);
----
CREATE TABLE

BEGIN; INSERT INTO d VALUES (1, 2);
----
BEGIN
INSERT 0 1

INSERT INTO d VALUES (2, 1);
----
INSERT 0 1

COMMIT;
----
COMMIT

BEGIN; INSERT INTO d VALUES (3, 33);
----
BEGIN
INSERT 0 1

COMMIT;
----
ERROR 23503: insert or update on table "d" violates foreign key constraint "d_other"
DETAIL: Key (other)=(33) is not present in table "d".

SELECT * FROM d ORDER BY id;
----
id	other
1	2
2	1

BEGIN; INSERT INTO d VALUES (3, 33);
----
BEGIN
INSERT 0 1

SET CONSTRAINTS ALL IMMEDIATE;
----
ERROR 23503: insert or update on table "d" violates foreign key constraint "d_other"
DETAIL: Key (other)=(33) is not present in table "d".

ROLLBACK;
----
ROLLBACK

BEGIN; SET CONSTRAINTS d_other IMMEDIATE; INSERT INTO d VALUES (4, 44);
----
BEGIN
SET CONSTRAINTS
ERROR 23503: insert or update on table "d" violates foreign key constraint "d_other"
DETAIL: Key (other)=(44) is not present in table "d".

ROLLBACK;
----
ROLLBACK

BEGIN; INSERT INTO d VALUES (3, 33); SAVEPOINT a; INSERT INTO d VALUES (33, NULL); SET CONSTRAINTS ALL IMMEDIATE; COMMIT;
----
BEGIN
INSERT 0 1
SAVEPOINT
INSERT 0 1
SET CONSTRAINTS
COMMIT

SELECT count(*) FROM d;
----
count
4

BEGIN; DELETE FROM d WHERE id = 33; INSERT INTO d VALUES (33, 1); COMMIT;
----
BEGIN
DELETE 1
INSERT 0 1
COMMIT

SET CONSTRAINTS nosuch IMMEDIATE;
----
WARNING: SET CONSTRAINTS can only be used in transaction blocks
ERROR 42704: constraint "nosuch" does not exist

SET CONSTRAINTS ALL DEFERRED;
----
WARNING: SET CONSTRAINTS can only be used in transaction blocks
SET CONSTRAINTS

CREATE TABLE uq (a int UNIQUE DEFERRABLE INITIALLY IMMEDIATE); INSERT INTO uq VALUES (1), (2), (3);
----
CREATE TABLE
INSERT 0 3

UPDATE uq SET a = a + 1;
----
UPDATE 3

SELECT * FROM uq ORDER BY a;
----
a
2
3
4

BEGIN; SET CONSTRAINTS uq_a_key DEFERRED; INSERT INTO uq VALUES (2); DELETE FROM uq WHERE a = 2; INSERT INTO uq VALUES (2); COMMIT;
----
BEGIN
SET CONSTRAINTS
INSERT 0 1
DELETE 2
INSERT 0 1
COMMIT

BEGIN; SET CONSTRAINTS uq_a_key DEFERRED; INSERT INTO uq VALUES (2);
----
BEGIN
SET CONSTRAINTS
INSERT 0 1

COMMIT;
----
ERROR 23505: duplicate key value violates unique constraint "uq_a_key"
DETAIL: Key (a)=(2) already exists.

CREATE TABLE mp (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE mc (x int, y int, FOREIGN KEY (x, y) REFERENCES mp ON UPDATE CASCADE); INSERT INTO mp VALUES (1, 1); INSERT INTO mc VALUES (1, 1), (1, NULL), (NULL, 5);
----
CREATE TABLE
CREATE TABLE
INSERT 0 1
INSERT 0 3

INSERT INTO mc VALUES (1, 2);
----
ERROR 23503: insert or update on table "mc" violates foreign key constraint "mc_x_y_fkey"
DETAIL: Key (x, y)=(1, 2) is not present in table "mp".

UPDATE mp SET b = 7;
----
UPDATE 1

SELECT * FROM mc ORDER BY 1, 2;
----
x	y
1	7
1	\N
\N	5

CREATE TABLE mf (x int, y int, FOREIGN KEY (x, y) REFERENCES mp MATCH FULL);
----
CREATE TABLE

INSERT INTO mf VALUES (1, NULL);
----
ERROR 23503: insert or update on table "mf" violates foreign key constraint "mf_x_y_fkey"
DETAIL: MATCH FULL does not allow mixing of null and nonnull key values.

INSERT INTO mf VALUES (NULL, NULL), (1, 7);
----
INSERT 0 2

ALTER TABLE mc ADD CONSTRAINT extra FOREIGN KEY (x) REFERENCES d (id);
----
ALTER TABLE

INSERT INTO mp VALUES (50, 50); INSERT INTO mc VALUES (50, 50);
----
INSERT 0 1
ERROR 23503: insert or update on table "mc" violates foreign key constraint "extra"
DETAIL: Key (x)=(50) is not present in table "d".

ALTER TABLE no_action ADD FOREIGN KEY (id) REFERENCES mp;
----
ERROR 42830: number of referencing and referenced columns for foreign key disagree

ALTER TABLE mc DROP CONSTRAINT extra; ALTER TABLE mc ADD CONSTRAINT extra FOREIGN KEY (x) REFERENCES d (id);
----
ALTER TABLE
ALTER TABLE

-- a referring row that somebody else made refer elsewhere is left alone by the action that waited for it
CREATE TABLE gp (id int PRIMARY KEY); INSERT INTO gp VALUES (1), (2); CREATE TABLE gc (n int, id int REFERENCES gp ON DELETE CASCADE ON UPDATE CASCADE); INSERT INTO gc VALUES (1, 1), (2, 1);
----
CREATE TABLE
INSERT 0 2
CREATE TABLE
INSERT 0 2

a: BEGIN; UPDATE gc SET id = 2 WHERE n = 1;
----
BEGIN
UPDATE 1

b&: DELETE FROM gp WHERE id = 1;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
DELETE 1

SELECT * FROM gc ORDER BY n;
----
n	id
1	2

-- a referring row that is going away, or stays after all
CREATE TABLE lp (id int PRIMARY KEY); CREATE TABLE lc (id int REFERENCES lp); INSERT INTO lp VALUES (1), (2); INSERT INTO lc VALUES (1), (2);
----
CREATE TABLE
CREATE TABLE
INSERT 0 2
INSERT 0 2

a: BEGIN; DELETE FROM lc WHERE id = 1;
----
BEGIN
DELETE 1

b&: DELETE FROM lp WHERE id = 1;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
DELETE 1

a: BEGIN; UPDATE lc SET id = NULL;
----
BEGIN
UPDATE 1

b&: DELETE FROM lp WHERE id = 2;
----
ERROR 23503: update or delete on table "lp" violates foreign key constraint "lc_id_fkey" on table "lc"
DETAIL: Key (id)=(2) is still referenced from table "lc".

a: ROLLBACK;
----
ROLLBACK

b wait
----
(nothing to wait for)
