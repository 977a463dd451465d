-- what psql's \d asks of a table's policies, \dp of all, and pg_dump
CREATE ROLE g_b; CREATE ROLE "g-C"; CREATE TABLE docs (id int PRIMARY KEY, own name, lvl int); CREATE TABLE m (doc int, who name); GRANT SELECT ON docs TO PUBLIC;
----
CREATE ROLE
CREATE ROLE
CREATE TABLE
CREATE TABLE
GRANT

CREATE POLICY p ON docs; CREATE POLICY p2 ON docs AS RESTRICTIVE FOR UPDATE TO g_b, "g-C" USING (lvl > 2) WITH CHECK (lvl < 9 AND own IS NOT NULL); CREATE POLICY p3 ON docs FOR SELECT USING (own = current_user OR lvl BETWEEN 1 AND 3); CREATE POLICY p4 ON docs FOR INSERT WITH CHECK (EXISTS (SELECT 1 FROM m WHERE m.doc = docs.id AND who = current_user)); CREATE POLICY p5 ON docs FOR DELETE TO g_b USING (id IN (SELECT doc FROM m WHERE who = own)); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
----
CREATE POLICY
CREATE POLICY
CREATE POLICY
CREATE POLICY
CREATE POLICY
ALTER TABLE

SELECT pol.polname, pol.polpermissive, CASE WHEN pol.polroles = '{0}' THEN NULL ELSE pg_catalog.array_to_string(array(select rolname from pg_catalog.pg_roles where oid = any (pol.polroles) order by 1),',') END, pg_catalog.pg_get_expr(pol.polqual, pol.polrelid), pg_catalog.pg_get_expr(pol.polwithcheck, pol.polrelid), CASE pol.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END AS cmd FROM pg_catalog.pg_policy pol WHERE pol.polrelid = 'docs'::regclass ORDER BY 1;
----
polname	polpermissive	array_to_string	pg_get_expr	pg_get_expr	cmd
p	t	\N	\N	\N	\N
p2	f	g-C,g_b	(lvl > 2)	((lvl < 9) AND (own IS NOT NULL))	UPDATE
p3	t	\N	((own = CURRENT_USER) OR ((lvl >= 1) AND (lvl <= 3)))	\N	SELECT
p4	t	\N	\N	(EXISTS ( SELECT 1\n   FROM m\n  WHERE ((m.doc = docs.id) AND (m.who = CURRENT_USER))))	INSERT
p5	t	g_b	(id IN ( SELECT m.doc\n   FROM m\n  WHERE (m.who = docs.own)))	\N	DELETE

SELECT c.relname, pg_catalog.array_to_string(ARRAY(SELECT polname || CASE WHEN NOT polpermissive THEN E' (RESTRICTIVE)' ELSE '' END || CASE WHEN polcmd != '*' THEN E' (' || polcmd::pg_catalog.text || E'):' ELSE E':' END || CASE WHEN polqual IS NOT NULL THEN E'\n  (u): ' || pg_catalog.pg_get_expr(polqual, polrelid) ELSE E'' END || CASE WHEN polwithcheck IS NOT NULL THEN E'\n  (c): ' || pg_catalog.pg_get_expr(polwithcheck, polrelid) ELSE E'' END || CASE WHEN polroles <> '{0}' THEN E'\n  to: ' || pg_catalog.array_to_string(ARRAY(SELECT rolname FROM pg_catalog.pg_roles WHERE oid = ANY (polroles) ORDER BY 1), E', ') ELSE E'' END FROM pg_catalog.pg_policy pol WHERE polrelid = c.oid ORDER BY polname), E'\n') AS "Policies" FROM pg_catalog.pg_class c WHERE c.relname IN ('docs', 'm') ORDER BY 1;
----
relname	Policies
docs	p:\np2 (RESTRICTIVE) (w):\n  (u): (lvl > 2)\n  (c): ((lvl < 9) AND (own IS NOT NULL))\n  to: g-C, g_b\np3 (r):\n  (u): ((own = CURRENT_USER) OR ((lvl >= 1) AND (lvl <= 3)))\np4 (a):\n  (c): (EXISTS ( SELECT 1\n   FROM m\n  WHERE ((m.doc = docs.id) AND (m.who = CURRENT_USER))))\np5 (d):\n  (u): (id IN ( SELECT m.doc\n   FROM m\n  WHERE (m.who = docs.own)))\n  to: g_b
m	''

SELECT pol.polname, pol.polcmd, pol.polpermissive, CASE WHEN pol.polroles = '{0}' THEN NULL ELSE pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.quote_ident(rolname) from pg_catalog.pg_roles WHERE oid = ANY(pol.polroles) ORDER BY 1), ', ') END AS polroles, pg_catalog.pg_get_expr(pol.polqual, pol.polrelid) AS polqual, pg_catalog.pg_get_expr(pol.polwithcheck, pol.polrelid) AS polwithcheck FROM unnest(ARRAY['docs'::regclass::oid, 'm'::regclass::oid]) AS src(tbloid) JOIN pg_catalog.pg_policy pol ON (src.tbloid = pol.polrelid) ORDER BY polname;
----
polname	polcmd	polpermissive	polroles	polqual	polwithcheck
p	*	t	\N	\N	\N
p2	w	f	"g-C", g_b	(lvl > 2)	((lvl < 9) AND (own IS NOT NULL))
p3	r	t	\N	((own = CURRENT_USER) OR ((lvl >= 1) AND (lvl <= 3)))	\N
p4	a	t	\N	\N	(EXISTS ( SELECT 1\n   FROM m\n  WHERE ((m.doc = docs.id) AND (m.who = CURRENT_USER))))
p5	d	t	g_b	(id IN ( SELECT m.doc\n   FROM m\n  WHERE (m.who = docs.own)))	\N

SELECT * FROM pg_policies ORDER BY policyname;
----
schemaname	tablename	policyname	permissive	roles	cmd	qual	with_check
public	docs	p	PERMISSIVE	{public}	ALL	\N	\N
public	docs	p2	RESTRICTIVE	{g-C,g_b}	UPDATE	(lvl > 2)	((lvl < 9) AND (own IS NOT NULL))
public	docs	p3	PERMISSIVE	{public}	SELECT	((own = CURRENT_USER) OR ((lvl >= 1) AND (lvl <= 3)))	\N
public	docs	p4	PERMISSIVE	{public}	INSERT	\N	(EXISTS ( SELECT 1\n   FROM m\n  WHERE ((m.doc = docs.id) AND (m.who = CURRENT_USER))))
public	docs	p5	PERMISSIVE	{g_b}	DELETE	(id IN ( SELECT m.doc\n   FROM m\n  WHERE (m.who = docs.own)))	\N

SET ROLE g_b;
----
SET

SELECT policyname, qual FROM pg_policies ORDER BY policyname;
----
policyname	qual
p	\N
p2	(lvl > 2)
p3	((own = CURRENT_USER) OR ((lvl >= 1) AND (lvl <= 3)))
p4	\N
p5	(id IN ( SELECT m.doc\n   FROM m\n  WHERE (m.who = docs.own)))

SELECT row_security_active('docs'), row_security_active('m');
----
row_security_active	row_security_active
t	f

SELECT row_security_active('nix');
----
ERROR 42P01: relation "nix" does not exist

SELECT row_security_active(0);
----
row_security_active
f

RESET ROLE;
----
RESET
