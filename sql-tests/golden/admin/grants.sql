CREATE ROLE g_owner; CREATE ROLE g_a; CREATE ROLE g_b; CREATE ROLE g_c; CREATE ROLE g_group; CREATE ROLE g_member IN ROLE g_group; GRANT CREATE ON SCHEMA public TO g_owner;
----
CREATE ROLE
CREATE ROLE
CREATE ROLE
CREATE ROLE
CREATE ROLE
CREATE ROLE
GRANT

SET ROLE g_owner;
----
SET

CREATE TABLE t (x int, y int); CREATE SEQUENCE s;
----
CREATE TABLE
CREATE SEQUENCE

RESET ROLE;
----
RESET

-- who is recorded: the owner for who acts in his name, else the role that holds the grant option
GRANT SELECT ON t TO g_a WITH GRANT OPTION; GRANT UPDATE ON t TO g_group WITH GRANT OPTION;
----
GRANT
GRANT

SET ROLE g_a;
----
SET

GRANT SELECT ON t TO g_b WITH GRANT OPTION;
----
GRANT

SET ROLE g_b;
----
SET

GRANT SELECT ON t TO g_c;
----
GRANT

SET ROLE g_member;
----
SET

GRANT UPDATE ON t TO g_c;
----
GRANT

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=r*/g_owner,g_group=w*/g_owner,g_b=r*/g_a,g_c=r/g_b,g_c=w/g_group}

-- what depends on a grant stands in the way of taking it back
REVOKE SELECT ON t FROM g_a;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

REVOKE GRANT OPTION FOR SELECT ON t FROM g_a;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

REVOKE SELECT ON t FROM g_a RESTRICT;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

SET ROLE g_a;
----
SET

REVOKE SELECT ON t FROM g_b;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=r*/g_owner,g_group=w*/g_owner,g_b=r*/g_a,g_c=r/g_b,g_c=w/g_group}

-- only the grantor's own grants are taken back
REVOKE SELECT ON t FROM g_b; REVOKE SELECT ON t FROM g_c; SELECT relacl FROM pg_class WHERE relname = 't';
----
REVOKE
REVOKE
relacl
{g_owner=arwdDxt/g_owner,g_a=r*/g_owner,g_group=w*/g_owner,g_b=r*/g_a,g_c=r/g_b,g_c=w/g_group}

SET ROLE g_a;
----
SET

REVOKE SELECT ON t FROM g_c;
----
REVOKE

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=r*/g_owner,g_group=w*/g_owner,g_b=r*/g_a,g_c=r/g_b,g_c=w/g_group}

REVOKE GRANT OPTION FOR SELECT ON t FROM g_a CASCADE; SELECT relacl FROM pg_class WHERE relname = 't';
----
REVOKE
relacl
{g_owner=arwdDxt/g_owner,g_a=r/g_owner,g_group=w*/g_owner,g_c=w/g_group}

REVOKE ALL ON t FROM g_group CASCADE; SELECT relacl FROM pg_class WHERE relname = 't';
----
REVOKE
relacl
{g_owner=arwdDxt/g_owner,g_a=r/g_owner}

-- two grantors: one grant option is enough to keep what was granted on
GRANT SELECT ON t TO g_a, g_b WITH GRANT OPTION;
----
GRANT

SET ROLE g_a;
----
SET

GRANT SELECT ON t TO g_c WITH GRANT OPTION;
----
GRANT

SET ROLE g_b;
----
SET

GRANT SELECT ON t TO g_c WITH GRANT OPTION;
----
GRANT

SET ROLE g_c;
----
SET

GRANT SELECT ON t TO g_member;
----
GRANT

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=r*/g_owner,g_b=r*/g_owner,g_c=r*/g_a,g_c=r*/g_b,g_member=r/g_c}

SET ROLE g_a;
----
SET

REVOKE SELECT ON t FROM g_c;
----
REVOKE

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=r*/g_owner,g_b=r*/g_owner,g_c=r*/g_b,g_member=r/g_c}

SET ROLE g_b;
----
SET

REVOKE SELECT ON t FROM g_c;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

REVOKE SELECT ON t FROM g_c CASCADE;
----
REVOKE

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=r*/g_owner,g_b=r*/g_owner}

-- not back to where it came from
SET ROLE g_a;
----
SET

GRANT SELECT ON t TO g_owner WITH GRANT OPTION;
----
GRANT

GRANT SELECT ON t TO g_c WITH GRANT OPTION;
----
GRANT

SET ROLE g_c;
----
SET

GRANT SELECT ON t TO g_a WITH GRANT OPTION;
----
ERROR 0LP01: grant options cannot be granted back to your own grantor

GRANT SELECT ON t TO g_a;
----
GRANT

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=r*/g_owner,g_b=r*/g_owner,g_owner=r*/g_a,g_c=r*/g_a,g_a=r/g_c}

REVOKE ALL ON t FROM g_a, g_b CASCADE; SELECT relacl FROM pg_class WHERE relname = 't';
----
REVOKE
relacl
{g_owner=arwdDxt/g_owner}

-- some and none
GRANT SELECT, INSERT ON t TO g_a WITH GRANT OPTION; GRANT UPDATE ON t TO g_a;
----
GRANT
GRANT

SET ROLE g_a;
----
SET

GRANT SELECT, UPDATE ON t TO g_b;
----
WARNING: not all privileges were granted for "t"
GRANT

GRANT UPDATE ON t TO g_b;
----
WARNING: no privileges were granted for "t"
GRANT

GRANT ALL ON t TO g_b;
----
GRANT

-- differs: no system columns, and no word about columns
REVOKE SELECT, UPDATE ON t FROM g_b;
----
WARNING: not all privileges could be revoked for "t"
REVOKE

-- differs: no system columns, and no word about columns
REVOKE UPDATE ON t FROM g_b;
----
WARNING: no privileges could be revoked for "t"
REVOKE

REVOKE ALL ON t FROM g_b;
----
REVOKE

SET ROLE g_c;
----
SET

GRANT SELECT ON t TO g_b;
----
ERROR 42501: permission denied for table t

REVOKE SELECT ON t FROM g_b;
----
ERROR 42501: permission denied for table t

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=a*r*w/g_owner}

-- columns: by a grant option of the table, and taken with the table's
SET ROLE g_a;
----
SET

GRANT SELECT (x), INSERT (y) ON t TO g_b; GRANT UPDATE (x) ON t TO g_b;
----
GRANT
WARNING: no privileges were granted for column "x" of relation "t"
GRANT

RESET ROLE;
----
RESET

SELECT attname, attacl FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
----
attname	attacl
x	{g_b=r/g_a}
y	{g_b=a/g_a}

REVOKE SELECT ON t FROM g_a;
----
REVOKE

GRANT SELECT (x) ON t TO g_c WITH GRANT OPTION;
----
GRANT

SET ROLE g_c;
----
SET

GRANT SELECT (x) ON t TO g_member; GRANT SELECT (y) ON t TO g_member;
----
GRANT
ERROR 42501: permission denied for column "y" of relation "t"

RESET ROLE;
----
RESET

REVOKE SELECT (x) ON t FROM g_c;
----
REVOKE

REVOKE SELECT (x) ON t FROM g_c CASCADE; SELECT attname, attacl FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
----
REVOKE
attname	attacl
x	{g_b=r/g_a}
y	{g_b=a/g_a}

GRANT SELECT (x) ON t TO g_c WITH GRANT OPTION;
----
GRANT

SET ROLE g_c;
----
SET

GRANT SELECT (x) ON t TO g_member;
----
GRANT

RESET ROLE;
----
RESET

REVOKE SELECT ON t FROM g_c;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

REVOKE SELECT ON t FROM g_c CASCADE; SELECT attname, attacl FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
----
REVOKE
attname	attacl
x	{g_b=r/g_a}
y	{g_b=a/g_a}

-- sequences and schemas
GRANT USAGE ON SEQUENCE s TO g_a WITH GRANT OPTION;
----
GRANT

SET ROLE g_a;
----
SET

GRANT USAGE ON SEQUENCE s TO g_b;
----
GRANT

RESET ROLE;
----
RESET

REVOKE USAGE ON SEQUENCE s FROM g_a;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

REVOKE ALL ON SEQUENCE s FROM g_a CASCADE; SELECT relacl FROM pg_class WHERE relname = 's';
----
REVOKE
relacl
{g_owner=rwU/g_owner}

CREATE SCHEMA sc AUTHORIZATION g_owner; GRANT USAGE ON SCHEMA sc TO g_a WITH GRANT OPTION;
----
CREATE SCHEMA
GRANT

SET ROLE g_a;
----
SET

GRANT USAGE ON SCHEMA sc TO PUBLIC;
----
GRANT

RESET ROLE;
----
RESET

REVOKE USAGE ON SCHEMA sc FROM g_a;
----
ERROR 2BP01: dependent privileges exist
HINT: Use CASCADE to revoke them too.

SELECT nspacl FROM pg_namespace WHERE nspname = 'sc';
----
nspacl
{g_owner=UC/g_owner,g_a=U*/g_owner,=U/g_a}

-- the owner keeps the right to grant what he took from himself
SET ROLE g_owner;
----
SET

REVOKE ALL ON t FROM g_owner; SELECT * FROM t;
----
REVOKE
ERROR 42501: permission denied for table t

GRANT SELECT ON t TO g_owner; SELECT * FROM t;
----
GRANT
x	y

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_owner=arwdDxt/g_owner,g_a=a*w/g_owner}

-- a new owner takes the place of the old one
GRANT DELETE ON t TO g_b; ALTER TABLE t OWNER TO g_a; SELECT relacl FROM pg_class WHERE relname = 't';
----
GRANT
ALTER TABLE
relacl
{g_a=a*rwdDxt/g_a,g_b=d/g_a}

SET ROLE g_a;
----
SET

REVOKE DELETE ON t FROM g_b;
----
REVOKE

RESET ROLE;
----
RESET

SELECT relacl FROM pg_class WHERE relname = 't';
----
relacl
{g_a=a*rwdDxt/g_a}

-- DROP OWNED takes what was granted, and what was granted on
GRANT SELECT ON t TO g_b WITH GRANT OPTION;
----
GRANT

SET ROLE g_b;
----
SET

GRANT SELECT ON t TO g_c;
----
GRANT

RESET ROLE;
----
RESET

DROP OWNED BY g_b; SELECT relacl FROM pg_class WHERE relname = 't';
----
DROP OWNED
relacl
{g_a=a*rwdDxt/g_a}

DROP ROLE g_b;
----
DROP ROLE

GRANT SELECT ON t TO PUBLIC WITH GRANT OPTION;
----
ERROR 0LP01: grant options can only be granted to roles

GRANT SELECT ON t TO g_c GRANTED BY g_owner;
----
ERROR 0A000: grantor must be current user

DROP TABLE t; DROP SEQUENCE s; DROP SCHEMA sc; DROP OWNED BY g_owner, g_a, g_c; DROP ROLE g_owner, g_a, g_c, g_member, g_group;
----
DROP TABLE
DROP SEQUENCE
DROP SCHEMA
DROP OWNED
DROP ROLE
