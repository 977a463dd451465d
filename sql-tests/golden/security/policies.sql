CREATE ROLE g_owner; CREATE ROLE g_alice; CREATE ROLE g_bob; CREATE ROLE g_team; CREATE ROLE g_lead IN ROLE g_team; CREATE ROLE g_lone NOINHERIT IN ROLE g_team; CREATE ROLE g_free BYPASSRLS; GRANT CREATE ON SCHEMA public TO g_owner;
----
CREATE ROLE
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

CREATE TABLE docs (id int PRIMARY KEY, owner name, level int, body text); INSERT INTO docs VALUES (1, 'g_alice', 1, 'a1'), (2, 'g_alice', 5, 'a5'), (3, 'g_bob', 1, 'b1'), (4, 'g_bob', 7, 'b7'), (5, 'g_lead', 2, 'l2');
----
CREATE TABLE
INSERT 0 5

GRANT ALL ON docs TO PUBLIC;
----
GRANT

-- enabled without policy: nobody but the owner sees a row
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
----
ALTER TABLE

SELECT count(*) FROM docs;
----
count
5

SET ROLE g_alice;
----
SET

SELECT count(*), max(level), min(id) FROM docs;
----
count	max	min
0	\N	\N

SELECT id FROM docs WHERE id = 1;
----
id

INSERT INTO docs VALUES (9, 'g_alice', 1, 'x');
----
ERROR 42501: new row violates row-level security policy for table "docs"

UPDATE docs SET level = 0;
----
UPDATE 0

DELETE FROM docs;
----
DELETE 0

SET ROLE g_free;
----
SET

SELECT count(*) FROM docs;
----
count
5

SET ROLE g_owner;
----
SET

ALTER TABLE docs FORCE ROW LEVEL SECURITY;
----
ALTER TABLE

SELECT count(*) FROM docs;
----
count
0

SET row_security = off;
----
SET

SELECT count(*) FROM docs;
----
ERROR 42501: query would be affected by row-level security policy for table "docs"
HINT: To disable the policy for the table's owner, use ALTER TABLE NO FORCE ROW LEVEL SECURITY.

RESET row_security;
----
RESET

ALTER TABLE docs NO FORCE ROW LEVEL SECURITY;
----
ALTER TABLE

-- permissive ones are ORed
CREATE POLICY mine ON docs USING (owner = current_user);
----
CREATE POLICY

CREATE POLICY low ON docs FOR SELECT USING (level < 2);
----
CREATE POLICY

SET ROLE g_alice;
----
SET

SELECT id, body FROM docs ORDER BY id;
----
id	body
1	a1
2	a5
3	b1

SELECT id FROM docs WHERE level > 4;
----
id
2

SELECT d.id, e.id FROM docs d JOIN docs e ON e.owner = d.owner ORDER BY 1, 2;
----
id	id
1	1
1	2
2	1
2	2
3	3

SELECT id FROM docs x WHERE EXISTS (SELECT 1 FROM docs y WHERE y.level > x.level AND y.owner = x.owner) ORDER BY id;
----
id
1

SELECT (SELECT count(*) FROM docs), (SELECT max(body) FROM docs WHERE owner = 'g_bob');
----
count	max
3	b1

WITH w AS (SELECT * FROM docs) SELECT count(*) FROM w;
----
count
3

SELECT x.n FROM docs AS x(k, n, l, b) WHERE x.l = 5;
----
n
g_alice

-- row locks ask for what UPDATE may see, too
SELECT id FROM docs ORDER BY id FOR UPDATE;
----
id
1
2

SELECT id FROM docs ORDER BY id FOR SHARE OF docs;
----
id
1
2

SET row_security = off;
----
SET

SELECT count(*) FROM docs;
----
ERROR 42501: query would be affected by row-level security policy for table "docs"

INSERT INTO docs VALUES (9, 'g_alice', 1, 'x');
----
ERROR 42501: query would be affected by row-level security policy for table "docs"

UPDATE docs SET level = 0;
----
ERROR 42501: query would be affected by row-level security policy for table "docs"

RESET row_security;
----
RESET

SELECT row_security_active('docs');
----
row_security_active
t

-- restrictive ones are ANDed
SET ROLE g_owner;
----
SET

CREATE POLICY cap ON docs AS RESTRICTIVE FOR SELECT TO g_alice USING (level < 5);
----
CREATE POLICY

SELECT row_security_active('docs'), row_security_active('docs'::regclass::oid), row_security_active('pg_class');
----
row_security_active	row_security_active	row_security_active
f	f	f

SET ROLE g_alice;
----
SET

SELECT id FROM docs ORDER BY id;
----
id
1
3

SET ROLE g_bob;
----
SET

SELECT id FROM docs ORDER BY id;
----
id
1
3
4

-- to roles, by inherited membership
SET ROLE g_owner;
----
SET

CREATE POLICY team ON docs FOR SELECT TO g_team USING (level = 7);
----
CREATE POLICY

SET ROLE g_lead;
----
SET

SELECT id FROM docs ORDER BY id;
----
id
1
3
4
5

SET ROLE g_lone;
----
SET

SELECT id FROM docs ORDER BY id;
----
id
1
3

SET ROLE g_team;
----
SET

SELECT id FROM docs ORDER BY id;
----
id
1
3
4

-- members of the owner are the owner
RESET ROLE;
----
RESET

GRANT g_owner TO g_bob;
----
GRANT ROLE

SET ROLE g_bob;
----
SET

SELECT count(*) FROM docs;
----
count
5

RESET ROLE;
----
RESET

REVOKE g_owner FROM g_bob;
----
REVOKE ROLE

SET ROLE g_bob;
----
SET

SELECT count(*) FROM docs;
----
count
3

-- a restrictive policy alone lets nothing through
RESET ROLE;
----
RESET

DROP POLICY mine ON docs; DROP POLICY low ON docs; DROP POLICY team ON docs;
----
DROP POLICY
DROP POLICY
DROP POLICY

SET ROLE g_alice;
----
SET

SELECT count(*) FROM docs;
----
count
0

RESET ROLE;
----
RESET

ALTER TABLE docs DISABLE ROW LEVEL SECURITY;
----
ALTER TABLE

SET ROLE g_alice;
----
SET

SELECT count(*) FROM docs;
----
count
5

RESET ROLE;
----
RESET

-- subqueries in policies act as who asks
CREATE TABLE members (who name, doc int); INSERT INTO members VALUES ('g_alice', 1), ('g_alice', 4), ('g_bob', 2);
----
CREATE TABLE
INSERT 0 3

DROP POLICY cap ON docs; ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
----
DROP POLICY
ALTER TABLE

CREATE POLICY listed ON docs USING (EXISTS (SELECT FROM members m WHERE m.doc = id AND m.who = current_user));
----
CREATE POLICY

SET ROLE g_alice;
----
SET

SELECT id FROM docs;
----
ERROR 42501: permission denied for table members

RESET ROLE;
----
RESET

GRANT SELECT ON members TO PUBLIC;
----
GRANT

SET ROLE g_alice;
----
SET

SELECT id FROM docs ORDER BY id;
----
id
1
4

SELECT id FROM docs WHERE id IN (SELECT doc FROM members) ORDER BY id;
----
id
1
4

UPDATE docs SET body = body || '!' RETURNING id, body;
----
id	body
1	a1!
4	b7!
UPDATE 2

SET ROLE g_bob;
----
SET

DELETE FROM docs RETURNING id;
----
id
2
DELETE 1

RESET ROLE;
----
RESET

-- policies that go in circles
CREATE POLICY circle ON members USING (EXISTS (SELECT FROM docs WHERE docs.id = doc)); ALTER TABLE members ENABLE ROW LEVEL SECURITY;
----
CREATE POLICY
ALTER TABLE

SET ROLE g_alice;
----
SET

SELECT id FROM docs;
----
ERROR 42P17: infinite recursion detected in policy for relation "docs"

SELECT * FROM members;
----
ERROR 42P17: infinite recursion detected in policy for relation "members"

RESET ROLE;
----
RESET

DROP POLICY circle ON members; CREATE POLICY own ON members USING ((SELECT count(*) FROM members) > 0);
----
DROP POLICY
CREATE POLICY

SET ROLE g_alice;
----
SET

SELECT * FROM members;
----
ERROR 42P17: infinite recursion detected in policy for relation "members"

RESET ROLE;
----
RESET

DROP POLICY own ON members; CREATE POLICY seen ON members FOR SELECT USING (true); CREATE POLICY few ON members FOR INSERT WITH CHECK ((SELECT count(*) FROM members) < 4); GRANT INSERT ON members TO PUBLIC;
----
DROP POLICY
CREATE POLICY
CREATE POLICY
GRANT

SET ROLE g_alice;
----
SET

INSERT INTO members VALUES ('g_alice', 3);
----
INSERT 0 1

INSERT INTO members VALUES ('g_alice', 5);
----
ERROR 42501: new row violates row-level security policy for table "members"

RESET ROLE;
----
RESET

-- views act for their owners
CREATE VIEW all_docs AS SELECT id, owner FROM docs; GRANT SELECT ON all_docs TO PUBLIC;
----
CREATE VIEW
GRANT

CREATE VIEW alice_docs AS SELECT id, owner FROM docs; ALTER VIEW alice_docs OWNER TO g_alice; GRANT SELECT ON alice_docs TO PUBLIC;
----
CREATE VIEW
ALTER VIEW
GRANT

SELECT count(*) FROM all_docs;
----
count
4

SELECT id FROM alice_docs;
----
id

SET ROLE g_alice;
----
SET

SELECT count(*) FROM all_docs;
----
count
4

SELECT id FROM alice_docs ORDER BY id;
----
id
1
3
4

SET ROLE g_bob;
----
SET

SELECT count(*) FROM all_docs;
----
count
4

SELECT count(*) FROM alice_docs;
----
count
0

SELECT d.id FROM all_docs a JOIN docs d USING (id);
----
id

-- prepared statements follow role, setting and policies
PREPARE q AS SELECT count(*) FROM docs WHERE id > $1;
----
PREPARE

EXECUTE q(0);
----
count
0

SET ROLE g_alice;
----
SET

EXECUTE q(0);
----
count
3

RESET ROLE;
----
RESET

EXECUTE q(0);
----
count
4

SET ROLE g_alice;
----
SET

EXECUTE q(0);
----
count
3

SET row_security = off;
----
SET

EXECUTE q(0);
----
ERROR 42501: query would be affected by row-level security policy for table "docs"

RESET row_security;
----
RESET

EXECUTE q(0);
----
count
3

RESET ROLE;
----
RESET

ALTER POLICY listed ON docs USING (level = 7);
----
ALTER POLICY

SET ROLE g_alice;
----
SET

EXECUTE q(0);
----
count
1

RESET ROLE;
----
RESET

ALTER ROLE g_alice BYPASSRLS;
----
ALTER ROLE

SET ROLE g_alice;
----
SET

-- differs: there the plan made before the role's attribute changed is kept
EXECUTE q(0);
----
count
4

RESET ROLE;
----
RESET

ALTER ROLE g_alice NOBYPASSRLS;
----
ALTER ROLE

SET ROLE g_alice;
----
SET

EXECUTE q(0);
----
count
1

RESET ROLE;
----
RESET

-- within a transaction, and rolled back
BEGIN; CREATE POLICY more ON docs USING (true); SET LOCAL ROLE g_alice; SELECT count(*) FROM docs; ROLLBACK;
----
BEGIN
CREATE POLICY
SET
count
4
ROLLBACK

SET ROLE g_alice;
----
SET

SELECT count(*) FROM docs;
----
count
1

-- differs: the recorder does not keep COPY data
COPY docs TO STDOUT;
----
4	g_bob	7	b7!
COPY 1

-- differs: the recorder does not keep COPY data
COPY docs (id, owner) TO STDOUT;
----
4	g_bob
COPY 1

COPY docs FROM STDIN;
----
ERROR 0A000: COPY FROM not supported with row-level security
HINT: Use INSERT statements instead.

-- differs: the recorder does not keep COPY data
COPY (SELECT id FROM docs) TO STDOUT;
----
4
COPY 1

TRUNCATE docs;
----
TRUNCATE TABLE

RESET ROLE;
----
RESET

SELECT count(*) FROM docs;
----
count
0
