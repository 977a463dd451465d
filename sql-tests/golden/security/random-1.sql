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

CREATE POLICY p1 ON t FOR SELECT USING (NULL::bool);
----
CREATE POLICY

CREATE POLICY p2 ON t AS RESTRICTIVE FOR UPDATE TO g_a, g_b USING (n > 2);
----
CREATE POLICY

CREATE POLICY p3 ON t FOR UPDATE USING (n < 4);
----
CREATE POLICY

INSERT INTO t VALUES (7, 'g_c', 6, 5) RETURNING 1;
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (id)=(7) already exists.

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

UPDATE t SET o = 'g_b';
----
UPDATE 4

UPDATE t SET o = 'g_b';
----
UPDATE 4

SELECT * FROM t WHERE n > 1 ORDER BY id;
----
id	o	n	m

WITH w AS (UPDATE t SET n = n + 1 WHERE n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

WITH w AS (DELETE FROM t WHERE 10 / n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT min(n), max(n) FROM t;
----
min	max
\N	\N

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

SET ROLE g_c;
----
SET

UPDATE t SET o = 'g_b';
----
UPDATE 4

INSERT INTO t VALUES (56, 'g_a', 8, 4);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

UPDATE t SET o = 'g_b' WHERE 10 / n > 1;
----
UPDATE 0

UPDATE t SET o = current_user;
----
UPDATE 4

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

INSERT INTO t VALUES (9, 'g_c', 1, 6);
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

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

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p4 ON t AS RESTRICTIVE FOR SELECT USING (NULL::bool);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (21, 'g_b', 1, 2) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (19, 'g_b', 8, 1) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET n = n + 1;
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

SELECT * FROM t WHERE n = 4 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (4, 'g_c', 0, 5) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (59, 'g_b', 2, 0) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p5 ON t FOR SELECT TO g_c USING (n = m);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

WITH w AS (UPDATE t SET o = current_user RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

SELECT * FROM t WHERE m < n ORDER BY id;
----
id	o	n	m

WITH w AS (DELETE FROM t WHERE n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

INSERT INTO t VALUES (56, 'g_a', 2, 1) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET o = 'g_b' WHERE EXISTS (SELECT FROM u WHERE u.id = t.id);
----
UPDATE 0

INSERT INTO t VALUES (17, 'g_a', 2, 6) ON CONFLICT (id) DO NOTHING RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

UPDATE t SET m = 2 WHERE n > 1;
----
UPDATE 0

INSERT INTO t VALUES (10, 'g_c', 6, 1) ON CONFLICT DO NOTHING;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (18, 'g_b', 6, 3);
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (7, 'g_c', 1, 3);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (38, 'g_a', 1, 5);
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

ALTER TABLE t NO FORCE ROW LEVEL SECURITY;
----
ALTER TABLE

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

DROP POLICY p3 ON t;
----
DROP POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

UPDATE t SET o = 'g_b' WHERE m = 3;
----
UPDATE 0

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

ALTER TABLE t NO FORCE ROW LEVEL SECURITY;
----
ALTER TABLE

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

WITH w AS (DELETE FROM t WHERE n = 4 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

WITH w AS (DELETE FROM t WHERE m < n RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

UPDATE t SET o = 'g_b' WHERE 10 / n > 1;
----
UPDATE 0

WITH w AS (UPDATE t SET n = n + 1 WHERE id > 10 AND 6 / m > 0 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p6 ON t AS RESTRICTIVE FOR DELETE TO g_b USING (m <> 1);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (28, 'g_b', 8, 6) ON CONFLICT (id) DO NOTHING RETURNING id, n;
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

SELECT * FROM t WHERE m = 3 ORDER BY id;
----
id	o	n	m

DELETE FROM t WHERE n > 1;
----
DELETE 0

WITH w AS (UPDATE t SET o = 'g_b' WHERE n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

DELETE FROM t WHERE o = 'g_a';
----
DELETE 0

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

DELETE FROM t WHERE m < n;
----
DELETE 0

INSERT INTO t VALUES (3, 'g_a', 4, 3) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

UPDATE t SET o = 'g_b' WHERE m < n;
----
UPDATE 0

SELECT * FROM t WHERE m < n ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p7 ON u AS RESTRICTIVE FOR UPDATE USING (k > 1);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

INSERT INTO t VALUES (32, 'g_a', 6, 2) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) ORDER BY id;
----
id	o	n	m

INSERT INTO t VALUES (21, 'g_c', 3, 1) ON CONFLICT DO NOTHING RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

DELETE FROM t WHERE n > 1;
----
DELETE 0

SELECT t.id, u.k FROM t JOIN u USING (id) ORDER BY 1, 2;
----
id	k

DELETE FROM t WHERE m < n;
----
DELETE 0

INSERT INTO t VALUES (19, 'g_a', 3, 5) ON CONFLICT DO NOTHING;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (10, 'g_c', 0, 4) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT count(*), sum(n) FROM t;
----
count	sum
0	\N

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p8 ON t FOR DELETE TO g_a USING (NULL::bool);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (59, 'g_a', 3, 5);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p9 ON t FOR DELETE USING (id < 20);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

SELECT * FROM t WHERE m = 3 ORDER BY id;
----
id	o	n	m

DELETE FROM t WHERE id = 26;
----
DELETE 0

SELECT * FROM t WHERE n > 1 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p10 ON t AS RESTRICTIVE FOR UPDATE USING (n > 2) WITH CHECK (n = m);
----
CREATE POLICY

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
1	g_b	1	1
2	g_c	2	2
3	g_a	3	3
4	g_b	4	4
5	g_c	5	0
6	g_a	6	1
7	g_b	0	2
8	g_c	1	3
9	g_a	2	4
10	g_a	3	0
11	g_c	4	1
12	g_a	5	2
13	g_b	6	3
14	g_c	0	4
15	g_a	1	0
16	g_b	2	1
17	g_a	3	2
18	g_a	4	3
19	g_b	5	4
20	g_c	6	0
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
25	g_b	4	0
26	g_c	5	1
27	g_a	6	2
28	g_b	0	3
29	g_c	1	4
30	g_a	2	0

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p11 ON t AS RESTRICTIVE FOR UPDATE USING (o = current_user) WITH CHECK (n = m);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

SELECT * FROM t WHERE m = 3 ORDER BY id;
----
id	o	n	m

INSERT INTO t VALUES (5, 'g_a', 4, 2) ON CONFLICT (id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2 RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

DROP POLICY p5 ON t;
----
DROP POLICY

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

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p12 ON t FOR INSERT WITH CHECK (n IN (SELECT k FROM u));
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

WITH w AS (DELETE FROM t WHERE 10 / n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE id = 5 ORDER BY id;
----
id	o	n	m

SELECT count(*), sum(n) FROM t;
----
count	sum
0	\N

SELECT u.id, t.n FROM u LEFT JOIN t ON t.id = u.id ORDER BY 1, 2, u.k;
----
id	n

UPDATE t SET n = 5;
----
UPDATE 0

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

DROP POLICY p12 ON t;
----
DROP POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

WITH w AS (UPDATE t SET n = 5 WHERE id > 10 AND 6 / m > 0 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

SELECT id FROM u WHERE id NOT IN (SELECT id FROM t) ORDER BY 1;
----
id

INSERT INTO t VALUES (4, 'g_a', 2, 1) ON CONFLICT DO NOTHING;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	1	1
2	g_c	2	2
3	g_a	3	3
4	g_b	4	4
5	g_c	5	0
6	g_a	6	1
7	g_b	0	2
8	g_c	1	3
9	g_a	2	4
10	g_a	3	0
11	g_c	4	1
12	g_a	5	2
13	g_b	6	3
14	g_c	0	4
15	g_a	1	0
16	g_b	2	1
17	g_a	3	2
18	g_a	4	3
19	g_b	5	4
20	g_c	6	0
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
25	g_b	4	0
26	g_c	5	1
27	g_a	6	2
28	g_b	0	3
29	g_c	1	4
30	g_a	2	0

SET ROLE g_b;
----
SET

UPDATE t SET o = current_user;
----
UPDATE 0

INSERT INTO t VALUES (7, 'g_c', 1, 3) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET o = current_user RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_d;
----
SET

INSERT INTO t VALUES (45, 'g_a', 0, 6);
----
INSERT 0 1

WITH w AS (DELETE FROM t WHERE id IN (3, 6, 9, 12) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
3
6
9
12

DELETE FROM t WHERE 10 / n > 1;
----
ERROR 22012: division by zero

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

DELETE FROM t WHERE id = 22;
----
DELETE 0

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (49, 'g_b', 2, 4) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	1	1
2	g_c	2	2
4	g_b	4	4
5	g_c	5	0
7	g_b	0	2
8	g_c	1	3
10	g_a	3	0
11	g_c	4	1
13	g_b	6	3
14	g_c	0	4
15	g_a	1	0
16	g_b	2	1
17	g_a	3	2
18	g_a	4	3
19	g_b	5	4
20	g_c	6	0
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
25	g_b	4	0
26	g_c	5	1
27	g_a	6	2
28	g_b	0	3
29	g_c	1	4
30	g_a	2	0
45	g_a	0	6

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (22, 'g_c', 7, 5) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET m = 2 WHERE n > 1;
----
UPDATE 0

INSERT INTO t VALUES (28, 'g_c', 4, 3);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (27, 'g_a', 6, 2) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET n = 5 WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (13, 'g_b', 1, 0) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (5, 'g_b', 0, 4) ON CONFLICT DO NOTHING;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (DELETE FROM t WHERE o = 'g_a' RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (11, 'g_b', 1, 2);
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET n = 5 WHERE n > 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	1	1
2	g_c	2	2
4	g_b	4	4
5	g_c	5	0
7	g_b	0	2
8	g_c	1	3
10	g_a	3	0
11	g_c	4	1
13	g_b	6	3
14	g_c	0	4
15	g_a	1	0
16	g_b	2	1
17	g_a	3	2
18	g_a	4	3
19	g_b	5	4
20	g_c	6	0
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
25	g_b	4	0
26	g_c	5	1
27	g_a	6	2
28	g_b	0	3
29	g_c	1	4
30	g_a	2	0
45	g_a	0	6

SET ROLE g_b;
----
SET

WITH w AS (UPDATE t SET n = n + 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

INSERT INTO t VALUES (3, 'g_c', 1, 6) ON CONFLICT (id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2;
----
INSERT 0 1

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	1	1
2	g_c	2	2
3	g_c	1	6
4	g_b	4	4
5	g_c	5	0
7	g_b	0	2
8	g_c	1	3
10	g_a	3	0
11	g_c	4	1
13	g_b	6	3
14	g_c	0	4
15	g_a	1	0
16	g_b	2	1
17	g_a	3	2
18	g_a	4	3
19	g_b	5	4
20	g_c	6	0
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
25	g_b	4	0
26	g_c	5	1
27	g_a	6	2
28	g_b	0	3
29	g_c	1	4
30	g_a	2	0
45	g_a	0	6

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (20, 'g_a', 8, 1) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (DELETE FROM t WHERE id = 22 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (33, 'g_b', 8, 4) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
id	o	n	m

UPDATE t SET n = 5 WHERE 10 / n > 1;
----
UPDATE 0

INSERT INTO t VALUES (58, 'g_a', 4, 2) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p13 ON t AS RESTRICTIVE FOR DELETE USING (EXISTS (SELECT FROM u WHERE u.id = t.id AND u.k > 0));
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (7, 'g_a', 8, 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p14 ON u FOR SELECT;
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

INSERT INTO t VALUES (44, 'g_c', 8, 1);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

INSERT INTO t VALUES (55, 'g_a', 2, 1) RETURNING *;
----
id	o	n	m
55	g_a	2	1
INSERT 0 1

UPDATE t SET n = 5 WHERE 10 / n > 1;
----
ERROR 22012: division by zero

SELECT * FROM t WHERE id > 10 AND 6 / m > 0 ORDER BY id;
----
ERROR 22012: division by zero

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (35, 'g_c', 5, 1) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE id IN (3, 6, 9, 12) ORDER BY id;
----
id	o	n	m

UPDATE t SET o = 'g_b';
----
UPDATE 0

INSERT INTO t VALUES (36, 'g_c', 8, 1) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET n = n + 1;
----
UPDATE 0

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	1	1
2	g_c	2	2
3	g_c	1	6
4	g_b	4	4
5	g_c	5	0
7	g_b	0	2
8	g_c	1	3
10	g_a	3	0
11	g_c	4	1
13	g_b	6	3
14	g_c	0	4
15	g_a	1	0
16	g_b	2	1
17	g_a	3	2
18	g_a	4	3
19	g_b	5	4
20	g_c	6	0
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
25	g_b	4	0
26	g_c	5	1
27	g_a	6	2
28	g_b	0	3
29	g_c	1	4
30	g_a	2	0
45	g_a	0	6
55	g_a	2	1

SET ROLE g_b;
----
SET

WITH w AS (DELETE FROM t WHERE o = 'g_a' RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (32, 'g_a', 5, 6) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

WITH w AS (UPDATE t SET o = current_user WHERE id = 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

SELECT * FROM t WHERE id = 27 ORDER BY id;
----
id	o	n	m

SELECT count(*), sum(n) FROM t;
----
count	sum
0	\N

DELETE FROM t WHERE id = 2;
----
DELETE 0

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p15 ON u AS RESTRICTIVE FOR UPDATE USING (k = 2 OR id = 5) WITH CHECK (k > 1);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (10, 'g_c', 7, 4);
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (51, 'g_a', 0, 3);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (19, 'g_a', 5, 4) ON CONFLICT DO NOTHING RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	1	1
2	g_c	2	2
3	g_c	1	6
4	g_b	4	4
5	g_c	5	0
7	g_b	0	2
8	g_c	1	3
10	g_a	3	0
11	g_c	4	1
13	g_b	6	3
14	g_c	0	4
15	g_a	1	0
16	g_b	2	1
17	g_a	3	2
18	g_a	4	3
19	g_b	5	4
20	g_c	6	0
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
25	g_b	4	0
26	g_c	5	1
27	g_a	6	2
28	g_b	0	3
29	g_c	1	4
30	g_a	2	0
45	g_a	0	6
55	g_a	2	1

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (51, 'g_b', 7, 3);
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (9, 'g_a', 4, 6);
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p16 ON t AS RESTRICTIVE FOR DELETE TO g_o USING (o = current_user);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (22, 'g_b', 5, 3) ON CONFLICT (id) DO UPDATE SET o = 'g_a';
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p17 ON t AS RESTRICTIVE FOR DELETE TO g_a USING (n IN (SELECT k FROM u));
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (14, 'g_a', 8, 6) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p18 ON t AS RESTRICTIVE FOR DELETE USING (EXISTS (SELECT FROM u WHERE u.id = t.id AND u.k > 0));
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

SELECT min(n), max(n) FROM t;
----
min	max
\N	\N

INSERT INTO t VALUES (58, 'g_c', 7, 4) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

INSERT INTO t VALUES (34, 'g_b', 1, 4) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
----
INSERT 0 1

DELETE FROM t WHERE m < n;
----
DELETE 15

SELECT id FROM t ORDER BY id FOR UPDATE;
----
id
1
2
3
4
7
8
14
21
22
23
24
28
29
34
45

INSERT INTO t VALUES (6, 'g_a', 6, 5) RETURNING *;
----
id	o	n	m
6	g_a	6	5
INSERT 0 1

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

INSERT INTO t VALUES (36, 'g_a', 7, 5) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	1	1
2	g_c	2	2
3	g_c	1	6
4	g_b	4	4
6	g_a	6	5
7	g_b	0	2
8	g_c	1	3
14	g_c	0	4
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
28	g_b	0	3
29	g_c	1	4
34	g_b	1	4
45	g_a	0	6

SET ROLE g_b;
----
SET

WITH w AS (UPDATE t SET m = 2 WHERE m = 3 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SELECT * FROM t ORDER BY id;
----
id	o	n	m
1	g_b	1	1
2	g_c	2	2
3	g_c	1	6
4	g_b	4	4
6	g_a	6	5
7	g_b	0	2
8	g_c	1	3
14	g_c	0	4
21	g_a	0	1
22	g_b	1	2
23	g_c	2	3
24	g_a	3	4
28	g_b	0	3
29	g_c	1	4
34	g_b	1	4
45	g_a	0	6

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p19 ON t FOR DELETE USING (n > 2);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

SELECT * FROM t WHERE id = 27 ORDER BY id;
----
id	o	n	m

UPDATE t SET n = n + 1 WHERE id = 19;
----
UPDATE 0

SELECT count(*), sum(n) FROM t;
----
count	sum
0	\N

INSERT INTO t VALUES (53, 'g_c', 7, 0) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET o = 'g_b';
----
UPDATE 0

UPDATE t SET n = 5 WHERE EXISTS (SELECT FROM u WHERE u.id = t.id);
----
UPDATE 0

SELECT * FROM t WHERE id = 5 ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

INSERT INTO t VALUES (12, 'g_a', 1, 5);
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT min(n), max(n) FROM t;
----
min	max
\N	\N

UPDATE t SET o = 'g_b' WHERE EXISTS (SELECT FROM u WHERE u.id = t.id);
----
UPDATE 0

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

WITH w AS (DELETE FROM t WHERE id IN (3, 6, 9, 12) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT count(*), sum(n) FROM t;
----
count	sum
0	\N

INSERT INTO t VALUES (37, 'g_a', 4, 1);
----
ERROR 42501: new row violates row-level security policy for table "t"

UPDATE t SET o = current_user WHERE n > 1;
----
UPDATE 0

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

UPDATE t SET m = 2;
----
UPDATE 0

INSERT INTO t VALUES (10, 'g_c', 3, 1) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET m = 2 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

DROP POLICY p13 ON t;
----
DROP POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

WITH w AS (UPDATE t SET m = 2 WHERE id IN (3, 6, 9, 12) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

UPDATE t SET m = 2;
----
UPDATE 0

INSERT INTO t VALUES (27, 'g_c', 2, 0) ON CONFLICT DO NOTHING RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (15, 'g_c', 7, 0) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT min(n), max(n) FROM t;
----
min	max
\N	\N

INSERT INTO t VALUES (8, 'g_b', 6, 3) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT u.id, t.n FROM u LEFT JOIN t ON t.id = u.id ORDER BY 1, 2, u.k;
----
id	n

UPDATE t SET o = 'g_b' WHERE n > 1;
----
UPDATE 0

UPDATE t SET n = 5 WHERE EXISTS (SELECT FROM u WHERE u.id = t.id);
----
UPDATE 0

SELECT min(n), max(n) FROM t;
----
min	max
\N	\N

WITH w AS (UPDATE t SET m = 2 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (35, 'g_a', 2, 1);
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (30, 'g_a', 2, 6) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (12, 'g_b', 0, 6) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

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

SELECT count(*), sum(n) FROM t;
----
count	sum
0	\N

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

ALTER TABLE t NO FORCE ROW LEVEL SECURITY;
----
ALTER TABLE

RESET ROLE;
----
RESET

SET ROLE g_b;
----
SET

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

INSERT INTO t VALUES (50, 'g_b', 7, 0) RETURNING 1;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE o = 'g_a' ORDER BY id;
----
id	o	n	m

RESET ROLE;
----
RESET

SET ROLE g_o;
----
SET

CREATE POLICY p20 ON t FOR DELETE USING (n = m);
----
CREATE POLICY

RESET ROLE;
----
RESET

SET ROLE g_a;
----
SET

INSERT INTO t VALUES (31, 'g_b', 6, 5) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

SELECT * FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) ORDER BY id;
----
id	o	n	m

SELECT u.id, t.n FROM u LEFT JOIN t ON t.id = u.id ORDER BY 1, 2, u.k;
----
id	n

RESET ROLE;
----
RESET

SET ROLE g_c;
----
SET

DELETE FROM t WHERE n = 4;
----
DELETE 0

SELECT * FROM t WHERE m = 3 ORDER BY id;
----
id	o	n	m

SELECT * FROM t WHERE id IN (3, 6, 9, 12) ORDER BY id;
----
id	o	n	m

DELETE FROM t WHERE 10 / n > 1;
----
DELETE 0

WITH w AS (UPDATE t SET n = n + 1 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (31, 'g_a', 6, 6) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET n = n + 1 WHERE EXISTS (SELECT FROM u WHERE u.id = t.id) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

SELECT id FROM t ORDER BY id FOR UPDATE;
----
id

INSERT INTO t VALUES (38, 'g_c', 4, 2);
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (13, 'g_c', 6, 6) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (UPDATE t SET m = 2 RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

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

SET ROLE g_c;
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

WITH w AS (UPDATE t SET n = 5 WHERE m < n RETURNING id) SELECT * FROM w ORDER BY 1;
----
id

INSERT INTO t VALUES (50, 'g_b', 8, 5) RETURNING *;
----
ERROR 42501: new row violates row-level security policy for table "t"

INSERT INTO t VALUES (27, 'g_b', 8, 2) ON CONFLICT (id) DO NOTHING RETURNING id, n;
----
ERROR 42501: new row violates row-level security policy for table "t"

WITH w AS (DELETE FROM t WHERE id IN (3, 6, 9, 12) RETURNING id) SELECT * FROM w ORDER BY 1;
----
id
