CREATE ROLE g_alice; CREATE ROLE g_bob LOGIN NOINHERIT; CREATE ROLE g_staff; CREATE TABLE t (id int, secret text, note text); INSERT INTO t VALUES (1, 's', 'n');
----
CREATE ROLE
CREATE ROLE
CREATE ROLE
CREATE TABLE
INSERT 0 1

CREATE ROLE g_alice;
----
ERROR 42710: role "g_alice" already exists

SET ROLE g_alice; SELECT current_user, session_user;
----
SET
current_user	session_user
g_alice	admin

SELECT * FROM t;
----
ERROR 42501: permission denied for table t

INSERT INTO t VALUES (2);
----
ERROR 42501: permission denied for table t

CREATE TABLE mine (a int);
----
ERROR 42501: permission denied for schema public

CREATE ROLE g_more;
----
ERROR 42501: permission denied to create role

DROP TABLE t;
----
ERROR 42501: must be owner of table t

ALTER TABLE t ADD COLUMN z int;
----
ERROR 42501: must be owner of table t

GRANT SELECT ON t TO g_bob;
----
ERROR 42501: permission denied for table t

RESET ROLE;
----
RESET

GRANT SELECT (id, note), UPDATE (note) ON t TO g_alice;
----
GRANT

SET ROLE g_alice;
----
SET

SELECT id, note FROM t;
----
id	note
1	n

SELECT secret FROM t;
----
ERROR 42501: permission denied for table t

SELECT * FROM t;
----
ERROR 42501: permission denied for table t

SELECT count(*) FROM t;
----
count
1

UPDATE t SET note = 'x' WHERE id = 1 RETURNING note;
----
note
x
UPDATE 1

UPDATE t SET secret = 'x';
----
ERROR 42501: permission denied for table t

DELETE FROM t;
----
ERROR 42501: permission denied for table t

TRUNCATE t;
----
ERROR 42501: permission denied for table t

SELECT id FROM t FOR UPDATE;
----
id
1

RESET ROLE;
----
RESET

GRANT ALL ON t TO g_staff WITH GRANT OPTION;
----
GRANT

GRANT g_staff TO g_alice, g_bob;
----
GRANT ROLE

SET ROLE g_alice; SELECT secret FROM t;
----
SET
secret
s

GRANT SELECT ON t TO g_bob;
----
GRANT

RESET ROLE; SET ROLE g_bob;
----
RESET
SET

SELECT secret FROM t;
----
secret
s

DELETE FROM t;
----
ERROR 42501: permission denied for table t

SET ROLE g_staff;
----
SET

DELETE FROM t WHERE id = 99;
----
DELETE 0

SET ROLE g_nosuch;
----
ERROR 22023: role "g_nosuch" does not exist

RESET ROLE;
----
RESET

SELECT pg_has_role('g_alice', 'g_staff', 'member'), has_table_privilege('g_alice', 't', 'SELECT'), has_table_privilege('g_bob', 't', 'DELETE'), has_column_privilege('g_alice', 't', 'note', 'UPDATE');
----
pg_has_role	has_table_privilege	has_table_privilege	has_column_privilege
t	t	f	t

REVOKE g_staff FROM g_alice;
----
REVOKE ROLE

SET ROLE g_alice; SELECT secret FROM t;
----
SET
ERROR 42501: permission denied for table t

RESET ROLE;
----
RESET

GRANT g_alice TO g_staff; GRANT g_staff TO g_alice;
----
GRANT ROLE
ERROR 0LP01: role "g_staff" is a member of role "g_alice"

REVOKE SELECT ON t FROM g_staff;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

REVOKE SELECT ON t FROM g_staff CASCADE;
----
REVOKE

REVOKE ALL ON t FROM g_alice, g_bob, g_staff;
----
REVOKE

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{admin=arwdDxt/admin}

GRANT SELECT ON nosuch TO g_alice;
----
ERROR 42P01: relation "nosuch" does not exist

GRANT SELECT ON t TO g_nosuch;
----
ERROR 42704: role "g_nosuch" does not exist

GRANT NONSENSE ON t TO g_alice;
----
ERROR 42601: unrecognized privilege type "nonsense"

GRANT USAGE ON t TO g_alice;
----
ERROR 0LP01: invalid privilege type USAGE for table

GRANT SELECT (nosuch) ON t TO g_alice;
----
ERROR 42703: column "nosuch" of relation "t" does not exist

CREATE SCHEMA s; CREATE TABLE s.x (a int); GRANT SELECT ON s.x TO g_alice;
----
CREATE SCHEMA
CREATE TABLE
GRANT

SET ROLE g_alice; SELECT * FROM s.x;
----
SET
ERROR 42501: permission denied for schema s

CREATE TABLE s.y (a int);
----
CREATE TABLE

RESET ROLE; GRANT USAGE, CREATE ON SCHEMA s TO g_alice;
----
RESET
GRANT

SET ROLE g_alice; SELECT * FROM s.x; CREATE TABLE s.y (a int);
----
SET
a
ERROR 42P07: relation "y" already exists

RESET ROLE; CREATE SEQUENCE q; SET ROLE g_alice;
----
RESET
CREATE SEQUENCE
SET

SELECT nextval('q');
----
ERROR 42501: permission denied for sequence q

RESET ROLE; GRANT USAGE ON SEQUENCE q TO g_alice; SET ROLE g_alice;
----
RESET
GRANT
SET

SELECT nextval('q');
----
nextval
1

SELECT setval('q', 5);
----
ERROR 42501: permission denied for sequence q

RESET ROLE; CREATE VIEW v AS SELECT id FROM t; GRANT SELECT ON v TO g_alice; SET ROLE g_alice;
----
RESET
CREATE VIEW
GRANT
SET

SELECT * FROM v;
----
id
1

SELECT id FROM t;
----
ERROR 42501: permission denied for table t

RESET ROLE;
----
RESET

DROP ROLE g_alice;
----
ERROR 2BP01: role "g_alice" cannot be dropped because some objects depend on it
DETAIL: privileges for schema s\nprivileges for table s.x\nprivileges for sequence q\nprivileges for view v

ALTER TABLE s.y OWNER TO g_bob; REASSIGN OWNED BY g_alice TO g_bob; DROP OWNED BY g_alice; DROP ROLE g_alice;
----
ALTER TABLE
REASSIGN OWNED
DROP OWNED
DROP ROLE

DROP ROLE g_nosuch;
----
ERROR 42704: role "g_nosuch" does not exist

DROP ROLE IF EXISTS g_nosuch;
----
NOTICE: role "g_nosuch" does not exist, skipping
DROP ROLE

ALTER ROLE g_bob RENAME TO g_robert;
----
ALTER ROLE

ALTER ROLE g_robert CONNECTION LIMIT 5 CREATEDB;
----
ALTER ROLE

SELECT rolname, rolcreatedb, rolcanlogin, rolinherit, rolconnlimit FROM pg_roles WHERE rolname LIKE 'g\_%' ORDER BY 1;
----
rolname	rolcreatedb	rolcanlogin	rolinherit	rolconnlimit
g_robert	t	t	f	5
g_staff	f	f	t	-1

ALTER ROLE g_nosuch LOGIN;
----
ERROR 42704: role "g_nosuch" does not exist

SET SESSION AUTHORIZATION g_robert; SELECT session_user, current_user;
----
SET
session_user	current_user
g_robert	g_robert

CREATE ROLE g_x;
----
ERROR 42501: permission denied to create role

SET ROLE g_staff; SELECT session_user, current_user;
----
SET
session_user	current_user
g_robert	g_staff

RESET SESSION AUTHORIZATION;
----
RESET

SELECT current_user = session_user AS same;
----
same
t

CREATE TABLE pub (a int); GRANT SELECT ON pub TO PUBLIC; SET ROLE g_staff; SELECT * FROM pub;
----
CREATE TABLE
GRANT
SET
a

INSERT INTO pub VALUES (1);
----
ERROR 42501: permission denied for table pub

RESET ROLE; REVOKE SELECT ON pub FROM PUBLIC; SET ROLE g_staff; SELECT * FROM pub;
----
RESET
REVOKE
SET
ERROR 42501: permission denied for table pub

RESET ROLE;
----
RESET

CREATE POLICY p ON pub USING (true);
----
CREATE POLICY

SET ROLE g_staff; ALTER ROLE g_robert SUPERUSER;
----
SET
ERROR 42501: must be superuser to alter superuser roles or change superuser attribute

VACUUM;
----
VACUUM

RESET ROLE;
----
RESET

DROP TABLE pub, t CASCADE; DROP SCHEMA s CASCADE; DROP ROLE g_robert;
----
NOTICE: drop cascades to view v
DROP TABLE
NOTICE: drop cascades to 2 other objects
DETAIL: drop cascades to table s.x\ndrop cascades to table s.y
DROP SCHEMA
DROP ROLE
