CREATE ROLE g_r; CREATE TABLE t (id int PRIMARY KEY, tenant text, d int, word text, x numeric); CREATE INDEX ON t (d); CREATE INDEX ON t (x); CREATE INDEX ON t (word);
----
CREATE ROLE
CREATE TABLE
CREATE INDEX
CREATE INDEX
CREATE INDEX

INSERT INTO t SELECT i, CASE WHEN i % 10 = 0 THEN 'g_r' ELSE 'other' END, i % 10 + 1, 'w' || i, i FROM generate_series(1, 500) i; UPDATE t SET d = 0, word = 'not a number', x = 0 WHERE tenant = 'other' AND id % 7 = 0; UPDATE t SET word = id::text WHERE tenant = 'g_r'; ANALYZE t;
----
INSERT 0 500
UPDATE 64
UPDATE 50
ANALYZE

GRANT SELECT ON t TO g_r; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (tenant = current_user);
----
GRANT
ALTER TABLE
CREATE POLICY

SET ROLE g_r;
----
SET

-- conditions that would fail on rows that are not seen
SELECT count(*) FROM t WHERE 100 / d > 0;
----
count
50

SELECT count(*) FROM t WHERE 1 / x > 0;
----
count
50

SELECT count(*) FROM t WHERE word::int > 0;
----
count
50

SELECT count(*) FROM t WHERE id > 10 AND 100 / d > 0 AND id < 100;
----
count
8

SELECT count(*) FROM t WHERE d = 0 AND 1 / d = 1;
----
count
0

SELECT count(*) FROM t WHERE id = 7 AND 1 / d = 1;
----
count
0

SELECT count(*) FROM t a JOIN t b ON a.id = b.id AND 1 / b.d >= 0;
----
count
50

SELECT count(*) FROM t a JOIN t b ON b.id = a.id AND b.word::int = a.id;
----
count
50

SELECT count(*) FROM generate_series(1, 500) g JOIN t ON t.id = g AND 1 / t.d >= 0;
----
count
50

SELECT count(*) FROM generate_series(1, 500) g LEFT JOIN t ON t.id = g AND t.word::int > 0;
----
count
500

SELECT count(*) FROM generate_series(1, 500) g WHERE EXISTS (SELECT FROM t WHERE t.id = g AND 1 / t.d >= 0);
----
count
50

SELECT count(*) FROM generate_series(1, 500) g WHERE g IN (SELECT id FROM t WHERE word::int > 0);
----
count
50

SELECT count(*) FROM (SELECT * FROM t) s WHERE 1 / d >= 0;
----
count
50

SELECT count(*) FROM (SELECT id, 1 / d AS r FROM t) s WHERE r >= 0;
----
count
50

SELECT max(id), min(id) FROM t WHERE 1 / d >= 0;
----
max	min
500	10

SELECT max(d), min(word), min(x) FROM t;
----
max	min	min
1	10	10

SELECT id FROM t WHERE 1 / d >= 0 ORDER BY id LIMIT 2;
----
id
10
20

SELECT id FROM t WHERE x = 20;
----
id
20

SELECT id FROM t WHERE x < 25;
----
id
10
20

SELECT count(*) FROM t WHERE CASE WHEN tenant = 'other' THEN 1 / (d - d) = 1 ELSE true END;
----
count
50

WITH RECURSIVE w AS (SELECT id FROM t WHERE 1 / d >= 0 AND id = 10 UNION ALL SELECT t.id FROM t JOIN w ON t.id = w.id + 10 AND 1 / t.d >= 0) SELECT count(*) FROM w;
----
count
50

SELECT tenant, sum(1 / d) FROM t GROUP BY tenant HAVING min(word::int) > 0;
----
tenant	sum
g_r	50

SELECT count(*) FROM t WHERE d IN (0, 1) AND word LIKE '%0';
----
count
50

-- no statistics of what is not seen
SELECT count(*) FROM pg_stats WHERE tablename = 't';
----
count
0

RESET ROLE;
----
RESET

SELECT count(*) FROM pg_stats WHERE tablename = 't';
----
count
5

ALTER TABLE t DISABLE ROW LEVEL SECURITY;
----
ALTER TABLE

SET ROLE g_r;
----
SET

SELECT count(*) FROM pg_stats WHERE tablename = 't';
----
count
5

RESET ROLE;
----
RESET

REVOKE SELECT ON t FROM g_r; GRANT SELECT (id, d) ON t TO g_r;
----
REVOKE
GRANT

SET ROLE g_r;
----
SET

SELECT attname FROM pg_stats WHERE tablename = 't' ORDER BY 1;
----
attname
d
id

RESET ROLE;
----
RESET
