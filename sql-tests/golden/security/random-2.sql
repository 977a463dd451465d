CREATE ROLE g_a; CREATE ROLE g_b; CREATE ROLE g_c IN ROLE g_a; CREATE ROLE g_d BYPASSRLS; CREATE ROLE g_o; GRANT CREATE ON SCHEMA public TO g_o;
----
CREATE ROLE
CREATE ROLE
CREATE ROLE
CREATE ROLE
CREATE ROLE
GRANT

SET ROLE g_o;
----
SET

CREATE TABLE t (id int PRIMARY KEY, o name, n int, m int); CREATE INDEX ON t (n); CREATE TABLE u (id int, k int);
----
CREATE TABLE
CREATE INDEX
CREATE TABLE

GRANT ALL ON t, u TO g_a, g_b, g_d;
----
GRANT

INSERT INTO t SELECT i, CASE i % 3 WHEN 0 THEN 'g_a' WHEN 1 THEN 'g_b' ELSE 'g_c' END, i % 7, i % 5 FROM generate_series(1, 30) i; INSERT INTO u SELECT i % 15, i % 4 FROM generate_series(1, 20) i;
----
INSERT 0 30
INSERT 0 20

ALTER TABLE t ENABLE ROW LEVEL SECURITY;
----
ALTER TABLE

CREATE POLICY p1 ON t FOR UPDATE TO g_o USING (EXISTS (SELECT FROM u WHERE u.id = t.id AND u.k > 0)) WITH CHECK (id < 20);
----
CREATE POLICY

CREATE POLICY p2 ON t AS RESTRICTIVE FOR INSERT TO g_b WITH CHECK (true);
----
CREATE POLICY

CREATE POLICY p3 ON t FOR UPDATE TO g_b USING (EXISTS (SELECT FROM u WHERE u.id = t.id AND u.k > 0)) WITH CHECK (NULL::bool);
----
CREATE POLICY

UPDATE t SET m = 2 WHERE id = 31;
----
UPDATE 0

SELECT u.id, t.n FROM u LEFT JOIN t ON t.id = u.id ORDER BY 1, 2, u.k;
----
id	n
0	\N
1	1
1	1
2	2
2	2
3	3
3	3
4	4
4	4
5	5
5	5
6	6
7	0
8	1
9	2
10	3
11	4
12	5
13	6
14	0

INSERT INTO t VALUES (5, 'g_b', 0, 3);
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (id)=(5) already exists.

DELETE FROM t WHERE n > 1;
----
DELETE 21

DELETE FROM t WHERE m < n;
----
DELETE 1

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

WITH w AS (UPDATE t SET n = 5 WHERE m = 3 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
8
28

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

WITH w AS (UPDATE t SET n = 5 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
1
7
8
14
21
22
28
29

DELETE FROM t WHERE o = 'g_a';
----
DELETE 1

INSERT INTO t VALUES (18, 'g_b', 8, 5);
----
INSERT 0 1

INSERT INTO t VALUES (15, 'g_b', 1, 1) ON CONFLICT (id) DO UPDATE SET o = 'g_a' RETURNING id, n;
----
id	n
15	1
INSERT 0 1

WITH w AS (DELETE FROM t WHERE id IN (3, 6, 9, 12) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

DROP POLICY p1 ON t;
----
DROP POLICY

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

SELECT * FROM t WHERE 10 / n > 1 ORDER BY id;
----
id	o	n	m

INSERT INTO t VALUES (13, 'g_c', 4, 2);
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (34, 'g_b', 2, 4) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (4, 'g_a', 0, 6) ON CONFLICT (id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2 RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

DELETE FROM t WHERE n > 1;
----
DELETE 0

INSERT INTO t VALUES (27, 'g_b', 2, 4);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

WITH w AS (UPDATE t SET n = n + 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (8, 'g_a', 2, 0) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

SELECT * FROM t WHERE m < n ORDER BY id;
----
id	o	n	m

SELECT * FROM t WHERE id = 7 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

WITH w AS (DELETE FROM t WHERE m < n RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

WITH w AS (DELETE FROM t WHERE m < n RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

WITH w AS (UPDATE t SET n = n + 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (13, 'g_c', 0, 3) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

DELETE FROM t WHERE m < n;
----
DELETE 0

INSERT INTO t VALUES (25, 'g_b', 1, 6);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (36, 'g_b', 5, 6) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (23, 'g_a', 0, 1) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	5	1
7	g_b	5	2
8	g_c	5	3
14	g_c	5	4
15	g_b	1	1
18	g_b	8	5
22	g_b	5	2
28	g_b	5	3
29	g_c	5	4

SET ROLE g_b;
----
SET

SELECT * FROM t WHERE id = 20 ORDER BY id;
----
id	o	n	m

INSERT INTO t VALUES (46, 'g_a', 8, 5) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

DELETE FROM t WHERE id > 10 AND 6 / m > 0;
----
DELETE 0

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

WITH w AS (DELETE FROM t WHERE m < n RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

DELETE FROM t WHERE m < n;
----
DELETE 8

UPDATE t SET o = current_user;
----
UPDATE 1

UPDATE t SET n = n + 1 WHERE n = 4;
----
UPDATE 0

DELETE FROM t WHERE m = 3;
----
DELETE 0

INSERT INTO t VALUES (57, 'g_b', 4, 6) RETURNING 1;
----
?column?
1
INSERT 0 1

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

WITH w AS (DELETE FROM t WHERE id > 10 AND 6 / m > 0 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
15
57

WITH w AS (UPDATE t SET m = 2 WHERE id = 3 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE n > 1 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

WITH w AS (UPDATE t SET n = n + 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (57, 'g_b', 8, 5) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m

SET ROLE g_b;
----
SET

UPDATE t SET o = 'g_b';
----
UPDATE 0

INSERT INTO t VALUES (14, 'g_c', 0, 5) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET m = 2 WHERE id > 10 AND 6 / m > 0 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p4 ON t FOR UPDATE TO g_o USING (EXISTS (SELECT FROM u WHERE u.id = t.id AND u.k > 0)) WITH CHECK (EXISTS (SELECT FROM u WHERE u.id = t.id AND u.k > 0));
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

SELECT * FROM t WHERE m < n ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (31, 'g_b', 6, 6);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

SELECT * FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

DELETE FROM t WHERE m < n;
----
DELETE 0

INSERT INTO t VALUES (21, 'g_c', 5, 1) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p5 ON t FOR INSERT TO g_c WITH CHECK (o = current_user);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

DELETE FROM t WHERE id = 21;
----
DELETE 0

SELECT * FROM t WHERE 10 / n > 1 ORDER BY id;
----
id	o	n	m

UPDATE t SET m = 2;
----
UPDATE 0

SELECT min(n), max(n) FROM t;
----
min	max
\N	\N

DELETE FROM t WHERE 10 / n > 1;
----
DELETE 0

INSERT INTO t VALUES (14, 'g_a', 4, 1) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE m < n ORDER BY id;
----
id	o	n	m

SELECT count(*), sum(n) FROM t;
----
count	sum
0	\N

INSERT INTO t VALUES (23, 'g_b', 5, 4) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

ALTER TABLE u ENABLE ROW LEVEL SECURITY;
----
ALTER TABLE

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

ALTER TABLE u ENABLE ROW LEVEL SECURITY;
----
ALTER TABLE

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

DELETE FROM t WHERE o = 'g_a';
----
DELETE 0

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

ALTER TABLE u ENABLE ROW LEVEL SECURITY;
----
ALTER TABLE

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (57, 'g_a', 0, 3) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET n = n + 1 WHERE n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

DELETE FROM t WHERE n = 4;
----
DELETE 0

INSERT INTO t VALUES (22, 'g_a', 7, 6) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE n > 1 ORDER BY id;
----
id	o	n	m

INSERT INTO t VALUES (16, 'g_c', 1, 6) ON CONFLICT (id) DO NOTHING;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p6 ON t FOR DELETE USING (m <> 1);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

WITH w AS (DELETE FROM t WHERE n = 4 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

UPDATE t SET n = 5;
----
UPDATE 0

SELECT * FROM t WHERE n = 4 ORDER BY id;
----
id	o	n	m

INSERT INTO t VALUES (54, 'g_c', 7, 1) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (32, 'g_a', 4, 6) ON CONFLICT (id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2 RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET n = n + 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (23, 'g_c', 6, 5) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (1, 'g_a', 5, 0) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (7, 'g_c', 2, 3) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET m = 2 WHERE m < n;
----
UPDATE 0

SELECT id FROM u WHERE id NOT IN (SELECT id FROM t) ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

INSERT INTO t VALUES (19, 'g_c', 7, 6);
----
INSERT 0 1

WITH w AS (UPDATE t SET o = 'g_b' WHERE n = 4 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

DELETE FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id);
----
DELETE 0

INSERT INTO t VALUES (54, 'g_c', 1, 6);
----
INSERT 0 1

SELECT * FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) ORDER BY id;
----
id	o	n	m

SELECT * FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) ORDER BY id;
----
id	o	n	m

UPDATE t SET n = 5;
----
UPDATE 0

SELECT id FROM t ORDER BY id FOR UPDATE;
----
id

INSERT INTO t VALUES (15, 'g_b', 3, 1);
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET n = 5 WHERE id > 10 AND 6 / m > 0;
----
UPDATE 0

UPDATE t SET n = 5 WHERE id = 22;
----
UPDATE 0

INSERT INTO t VALUES (23, 'g_a', 6, 3) ON CONFLICT DO NOTHING RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET o = 'g_b' WHERE 10 / n > 1;
----
UPDATE 0

INSERT INTO t VALUES (10, 'g_a', 7, 3) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT min(n), max(n) FROM t;
----
min	max
\N	\N

INSERT INTO t VALUES (16, 'g_a', 1, 5) ON CONFLICT (id) DO NOTHING RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET m = 2 WHERE n = 4 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

WITH w AS (UPDATE t SET o = 'g_b' RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

DELETE FROM t WHERE 10 / n > 1;
----
DELETE 0

UPDATE t SET o = 'g_b' WHERE id > 10 AND 6 / m > 0;
----
UPDATE 0

WITH w AS (UPDATE t SET o = 'g_b' RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT min(n), max(n) FROM t;
----
min	max
\N	\N

SELECT u.id, t.n FROM u LEFT JOIN t ON t.id = u.id ORDER BY 1, 2, u.k;
----
id	n

WITH w AS (UPDATE t SET n = 5 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

WITH w AS (UPDATE t SET n = 5 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

DELETE FROM t WHERE n > 1;
----
DELETE 1

DELETE FROM t WHERE o = 'g_a';
----
DELETE 0

WITH w AS (UPDATE t SET n = 5 WHERE id > 10 AND 6 / m > 0 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
54

DELETE FROM t WHERE m < n;
----
DELETE 0

WITH w AS (UPDATE t SET n = 5 WHERE o = 'g_a' RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (18, 'g_a', 2, 5) RETURNING *;
----
id	o	n	m
18	g_a	2	5
INSERT 0 1

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

SELECT id FROM u WHERE id NOT IN (SELECT id FROM t) ORDER BY 1;
----
id

SELECT t.id, u.k FROM t JOIN u USING (id) ORDER BY 1, 2;
----
id	k

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

ALTER TABLE t FORCE ROW LEVEL SECURITY;
----
ALTER TABLE

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

SELECT * FROM t WHERE m < n ORDER BY id;
----
id	o	n	m

SELECT id FROM t ORDER BY id FOR UPDATE;
----
id

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p7 ON t AS RESTRICTIVE FOR UPDATE TO g_c USING (n IN (SELECT k FROM u));
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

SELECT * FROM t WHERE n = 4 ORDER BY id;
----
id	o	n	m

DELETE FROM t WHERE id = 24;
----
DELETE 0

INSERT INTO t VALUES (12, 'g_a', 3, 6) ON CONFLICT (id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2 RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

DELETE FROM t WHERE n = 4;
----
DELETE 0

WITH w AS (DELETE FROM t WHERE m < n RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

ALTER TABLE u DISABLE ROW LEVEL SECURITY;
----
ALTER TABLE

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p8 ON u FOR ALL TO g_a, g_b USING (k > 1) WITH CHECK (k = 2 OR id = 5);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

WITH w AS (UPDATE t SET o = 'g_b' WHERE m = 3 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

UPDATE t SET m = 2;
----
UPDATE 0

INSERT INTO t VALUES (20, 'g_a', 2, 4) ON CONFLICT (id) DO UPDATE SET o = 'g_a' RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET o = 'g_b' WHERE id > 10 AND 6 / m > 0 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE m = 3 ORDER BY id;
----
id	o	n	m

SELECT id FROM u WHERE id NOT IN (SELECT id FROM t) ORDER BY 1;
----
id
0
1
1
2
2
3
3
4
4
5
5
6
7
8
9
10
11
12
13
14

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

SELECT * FROM t WHERE n = 4 ORDER BY id;
----
id	o	n	m

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m
18	g_a	2	5
54	g_c	5	6

WITH w AS (UPDATE t SET o = current_user RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
18
54

SELECT * FROM t WHERE 10 / n > 1 ORDER BY id;
----
id	o	n	m
18	g_d	2	5
54	g_d	5	6

INSERT INTO t VALUES (15, 'g_b', 4, 5) ON CONFLICT DO NOTHING RETURNING id, n;
----
id	n
15	4
INSERT 0 1

INSERT INTO t VALUES (1, 'g_a', 4, 2) ON CONFLICT (id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2;
----
INSERT 0 1

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

SELECT * FROM t WHERE n = 4 ORDER BY id;
----
id	o	n	m
1	g_a	4	2
15	g_b	4	5

INSERT INTO t VALUES (1, 'g_a', 8, 5) ON CONFLICT (id) DO NOTHING;
----
INSERT 0 0

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p9 ON t AS RESTRICTIVE FOR UPDATE USING (id < 20) WITH CHECK (m IS NOT NULL);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

INSERT INTO t VALUES (25, 'g_a', 2, 3) ON CONFLICT (id) DO NOTHING;
----
INSERT 0 1

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

UPDATE t SET n = n + 1;
----
UPDATE 0

WITH w AS (DELETE FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (28, 'g_a', 3, 2) ON CONFLICT (id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (21, 'g_b', 2, 4) ON CONFLICT (id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2 RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET m = 2 WHERE EXISTS (SELECT FROM u WHERE u.id = t.id);
----
UPDATE 0

WITH w AS (UPDATE t SET n = 5 WHERE n = 4 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

UPDATE t SET o = current_user WHERE m < n;
----
UPDATE 0

INSERT INTO t VALUES (26, 'g_c', 7, 1);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

DROP POLICY p2 ON t;
----
DROP POLICY

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (59, 'g_b', 1, 0);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (33, 'g_c', 0, 1);
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET o = current_user WHERE id IN (3, 6, 9, 12);
----
UPDATE 0

SELECT * FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) ORDER BY id;
----
id	o	n	m

SELECT * FROM t WHERE m < n ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_a	4	2
15	g_b	4	5
18	g_d	2	5
25	g_a	2	3
54	g_d	5	6

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (8, 'g_a', 2, 2) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET n = n + 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

WITH w AS (DELETE FROM t WHERE m < n RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

WITH w AS (DELETE FROM t WHERE n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

WITH w AS (UPDATE t SET n = 5 WHERE id > 10 AND 6 / m > 0 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_a	4	2
15	g_b	4	5
18	g_d	2	5
25	g_a	2	3
54	g_d	5	6

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (22, 'g_c', 4, 2) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (DELETE FROM t WHERE n = 4 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

WITH w AS (UPDATE t SET m = 2 WHERE 10 / n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (40, 'g_a', 8, 5);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

INSERT INTO t VALUES (32, 'g_a', 5, 4) ON CONFLICT (id) DO NOTHING;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (2, 'g_c', 7, 6) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (DELETE FROM t WHERE id IN (3, 6, 9, 12) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_a	4	2
15	g_b	4	5
18	g_d	2	5
25	g_a	2	3
54	g_d	5	6

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

DROP POLICY p9 ON t;
----
DROP POLICY

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

UPDATE t SET n = 5 WHERE EXISTS (SELECT FROM u WHERE u.id = t.id);
----
UPDATE 0

SELECT u.id, t.n FROM u LEFT JOIN t ON t.id = u.id ORDER BY 1, 2, u.k;
----
id	n
0	\N
1	\N
1	\N
2	\N
2	\N
3	\N
3	\N
4	\N
4	\N
5	\N
5	\N
6	\N
7	\N
8	\N
9	\N
10	\N
11	\N
12	\N
13	\N
14	\N

UPDATE t SET o = 'g_b';
----
UPDATE 1

WITH w AS (UPDATE t SET o = current_user WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

UPDATE t SET o = current_user WHERE 10 / n > 1;
----
UPDATE 0

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p10 ON t FOR ALL USING (o = current_user);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

INSERT INTO t VALUES (19, 'g_c', 4, 1) ON CONFLICT DO NOTHING RETURNING id, n;
----
id	n
19	4
INSERT 0 1

INSERT INTO t VALUES (16, 'g_c', 5, 3) ON CONFLICT DO NOTHING;
----
INSERT 0 1

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

WITH w AS (UPDATE t SET m = 2 WHERE n = 4 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
1
15

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

WITH w AS (UPDATE t SET n = n + 1 WHERE id > 10 AND 6 / m > 0 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
15

WITH w AS (UPDATE t SET n = 5 WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
1

INSERT INTO t VALUES (31, 'g_a', 4, 1) ON CONFLICT (id) DO UPDATE SET o = 'g_a' RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) ORDER BY id;
----
id	o	n	m
1	g_b	5	2

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

SELECT id FROM u WHERE id NOT IN (SELECT id FROM t) ORDER BY 1;
----
id
0
2
2
3
3
4
4
5
5
6
7
8
9
10
11
12
13
14

INSERT INTO t VALUES (36, 'g_c', 6, 1) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

SELECT * FROM t WHERE n > 1 ORDER BY id;
----
id	o	n	m
25	g_a	2	3

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	5	2
15	g_b	5	2
16	g_c	5	3
18	g_d	2	5
19	g_c	4	1
25	g_a	2	3
54	g_d	5	6

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (30, 'g_c', 5, 3) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

DELETE FROM t WHERE n = 4;
----
DELETE 0

INSERT INTO t VALUES (42, 'g_c', 8, 2) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p11 ON t FOR DELETE USING (true);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

SELECT t.id, u.k FROM t JOIN u USING (id) ORDER BY 1, 2;
----
id	k
1	0
1	1

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

WITH w AS (UPDATE t SET n = n + 1 WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

WITH w AS (UPDATE t SET n = n + 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
25

WITH w AS (UPDATE t SET n = 5 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
25

INSERT INTO t VALUES (39, 'g_b', 5, 4) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"
