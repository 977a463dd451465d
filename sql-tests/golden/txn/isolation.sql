CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30);
----
CREATE TABLE
INSERT 0 3

-- read committed: each statement sees what is committed
a: BEGIN; SELECT v FROM t WHERE id = 1;
----
BEGIN
v
10

b: UPDATE t SET v = 11 WHERE id = 1;
----
UPDATE 1

a: SELECT v FROM t WHERE id = 1; COMMIT;
----
v
11
COMMIT

-- repeatable read: one snapshot
a: BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM t WHERE id = 1;
----
BEGIN
v
11

b: UPDATE t SET v = 12 WHERE id = 1; INSERT INTO t VALUES (4, 40);
----
UPDATE 1
INSERT 0 1

a: SELECT id, v FROM t ORDER BY id;
----
id	v
1	11
2	20
3	30

a: UPDATE t SET v = v + 1 WHERE id = 1;
----
ERROR 40001: could not serialize access due to concurrent update

a: ROLLBACK;
----
ROLLBACK

-- lost update is prevented by row waits in read committed
a: BEGIN; UPDATE t SET v = v + 1 WHERE id = 1;
----
BEGIN
UPDATE 1

b&: UPDATE t SET v = v + 1 WHERE id = 1 RETURNING v;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
v
14
UPDATE 1

-- the waiter's condition is evaluated again
a: BEGIN; UPDATE t SET v = 100 WHERE id = 2;
----
BEGIN
UPDATE 1

b&: UPDATE t SET v = v + 1 WHERE v = 20 RETURNING *;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
id	v
UPDATE 0

-- the row that is waited for is deleted
a: BEGIN; DELETE FROM t WHERE id = 4;
----
BEGIN
DELETE 1

b&: UPDATE t SET v = 0 WHERE id = 4;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
UPDATE 0

-- the wait ends by rollback
a: BEGIN; DELETE FROM t WHERE id = 3;
----
BEGIN
DELETE 1

b&: UPDATE t SET v = 33 WHERE id = 3;
----
(waits)

a: ROLLBACK;
----
ROLLBACK

b wait
----
UPDATE 1

-- repeatable read loses
b: BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;
----
BEGIN
?column?
1

a: BEGIN; UPDATE t SET v = v + 1 WHERE id = 1;
----
BEGIN
UPDATE 1

b&: UPDATE t SET v = v + 1 WHERE id = 1;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
ERROR 40001: could not serialize access due to concurrent update

b: ROLLBACK;
----
ROLLBACK

-- a deleted row under repeatable read
b: BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t;
----
BEGIN
count
3

a: INSERT INTO t VALUES (5, 5); DELETE FROM t WHERE id = 3;
----
INSERT 0 1
DELETE 1

b: DELETE FROM t WHERE id = 3;
----
ERROR 40001: could not serialize access due to concurrent delete

b: ROLLBACK;
----
ROLLBACK

-- write skew under repeatable read goes through
a: BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(v) FROM t WHERE id IN (1, 2);
----
BEGIN
sum
115

b: BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(v) FROM t WHERE id IN (1, 2);
----
BEGIN
sum
115

a: UPDATE t SET v = 0 WHERE id = 1;
----
UPDATE 1

b: UPDATE t SET v = 0 WHERE id = 2;
----
UPDATE 1

a: COMMIT;
----
COMMIT

b: COMMIT;
----
COMMIT

-- and is refused when serializable
UPDATE t SET v = 50 WHERE id IN (1, 2);
----
UPDATE 2

a: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(v) FROM t WHERE id IN (1, 2);
----
BEGIN
sum
100

b: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(v) FROM t WHERE id IN (1, 2);
----
BEGIN
sum
100

a: UPDATE t SET v = 0 WHERE id = 1;
----
UPDATE 1

b: UPDATE t SET v = 0 WHERE id = 2;
----
UPDATE 1

a: COMMIT;
----
COMMIT

-- open: the reason code of a serialization failure is not told
b: COMMIT;
----
ERROR 40001: could not serialize access due to read/write dependencies among transactions
DETAIL: Reason code: Canceled on identification as a pivot, during commit attempt.
HINT: The transaction might succeed if retried.

b: ROLLBACK;
----
WARNING: there is no transaction in progress
ROLLBACK

SELECT id, v FROM t WHERE id IN (1, 2) ORDER BY id;
----
id	v
1	0
2	50

-- phantom under serializable
a: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM t WHERE v > 0;
----
BEGIN
count
2

b: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM t WHERE v > 0;
----
BEGIN
count
2

a: INSERT INTO t VALUES (10, 1);
----
INSERT 0 1

b: INSERT INTO t VALUES (11, 1);
----
INSERT 0 1

a: COMMIT;
----
COMMIT

-- open: the reason code of a serialization failure is not told
b: COMMIT;
----
ERROR 40001: could not serialize access due to read/write dependencies among transactions
DETAIL: Reason code: Canceled on identification as a pivot, during commit attempt.
HINT: The transaction might succeed if retried.

b: ROLLBACK;
----
WARNING: there is no transaction in progress
ROLLBACK

-- deadlock: the one that closes the cycle is told
a: BEGIN; UPDATE t SET v = 1 WHERE id = 1;
----
BEGIN
UPDATE 1

b: BEGIN; UPDATE t SET v = 2 WHERE id = 2;
----
BEGIN
UPDATE 1

a&: UPDATE t SET v = 1 WHERE id = 2;
----
(waits)

b: UPDATE t SET v = 2 WHERE id = 1;
----
ERROR 40P01: deadlock detected

b: ROLLBACK;
----
ROLLBACK

a wait
----
UPDATE 1

a: ROLLBACK;
----
ROLLBACK

-- unique key of an uncommitted row
a: BEGIN; INSERT INTO t VALUES (20, 1);
----
BEGIN
INSERT 0 1

b&: INSERT INTO t VALUES (20, 2);
----
(waits)

a: ROLLBACK;
----
ROLLBACK

b wait
----
INSERT 0 1

a: BEGIN; INSERT INTO t VALUES (21, 1);
----
BEGIN
INSERT 0 1

b&: INSERT INTO t VALUES (21, 2) ON CONFLICT (id) DO UPDATE SET v = t.v + 100 RETURNING *;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
id	v
21	101
INSERT 0 1

a: BEGIN; INSERT INTO t VALUES (22, 1);
----
BEGIN
INSERT 0 1

b&: INSERT INTO t VALUES (22, 2) ON CONFLICT DO NOTHING;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
INSERT 0 0

-- FOR UPDATE, NOWAIT, SKIP LOCKED
a: BEGIN; SELECT id FROM t WHERE id = 1 FOR UPDATE;
----
BEGIN
id
1

b: SELECT id FROM t WHERE id = 1 FOR UPDATE NOWAIT;
----
ERROR 55P03: could not obtain lock on row in relation "t"

b: SELECT id FROM t WHERE id IN (1, 2) ORDER BY id FOR UPDATE SKIP LOCKED;
----
id
2

b: SELECT id FROM t WHERE id = 1;
----
id
1

b: SET lock_timeout = '50ms'; UPDATE t SET v = 0 WHERE id = 1;
----
SET
ERROR 55P03: canceling statement due to lock timeout

b: RESET lock_timeout;
----
RESET

a: COMMIT;
----
COMMIT

-- FOR SHARE is shared, and keeps writers out
a: BEGIN; SELECT id FROM t WHERE id = 1 FOR SHARE;
----
BEGIN
id
1

b: BEGIN; SELECT id FROM t WHERE id = 1 FOR SHARE NOWAIT; COMMIT;
----
BEGIN
id
1
COMMIT

b: SELECT id FROM t WHERE id = 1 FOR UPDATE NOWAIT;
----
ERROR 55P03: could not obtain lock on row in relation "t"

b: UPDATE t SET v = 3 WHERE id = 2 RETURNING id;
----
id
2
UPDATE 1

a: COMMIT;
----
COMMIT

-- a foreign key's parent may be changed beside its key
CREATE TABLE p (id int PRIMARY KEY, n int); CREATE TABLE c (id int REFERENCES p); INSERT INTO p VALUES (1, 1), (2, 2);
----
CREATE TABLE
CREATE TABLE
INSERT 0 2

a: BEGIN; INSERT INTO c VALUES (1);
----
BEGIN
INSERT 0 1

b: UPDATE p SET n = 5 WHERE id = 1;
----
UPDATE 1

b&: DELETE FROM p WHERE id = 1;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
ERROR 23503: update or delete on table "p" violates foreign key constraint "c_id_fkey" on table "c"
DETAIL: Key (id)=(1) is still referenced from table "c".

a: BEGIN; DELETE FROM p WHERE id = 2;
----
BEGIN
DELETE 1

b&: INSERT INTO c VALUES (2);
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
ERROR 23503: insert or update on table "c" violates foreign key constraint "c_id_fkey"
DETAIL: Key (id)=(2) is not present in table "p".

-- table locks
a: BEGIN; LOCK TABLE p IN ACCESS EXCLUSIVE MODE;
----
BEGIN
LOCK TABLE

b: LOCK TABLE p IN ACCESS SHARE MODE NOWAIT;
----
ERROR 25P01: LOCK TABLE can only be used in transaction blocks

b: BEGIN; LOCK TABLE p IN ACCESS SHARE MODE NOWAIT;
----
BEGIN
ERROR 55P03: could not obtain lock on relation "p"

b: ROLLBACK;
----
ROLLBACK

b&: SELECT count(*) FROM p;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
count
1

a: BEGIN; ALTER TABLE p ADD COLUMN extra int DEFAULT 9;
----
BEGIN
ALTER TABLE

b&: SELECT * FROM p;
----
(waits)

a: COMMIT;
----
COMMIT

b wait
----
id	n	extra
1	5	9

-- read-only after a concurrent commit
a: BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT count(*) FROM p; COMMIT;
----
BEGIN
count
1
COMMIT

-- advisory locks
a: SELECT pg_advisory_lock(1);
----
pg_advisory_lock
''

b: SELECT pg_try_advisory_lock(1);
----
pg_try_advisory_lock
f

b&: SELECT pg_advisory_lock(1);
----
(waits)

a: SELECT pg_advisory_unlock(1);
----
pg_advisory_unlock
t

b wait
----
pg_advisory_lock
''

b: SELECT pg_advisory_unlock(1), pg_advisory_unlock(1);
----
pg_advisory_unlock	pg_advisory_unlock
WARNING: you don't own a lock of type ExclusiveLock
t	f
