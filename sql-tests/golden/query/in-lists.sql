CREATE TABLE t (id int PRIMARY KEY, big bigint, name text); INSERT INTO t SELECT g, g * 10, 'n' || g FROM generate_series(1, 9) g;
----

PREPARE by_id(int, int, int, int, int, int) AS SELECT id FROM t WHERE id + 0 IN ($1, $2, $3, $4, $5, $6) ORDER BY id;
----

-- each execution has its own list
EXECUTE by_id(1, 2, 3, 4, 5, 6); EXECUTE by_id(9, 9, 9, 9, 9, 100); EXECUTE by_id(1, 2, 3, 4, 5, 6);
----

-- NULL in the list: nobody is known not to be in it
PREPARE but(int, int, int, int, int, int) AS SELECT count(*) FROM t WHERE id + 0 NOT IN ($1, $2, $3, $4, $5, $6);
----

EXECUTE but(1, 2, 3, 4, 5, 6); EXECUTE but(1, 2, 3, 4, 5, NULL); EXECUTE but(1, 2, 3, 4, 5, 7);
----

-- items of another integer type, and computed ones
PREPARE wide(int, bigint, int) AS SELECT id FROM t WHERE big IN ($1, $2, $3 * 10, 40, 50, $1 + 10) ORDER BY id;
----

EXECUTE wide(10, 70, 9); EXECUTE wide(20, 90, 1);
----

PREPARE names(text, text) AS SELECT name FROM t WHERE name || '' IN ($1, $2, upper($1), lower($2), 'n4', 'n5') ORDER BY name;
----

EXECUTE names('n1', 'N2'); EXECUTE names('N1', 'n3');
----

-- inside a function of the row
SELECT id, id IN (1, id, 3, 4, 5, 6) AS own FROM t WHERE id > 7 ORDER BY id;
----
