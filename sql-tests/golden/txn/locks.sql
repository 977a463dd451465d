CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30); CREATE TABLE u (a int); CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int REFERENCES p); INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);
----
CREATE TABLE
INSERT 0 3
CREATE TABLE
CREATE TABLE
CREATE TABLE
INSERT 0 1
INSERT 0 1

-- locks behind a savepoint
a: BEGIN; SAVEPOINT s; LOCK TABLE u; SELECT pg_advisory_xact_lock(11); SELECT * FROM t WHERE id = 1 FOR UPDATE; UPDATE t SET v = 0 WHERE id = 2; ROLLBACK TO s;
----
BEGIN
SAVEPOINT
LOCK TABLE
pg_advisory_xact_lock
''
id	v
1	10
UPDATE 1
ROLLBACK

b&: SELECT * FROM u;
----
a

c&: SELECT pg_advisory_lock(11);
----
pg_advisory_lock
''

d&: UPDATE t SET v = 1 WHERE id = 1;
----
UPDATE 1

e&: UPDATE t SET v = 1 WHERE id = 2;
----
UPDATE 1

a: COMMIT;
----
COMMIT

b wait
----
(nothing to wait for)

c wait
----
(nothing to wait for)

d wait
----
(nothing to wait for)

e wait
----
(nothing to wait for)

c: SELECT pg_advisory_unlock(11);
----
pg_advisory_unlock
t

-- several advisory locks in one statement
a: SELECT pg_advisory_lock(3);
----
pg_advisory_lock
''

b&: SELECT id, pg_advisory_lock(id) FROM t ORDER BY id;
----
(waits)

a: SELECT pg_advisory_unlock(3);
----
pg_advisory_unlock
t

b wait
----
id	pg_advisory_lock
1	''
2	''
3	''

b: SELECT pg_advisory_unlock(1), pg_advisory_unlock(2), pg_advisory_unlock(3);
----
pg_advisory_unlock	pg_advisory_unlock	pg_advisory_unlock
t	t	t

b: SELECT pg_advisory_unlock(1);
----
pg_advisory_unlock
WARNING: you don't own a lock of type ExclusiveLock
f

b: SELECT pg_advisory_unlock_all();
----
pg_advisory_unlock_all
''

a: SELECT pg_advisory_lock(2);
----
pg_advisory_lock
''

b&: SELECT pg_advisory_lock(1), pg_advisory_lock(2);
----
(waits)

a: SELECT pg_advisory_unlock(2);
----
pg_advisory_unlock
t

b wait
----
pg_advisory_lock	pg_advisory_lock
''	''

b: SELECT pg_advisory_unlock(1), pg_advisory_unlock(2);
----
pg_advisory_unlock	pg_advisory_unlock
t	t

b: SELECT pg_advisory_unlock(1);
----
pg_advisory_unlock
WARNING: you don't own a lock of type ExclusiveLock
f

-- those who wait while it is gone back to, and what was there before
a: BEGIN; SELECT * FROM t WHERE id = 3 FOR SHARE; LOCK TABLE u IN SHARE MODE; SELECT pg_advisory_xact_lock(12); SAVEPOINT s; SELECT * FROM t WHERE id = 3 FOR UPDATE; UPDATE t SET v = 5 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 9); LOCK TABLE u; SELECT pg_advisory_xact_lock(12), pg_advisory_xact_lock(13);
----
BEGIN
id	v
3	30
LOCK TABLE
pg_advisory_xact_lock
''
SAVEPOINT
id	v
3	30
UPDATE 1
DELETE 1
INSERT 0 1
LOCK TABLE
pg_advisory_xact_lock	pg_advisory_xact_lock
''	''

b&: SELECT * FROM u;
----
(waits)

c&: SELECT pg_advisory_lock(13);
----
(waits)

d&: UPDATE t SET v = 1 WHERE id = 1;
----
(waits)

e&: UPDATE t SET v = 1 WHERE id = 2;
----
(waits)

f&: INSERT INTO t VALUES (9, 10);
----
(waits)

g&: SELECT * FROM t WHERE id = 3 FOR SHARE;
----
(waits)

a: ROLLBACK TO s;
----
ROLLBACK

b wait
----
a

c wait
----
pg_advisory_lock
''

d wait
----
UPDATE 1

e wait
----
UPDATE 1

f wait
----
INSERT 0 1

g wait
----
id	v
3	30

b&: UPDATE t SET v = 2 WHERE id = 3;
----
(waits)

d&: INSERT INTO u VALUES (1);
----
(waits)

e: SELECT pg_try_advisory_lock(12);
----
pg_try_advisory_lock
f

a: COMMIT;
----
COMMIT

b wait
----
UPDATE 1

d wait
----
INSERT 0 1

SELECT * FROM t ORDER BY id;
----
id	v
1	1
2	1
3	2
9	10

-- a key that its writer took away again comes back with a savepoint: nobody gets it meanwhile
a: CREATE TABLE back (k int PRIMARY KEY, v int);
----
CREATE TABLE

a: BEGIN; INSERT INTO back VALUES (1, 1), (2, 1); SAVEPOINT s; DELETE FROM back WHERE k = 1; UPDATE back SET k = 3 WHERE k = 2;
----
BEGIN
INSERT 0 2
SAVEPOINT
DELETE 1
UPDATE 1

b&: INSERT INTO back VALUES (1, 2);
----
(waits)

c&: INSERT INTO back VALUES (2, 2) ON CONFLICT (k) DO UPDATE SET v = back.v + 10;
----
(waits)

a: ROLLBACK TO s; COMMIT;
----
ROLLBACK
COMMIT

b wait
----
ERROR 23505: duplicate key value violates unique constraint "back_pkey"
DETAIL: Key (k)=(1) already exists.

c wait
----
INSERT 0 1

a: SELECT * FROM back ORDER BY k;
----
k	v
1	1
2	11

-- and one that was only there behind the savepoint is free at once
a: BEGIN; SAVEPOINT s; INSERT INTO back VALUES (9, 1); ROLLBACK TO s;
----
BEGIN
SAVEPOINT
INSERT 0 1
ROLLBACK

b: INSERT INTO back VALUES (9, 2);
----
INSERT 0 1

a: COMMIT; DROP TABLE back;
----
COMMIT
DROP TABLE
