CREATE ROLE g_o; CREATE ROLE g_r; GRANT CREATE ON SCHEMA public TO g_o, g_r; CREATE TABLE t (id int PRIMARY KEY, who name, d int); INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN 'g_r' ELSE 'other' END, i % 2 * -1 + 1 FROM generate_series(1, 20) i; ALTER TABLE t OWNER TO g_o;
----
CREATE ROLE
CREATE ROLE
GRANT
CREATE TABLE
INSERT 0 20
ALTER TABLE

SET ROLE g_o;
----
SET

-- a barrier evaluates what may tell of rows only on those it shows
CREATE VIEW open_view AS SELECT * FROM t WHERE who = current_user; CREATE VIEW safe WITH (security_barrier) AS SELECT * FROM t WHERE who = current_user; GRANT SELECT ON open_view, safe TO g_r;
----
CREATE VIEW
CREATE VIEW
GRANT

SET ROLE g_r;
----
SET

SELECT count(*) FROM safe WHERE 1 / d = 1;
----
count
10

SELECT count(*) FROM safe WHERE id > 10 AND 1 / d = 1;
----
count
5

SELECT id FROM safe WHERE id = 4 AND 1 / d = 1;
----
id
4

SELECT count(*) FROM (SELECT * FROM safe) s WHERE 1 / d = 1;
----
count
10

SELECT count(*) FROM safe a JOIN safe b ON a.id = b.id AND 1 / b.d = 1;
----
count
10

SELECT count(*) FROM generate_series(1, 20) g LEFT JOIN safe ON safe.id = g AND 1 / safe.d = 1;
----
count
20

SELECT count(*) FROM generate_series(1, 20) g WHERE EXISTS (SELECT FROM safe WHERE safe.id = g AND 1 / safe.d = 1);
----
count
10

SELECT max(d) FROM safe WHERE 1 / d = 1;
----
max
1

RESET ROLE;
----
RESET

-- an invoker's view acts for who uses it
SET ROLE g_o;
----
SET

ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (who = current_user AND id < 12); CREATE VIEW mine WITH (security_invoker) AS SELECT * FROM t; CREATE VIEW theirs AS SELECT * FROM t; CREATE VIEW over_mine AS SELECT * FROM mine; GRANT SELECT ON mine, theirs, over_mine TO g_r;
----
ALTER TABLE
CREATE POLICY
CREATE VIEW
CREATE VIEW
CREATE VIEW
GRANT

SELECT count(*) FROM mine;
----
count
20

SET ROLE g_r;
----
SET

SELECT count(*) FROM theirs;
----
count
20

SELECT count(*) FROM mine;
----
ERROR 42501: permission denied for table t

SELECT count(*) FROM over_mine;
----
ERROR 42501: permission denied for table t

RESET ROLE;
----
RESET

GRANT SELECT ON t TO g_r;
----
GRANT

SET ROLE g_r;
----
SET

SELECT count(*) FROM theirs;
----
count
20

SELECT count(*) FROM mine;
----
count
5

SELECT count(*) FROM over_mine;
----
count
5

RESET ROLE;
----
RESET

CREATE VIEW v WITH (foo = 1) AS SELECT 1 AS x;
----
ERROR 22023: unrecognized parameter "foo"

CREATE VIEW v WITH (security_barrier = maybe) AS SELECT 1 AS x;
----
ERROR 22023: invalid value for boolean option "security_barrier": maybe

CREATE VIEW v WITH (security_barrier, security_barrier = false) AS SELECT 1 AS x;
----
ERROR 22023: parameter "security_barrier" specified more than once

ALTER VIEW mine RESET (security_invoker);
----
ALTER VIEW

ALTER VIEW safe SET (security_invoker = on);
----
ALTER VIEW

ALTER VIEW safe SET (foo = on);
----
ERROR 22023: unrecognized parameter "foo"

SELECT relname, reloptions FROM pg_class WHERE relname IN ('safe', 'mine') ORDER BY 1;
----
relname	reloptions
mine	\N
safe	{security_barrier=true,security_invoker=on}

CREATE OR REPLACE VIEW safe AS SELECT * FROM t;
----
CREATE VIEW

SELECT relname, reloptions FROM pg_class WHERE relname IN ('safe', 'mine') ORDER BY 1;
----
relname	reloptions
mine	\N
safe	\N
