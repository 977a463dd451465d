CREATE TABLE t (id int PRIMARY KEY, k text UNIQUE, n int DEFAULT 0, CHECK (n < 100));
----
CREATE TABLE

INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2);
----
INSERT 0 2

INSERT INTO t VALUES (1, 'z', 9) ON CONFLICT DO NOTHING;
----
INSERT 0 0

INSERT INTO t VALUES (3, 'a', 9), (4, 'd', 4) ON CONFLICT DO NOTHING RETURNING *;
----
id	k	n
4	d	4
INSERT 0 1

INSERT INTO t VALUES (1, 'z', 9) ON CONFLICT (id) DO NOTHING;
----
INSERT 0 0

INSERT INTO t VALUES (9, 'a', 9) ON CONFLICT (id) DO NOTHING;
----
ERROR 23505: duplicate key value violates unique constraint "t_k_key"
DETAIL: Key (k)=(a) already exists.

INSERT INTO t VALUES (1, 'z', 9) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n + t.n RETURNING *;
----
id	k	n
1	a	10
INSERT 0 1

INSERT INTO t AS tt VALUES (1, 'z', 1) ON CONFLICT (id) DO UPDATE SET n = tt.n + 1, k = EXCLUDED.k RETURNING *;
----
id	k	n
1	z	11
INSERT 0 1

INSERT INTO t VALUES (1, 'q', 5) ON CONFLICT (id) DO UPDATE SET n = 50 WHERE t.n > 1000 RETURNING *;
----
id	k	n
INSERT 0 0

INSERT INTO t VALUES (1, 'q', 5) ON CONFLICT (k) DO UPDATE SET n = 1;
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (id)=(1) already exists.

INSERT INTO t VALUES (1, 'b', 5) ON CONFLICT (k) DO UPDATE SET n = EXCLUDED.n;
----
INSERT 0 1

INSERT INTO t VALUES (7, 'b', 5) ON CONFLICT ON CONSTRAINT t_k_key DO UPDATE SET n = EXCLUDED.n RETURNING *;
----
id	k	n
2	b	5
INSERT 0 1

INSERT INTO t VALUES (7, 'b', 5) ON CONFLICT ON CONSTRAINT nosuch DO NOTHING;
----
ERROR 42704: constraint "nosuch" for table "t" does not exist

INSERT INTO t VALUES (7, 'b', 5) ON CONFLICT (n) DO NOTHING;
----
ERROR 42P10: there is no unique or exclusion constraint matching the ON CONFLICT specification

INSERT INTO t VALUES (7, 'b', 5) ON CONFLICT (nosuch) DO NOTHING;
----
ERROR 42703: column "nosuch" does not exist

INSERT INTO t VALUES (7, 'b', 5) ON CONFLICT DO UPDATE SET n = 1;
----
ERROR 42601: ON CONFLICT DO UPDATE requires inference specification or constraint name
HINT: For example, ON CONFLICT (column_name).

INSERT INTO t VALUES (20, 'x', 1), (20, 'y', 2) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n;
----
ERROR 21000: ON CONFLICT DO UPDATE command cannot affect row a second time
HINT: Ensure that no rows proposed for insertion within the same command have duplicate constrained values.

INSERT INTO t VALUES (20, 'x', 1), (20, 'y', 2) ON CONFLICT (id) DO NOTHING RETURNING *;
----
id	k	n
20	x	1
INSERT 0 1

INSERT INTO t VALUES (1, 'w', 1) ON CONFLICT (id) DO UPDATE SET n = 500;
----
ERROR 23514: new row for relation "t" violates check constraint "t_n_check"
DETAIL: Failing row contains (1, z, 500).

INSERT INTO t VALUES (1, 'w', 500) ON CONFLICT (id) DO UPDATE SET n = 5;
----
ERROR 23514: new row for relation "t" violates check constraint "t_n_check"
DETAIL: Failing row contains (1, w, 500).

INSERT INTO t VALUES (1, 'w', 1) ON CONFLICT (id) DO UPDATE SET (n, k) = (SELECT 8, 'eight') RETURNING *;
----
id	k	n
1	eight	8
INSERT 0 1

INSERT INTO t VALUES (1, 'w', 1) ON CONFLICT (id) DO UPDATE SET n = DEFAULT RETURNING *;
----
id	k	n
1	eight	0
INSERT 0 1

INSERT INTO t VALUES (1, 'w', 1) ON CONFLICT (id) DO UPDATE SET n = nosuch;
----
ERROR 42703: column "nosuch" does not exist

INSERT INTO t SELECT g, 'g' || g, g FROM generate_series(1, 3) g ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n * 10 RETURNING id, n;
----
id	n
1	10
2	20
3	3
INSERT 0 3

CREATE TABLE p (a int, b text, live bool); CREATE UNIQUE INDEX p_live ON p (a) WHERE live; CREATE UNIQUE INDEX p_lower ON p (lower(b));
----
CREATE TABLE
CREATE INDEX
CREATE INDEX

INSERT INTO p VALUES (1, 'A', true), (1, 'B', false), (1, 'C', false);
----
INSERT 0 3

INSERT INTO p VALUES (1, 'D', true);
----
ERROR 23505: duplicate key value violates unique constraint "p_live"
DETAIL: Key (a)=(1) already exists.

INSERT INTO p VALUES (1, 'D', true) ON CONFLICT (a) WHERE live DO UPDATE SET b = 'AA' RETURNING *;
----
a	b	live
1	AA	t
INSERT 0 1

INSERT INTO p VALUES (1, 'D', true) ON CONFLICT (a) DO NOTHING;
----
ERROR 42P10: there is no unique or exclusion constraint matching the ON CONFLICT specification

INSERT INTO p VALUES (5, 'aa', true);
----
ERROR 23505: duplicate key value violates unique constraint "p_lower"
DETAIL: Key (lower(b))=(aa) already exists.

INSERT INTO p VALUES (5, 'aa', true) ON CONFLICT (lower(b)) DO UPDATE SET a = 55 RETURNING *;
----
a	b	live
55	AA	t
INSERT 0 1

INSERT INTO p VALUES (6, NULL, true), (7, NULL, true) RETURNING a;
----
a
6
7
INSERT 0 2

UPDATE p SET live = true;
----
ERROR 23505: duplicate key value violates unique constraint "p_live"
DETAIL: Key (a)=(1) already exists.

UPDATE p SET b = upper(b) || a;
----
UPDATE 5

SELECT * FROM p ORDER BY a, b;
----
a	b	live
1	B1	f
1	C1	f
6	\N	t
7	\N	t
55	AA55	t
