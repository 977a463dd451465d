CREATE ROLE g_b; CREATE ROLE g_c; CREATE TABLE t (a int, b text, own name); CREATE VIEW v AS SELECT a FROM t; CREATE SEQUENCE sq;
----
CREATE ROLE
CREATE ROLE
CREATE TABLE
CREATE VIEW
CREATE SEQUENCE

CREATE POLICY p ON t;
----
CREATE POLICY

CREATE POLICY p ON t;
----
ERROR 42710: policy "p" for table "t" already exists

CREATE POLICY p ON v;
----
ERROR 42809: "v" is not a table

CREATE POLICY p ON nix;
----
ERROR 42P01: relation "nix" does not exist

CREATE POLICY p ON pg_class;
----
ERROR 42501: permission denied: "pg_class" is a system catalog

CREATE POLICY p2 ON t FOR SELECT WITH CHECK (true);
----
ERROR 42601: WITH CHECK cannot be applied to SELECT or DELETE

CREATE POLICY p2 ON t FOR DELETE WITH CHECK (true);
----
ERROR 42601: WITH CHECK cannot be applied to SELECT or DELETE

CREATE POLICY p2 ON t FOR INSERT USING (true);
----
ERROR 42601: only WITH CHECK expression allowed for INSERT

CREATE POLICY p2 ON t TO public, g_b USING (a = 1);
----
WARNING: ignoring specified roles other than PUBLIC
HINT: All roles are members of the PUBLIC role.
CREATE POLICY

CREATE POLICY p3 ON t USING (a);
----
ERROR 42804: argument of POLICY must be type boolean, not type integer

CREATE POLICY p3 ON t USING (count(*) > 1);
----
ERROR 42803: aggregate functions are not allowed in policy expressions

CREATE POLICY p3 ON t USING (row_number() OVER () = 1);
----
ERROR 42P20: window functions are not allowed in policy expressions

CREATE POLICY p3 ON t USING (generate_series(1, 2) = 1);
----
ERROR 0A000: set-returning functions are not allowed in policy expressions

CREATE POLICY p3 ON t USING (nope = 1);
----
ERROR 42703: column "nope" does not exist

CREATE POLICY p3 ON t AS foo;
----
ERROR 42601: unrecognized row security option "foo"
HINT: Only PERMISSIVE or RESTRICTIVE policies are supported currently.

CREATE POLICY p3 ON t TO g_nobody;
----
ERROR 42704: role "g_nobody" does not exist

ALTER POLICY nix ON t TO g_b;
----
ERROR 42704: policy "nix" for table "t" does not exist

ALTER POLICY p2 ON t TO g_b, g_c USING (a = 2) WITH CHECK (a = 3);
----
ALTER POLICY

CREATE POLICY ps ON t FOR SELECT USING (true); CREATE POLICY pi ON t FOR INSERT WITH CHECK (true);
----
CREATE POLICY
CREATE POLICY

ALTER POLICY ps ON t WITH CHECK (true);
----
ERROR 42601: only USING expression allowed for SELECT, DELETE

ALTER POLICY pi ON t USING (true);
----
ERROR 42601: only WITH CHECK expression allowed for INSERT

ALTER POLICY ps ON t RENAME TO p;
----
ERROR 42710: policy "p" for table "t" already exists

ALTER POLICY ps ON t RENAME TO ps2;
----
ALTER POLICY

ALTER POLICY nix ON t RENAME TO other;
----
ERROR 42704: policy "nix" for table "t" does not exist

DROP POLICY nix ON t;
----
ERROR 42704: policy "nix" for table "t" does not exist

DROP POLICY IF EXISTS nix ON t;
----
NOTICE: policy "nix" for relation "t" does not exist, skipping
DROP POLICY

DROP POLICY IF EXISTS nix ON nixt;
----
NOTICE: relation "nixt" does not exist, skipping
DROP POLICY

DROP POLICY nix ON nixt;
----
ERROR 42P01: relation "nixt" does not exist

DROP POLICY p ON v;
----
ERROR 42704: policy "p" for table "v" does not exist

ALTER TABLE v ENABLE ROW LEVEL SECURITY;
----
ERROR 42809: ALTER action ENABLE ROW SECURITY cannot be performed on relation "v"
DETAIL: This operation is not supported for views.

ALTER TABLE sq FORCE ROW LEVEL SECURITY;
----
ERROR 42809: ALTER action FORCE ROW SECURITY cannot be performed on relation "sq"
DETAIL: This operation is not supported for sequences.

DROP VIEW v;
----
DROP VIEW

ALTER TABLE t DROP COLUMN a;
----
ERROR 2BP01: cannot drop column a of table t because other objects depend on it
DETAIL: policy p2 on table t depends on column a of table t
HINT: Use DROP ... CASCADE to drop the dependent objects too.

ALTER TABLE t ALTER COLUMN a TYPE bigint;
----
ERROR 0A000: cannot alter type of a column used in a policy definition
DETAIL: policy p2 on table t depends on column "a"

ALTER TABLE t ALTER COLUMN b TYPE varchar;
----
ALTER TABLE

DROP ROLE g_b;
----
ERROR 2BP01: role "g_b" cannot be dropped because some objects depend on it
DETAIL: target of policy p2 on table t

CREATE TABLE m (doc int, who name); CREATE POLICY pm ON t USING (EXISTS (SELECT 1 FROM m WHERE m.doc = a AND who = current_user));
----
CREATE TABLE
CREATE POLICY

DROP TABLE m;
----
ERROR 2BP01: cannot drop table m because other objects depend on it
DETAIL: policy pm on table t depends on table m
HINT: Use DROP ... CASCADE to drop the dependent objects too.

ALTER TABLE m DROP COLUMN who;
----
ERROR 2BP01: cannot drop column who of table m because other objects depend on it
DETAIL: policy pm on table t depends on column who of table m
HINT: Use DROP ... CASCADE to drop the dependent objects too.

ALTER TABLE m RENAME COLUMN doc TO docu;
----
ALTER TABLE

ALTER TABLE m RENAME TO mm;
----
ALTER TABLE

ALTER TABLE t RENAME COLUMN a TO aa;
----
ALTER TABLE

ALTER TABLE t RENAME TO tt;
----
ALTER TABLE

SELECT * FROM pg_policies ORDER BY policyname;
----
schemaname	tablename	policyname	permissive	roles	cmd	qual	with_check
public	tt	p	PERMISSIVE	{public}	ALL	\N	\N
public	tt	p2	PERMISSIVE	{g_b,g_c}	ALL	(aa = 2)	(aa = 3)
public	tt	pi	PERMISSIVE	{public}	INSERT	\N	true
public	tt	pm	PERMISSIVE	{public}	ALL	(EXISTS ( SELECT 1\n   FROM mm\n  WHERE ((mm.docu = tt.aa) AND (mm.who = CURRENT_USER))))	\N
public	tt	ps2	PERMISSIVE	{public}	SELECT	true	\N

SELECT polname, polrelid::regclass, polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polname <> 'p2' ORDER BY polname;
----
polname	polrelid	polcmd	polpermissive	polroles	pg_get_expr	pg_get_expr
p	tt	*	t	{0}	\N	\N
pi	tt	a	t	{0}	\N	true
pm	tt	*	t	{0}	(EXISTS ( SELECT 1\n   FROM mm\n  WHERE ((mm.docu = tt.aa) AND (mm.who = CURRENT_USER))))	\N
ps2	tt	r	t	{0}	true	\N

CREATE SCHEMA elsewhere; ALTER TABLE mm SET SCHEMA elsewhere;
----
CREATE SCHEMA
ALTER TABLE

SELECT qual FROM pg_policies WHERE policyname = 'pm';
----
qual
(EXISTS ( SELECT 1\n   FROM elsewhere.mm\n  WHERE ((mm.docu = tt.aa) AND (mm.who = CURRENT_USER))))

SET search_path = elsewhere;
----
SET

SELECT qual FROM pg_policies WHERE policyname = 'pm';
----
qual
(EXISTS ( SELECT 1\n   FROM mm\n  WHERE ((mm.docu = tt.aa) AND (mm.who = CURRENT_USER))))

RESET search_path;
----
RESET

ALTER TABLE elsewhere.mm SET SCHEMA public; ALTER TABLE tt RENAME TO t; ALTER TABLE t RENAME COLUMN aa TO a;
----
ALTER TABLE
ALTER TABLE
ALTER TABLE

CREATE POLICY pw ON t USING ((SELECT max(doc) FROM (VALUES (1)) AS x(doc)) > t.a);
----
CREATE POLICY

SELECT qual FROM pg_policies WHERE policyname = 'pw';
----
qual
(( SELECT max(x.doc) AS max\n   FROM ( VALUES (1)) x(doc)) > a)

COMMENT ON POLICY pm ON t IS 'who is listed';
----
COMMENT

COMMENT ON POLICY nix ON t IS 'x';
----
ERROR 42704: policy "nix" for table "t" does not exist

SELECT obj_description(oid, 'pg_policy') FROM pg_policy WHERE polname = 'pm';
----
obj_description
who is listed

SET ROLE g_b;
----
SET

CREATE POLICY pz ON t;
----
ERROR 42501: must be owner of table t

ALTER POLICY p ON t TO g_b;
----
ERROR 42501: must be owner of table t

ALTER POLICY p ON t RENAME TO zz;
----
ERROR 42501: must be owner of table t

DROP POLICY p ON t;
----
ERROR 42501: must be owner of relation t

COMMENT ON POLICY pm ON t IS 'y';
----
ERROR 42501: must be owner of relation t

ALTER TABLE t ENABLE ROW LEVEL SECURITY;
----
ERROR 42501: must be owner of table t

RESET ROLE;
----
RESET

SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname IN ('t', 'mm') ORDER BY 1;
----
relname	relrowsecurity	relforcerowsecurity
mm	f	f
t	f	f

ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
----
ALTER TABLE

SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname IN ('t', 'mm') ORDER BY 1;
----
relname	relrowsecurity	relforcerowsecurity
mm	f	f
t	t	t

SELECT tablename, rowsecurity FROM pg_tables WHERE schemaname = 'public' ORDER BY 1;
----
tablename	rowsecurity
mm	f
t	t

ALTER TABLE t DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
----
ALTER TABLE

SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = 't';
----
relname	relrowsecurity	relforcerowsecurity
t	f	f

DROP OWNED BY g_b;
----
DROP OWNED

SELECT policyname, roles FROM pg_policies ORDER BY 1;
----
policyname	roles
p	{public}
p2	{g_c}
pi	{public}
pm	{public}
ps2	{public}
pw	{public}

DROP TABLE mm CASCADE;
----
NOTICE: drop cascades to policy pm on table t
DROP TABLE

DROP OWNED BY g_c;
----
DROP OWNED

SELECT policyname, roles FROM pg_policies ORDER BY 1;
----
policyname	roles
p	{public}
pi	{public}
ps2	{public}
pw	{public}

DROP ROLE g_b, g_c;
----
DROP ROLE

BEGIN; DROP TABLE t; SELECT count(*) FROM pg_policy; ROLLBACK;
----
BEGIN
DROP TABLE
count
0
ROLLBACK

SELECT count(*) FROM pg_policy;
----
count
4

BEGIN; ALTER POLICY p ON t RENAME TO q; SAVEPOINT s; DROP POLICY q ON t; SELECT policyname FROM pg_policies ORDER BY 1; ROLLBACK TO s; SELECT policyname FROM pg_policies ORDER BY 1; COMMIT;
----
BEGIN
ALTER POLICY
SAVEPOINT
DROP POLICY
policyname
pi
ps2
pw
ROLLBACK
policyname
pi
ps2
pw
q
COMMIT

DROP TABLE t;
----
DROP TABLE

SELECT count(*) FROM pg_policy;
----
count
0
