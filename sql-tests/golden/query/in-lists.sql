CREATE TABLE t (id int PRIMARY KEY, big bigint, name text); INSERT INTO t SELECT g, g * 10, 'n' || g FROM generate_series(1, 9) g;
----
CREATE TABLE
INSERT 0 9

PREPARE by_id(int, int, int, int, int, int) AS SELECT id FROM t WHERE id + 0 IN ($1, $2, $3, $4, $5, $6) ORDER BY id;
----
PREPARE

-- each execution has its own list
EXECUTE by_id(1, 2, 3, 4, 5, 6); EXECUTE by_id(9, 9, 9, 9, 9, 100); EXECUTE by_id(1, 2, 3, 4, 5, 6);
----
id
1
2
3
4
5
6
id
9
id
1
2
3
4
5
6

-- NULL in the list: nobody is known not to be in it
PREPARE but(int, int, int, int, int, int) AS SELECT count(*) FROM t WHERE id + 0 NOT IN ($1, $2, $3, $4, $5, $6);
----
PREPARE

EXECUTE but(1, 2, 3, 4, 5, 6); EXECUTE but(1, 2, 3, 4, 5, NULL); EXECUTE but(1, 2, 3, 4, 5, 7);
----
count
3
count
0
count
3

-- items of another integer type, and computed ones
PREPARE wide(int, bigint, int) AS SELECT id FROM t WHERE big IN ($1, $2, $3 * 10, 40, 50, $1 + 10) ORDER BY id;
----
PREPARE

EXECUTE wide(10, 70, 9); EXECUTE wide(20, 90, 1);
----
id
1
2
4
5
7
9
id
1
2
3
4
5
9

PREPARE names(text, text) AS SELECT name FROM t WHERE name || '' IN ($1, $2, upper($1), lower($2), 'n4', 'n5') ORDER BY name;
----
PREPARE

EXECUTE names('n1', 'N2'); EXECUTE names('N1', 'n3');
----
name
n1
n2
n4
n5
name
n3
n4
n5

-- inside a function of the row
SELECT id, id IN (1, id, 3, 4, 5, 6) AS own FROM t WHERE id > 7 ORDER BY id;
----
id	own
8	t
9	t
