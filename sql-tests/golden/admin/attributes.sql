CREATE ROLE g_maker CREATEROLE; CREATE ROLE g_plain; SET ROLE g_maker;
----
CREATE ROLE
CREATE ROLE
SET

ALTER ROLE g_plain SUPERUSER;
----
ERROR 42501: must be superuser to alter superuser roles or change superuser attribute

ALTER ROLE g_maker SUPERUSER;
----
ERROR 42501: must be superuser to alter superuser roles or change superuser attribute

CREATE ROLE g_super SUPERUSER;
----
ERROR 42501: must be superuser to create superusers

CREATE ROLE g_repl REPLICATION;
----
ERROR 42501: must be superuser to create replication users

CREATE ROLE g_bypass BYPASSRLS;
----
ERROR 42501: must be superuser to create bypassrls users

ALTER ROLE g_plain REPLICATION;
----
ERROR 42501: must be superuser to alter replication roles or change replication attribute

ALTER ROLE g_plain BYPASSRLS;
----
ERROR 42501: must be superuser to change bypassrls attribute

ALTER ROLE admin PASSWORD 'x';
----
ERROR 42501: must be superuser to alter superuser roles or change superuser attribute

ALTER ROLE admin NOSUPERUSER;
----
ERROR 42501: must be superuser to alter superuser roles or change superuser attribute

DROP ROLE admin;
----
ERROR 55006: session user cannot be dropped

GRANT admin TO g_maker;
----
ERROR 42501: must be superuser to alter superusers

CREATE ROLE g_made LOGIN CREATEDB;
----
CREATE ROLE

ALTER ROLE g_made NOCREATEDB CONNECTION LIMIT 3;
----
ALTER ROLE

ALTER ROLE admin SET work_mem = '1MB';
----
ERROR 42501: must be superuser to alter superusers

DROP ROLE g_made;
----
DROP ROLE

SET ROLE admin;
----
SET

SELECT current_user;
----
current_user
admin

RESET ROLE; SET ROLE g_plain;
----
RESET
SET

CREATE ROLE g_other;
----
ERROR 42501: permission denied to create role

ALTER ROLE g_maker LOGIN;
----
ERROR 42501: permission denied

ALTER ROLE g_plain CREATEROLE;
----
ERROR 42501: permission denied

DROP ROLE g_maker;
----
ERROR 42501: permission denied to drop role

GRANT g_maker TO g_plain;
----
ERROR 42501: must have admin option on role "g_maker"

-- open: CREATE DATABASE is not supported yet
CREATE DATABASE g_db;
----
ERROR 42501: permission denied to create database

-- differs: computed catalogs say what they are
ALTER TABLE pg_class ADD COLUMN x int;
----
ERROR 42501: permission denied: "pg_class" is a system catalog

-- differs: computed catalogs say what they are
DELETE FROM pg_class;
----
ERROR 42501: permission denied: "pg_class" is a system catalog

-- differs: computed catalogs leave out rows that are not the reader's
SELECT rolpassword FROM pg_authid;
----
rolpassword

RESET ROLE; DROP ROLE g_maker, g_plain;
----
RESET
DROP ROLE
