CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20); CREATE TABLE u (a int); CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent); INSERT INTO parent VALUES (1), (2);
----
CREATE TABLE
INSERT 0 2
CREATE TABLE
CREATE TABLE
CREATE TABLE
INSERT 0 2

-- a row against a table
a: BEGIN; UPDATE t SET v = 11 WHERE id = 1;
----
BEGIN
UPDATE 1

b: BEGIN; LOCK TABLE u IN ACCESS EXCLUSIVE MODE;
----
BEGIN
LOCK TABLE

b&: UPDATE t SET v = 12 WHERE id = 1;
----
(waits)

a: SELECT * FROM u;
----
ERROR 40P01: deadlock detected

a: ROLLBACK;
----
ROLLBACK

b wait
----
UPDATE 1

b: ROLLBACK;
----
ROLLBACK

-- the other way round
a: BEGIN; LOCK TABLE u IN SHARE MODE;
----
BEGIN
LOCK TABLE

b: BEGIN; UPDATE t SET v = 11 WHERE id = 1;
----
BEGIN
UPDATE 1

b&: INSERT INTO u VALUES (1);
----
(waits)

a: UPDATE t SET v = 12 WHERE id = 1;
----
ERROR 40P01: deadlock detected

a: ROLLBACK;
----
ROLLBACK

b wait
----
INSERT 0 1

b: ROLLBACK;
----
ROLLBACK

-- an advisory lock against a row
a: SELECT pg_advisory_lock(7);
----
pg_advisory_lock
''

b: BEGIN; UPDATE t SET v = 11 WHERE id = 2;
----
BEGIN
UPDATE 1

b&: SELECT pg_advisory_lock(7);
----
(waits)

a: UPDATE t SET v = 12 WHERE id = 2;
----
ERROR 40P01: deadlock detected

a: SELECT pg_advisory_unlock(7);
----
pg_advisory_unlock
t

b wait
----
pg_advisory_lock
''

b: ROLLBACK; SELECT pg_advisory_unlock_all();
----
ROLLBACK
pg_advisory_unlock_all
''

-- advisory locks among each other, of sessions and of transactions
a: SELECT pg_advisory_lock(1);
----
pg_advisory_lock
''

b: BEGIN; SELECT pg_advisory_xact_lock(2);
----
BEGIN
pg_advisory_xact_lock
''

b&: SELECT pg_advisory_xact_lock_shared(1);
----
(waits)

a: SELECT pg_advisory_lock(2);
----
ERROR 40P01: deadlock detected

a: SELECT pg_advisory_unlock_all();
----
pg_advisory_unlock_all
''

b wait
----
pg_advisory_xact_lock_shared
''

b: COMMIT;
----
COMMIT

-- an advisory lock against a table
a: SELECT pg_advisory_lock(3);
----
pg_advisory_lock
''

b: BEGIN; LOCK TABLE t;
----
BEGIN
LOCK TABLE

b&: SELECT pg_advisory_lock(3);
----
(waits)

a: SELECT count(*) FROM t;
----
ERROR 40P01: deadlock detected

a: SELECT pg_advisory_unlock_all();
----
pg_advisory_unlock_all
''

b wait
----
pg_advisory_lock
''

b: ROLLBACK; SELECT pg_advisory_unlock_all();
----
ROLLBACK
pg_advisory_unlock_all
''

-- three sessions, three kinds of locks
a: BEGIN; UPDATE t SET v = 11 WHERE id = 1;
----
BEGIN
UPDATE 1

b: BEGIN; LOCK TABLE u IN EXCLUSIVE MODE;
----
BEGIN
LOCK TABLE

c: SELECT pg_advisory_lock(9);
----
pg_advisory_lock
''

a&: DELETE FROM u;
----
(waits)

b&: SELECT pg_advisory_lock(9);
----
(waits)

c: UPDATE t SET v = 13 WHERE id = 1;
----
ERROR 40P01: deadlock detected

c: SELECT pg_advisory_unlock_all();
----
pg_advisory_unlock_all
''

b wait
----
pg_advisory_lock
''

b: ROLLBACK; SELECT pg_advisory_unlock_all();
----
ROLLBACK
pg_advisory_unlock_all
''

a wait
----
DELETE 0

a: ROLLBACK;
----
ROLLBACK

-- a key that is being inserted, a referenced row, and a table
a: BEGIN; INSERT INTO parent VALUES (3);
----
BEGIN
INSERT 0 1

b: BEGIN; DELETE FROM parent WHERE id = 1;
----
BEGIN
DELETE 1

b&: INSERT INTO parent VALUES (3);
----
(waits)

a: INSERT INTO child VALUES (1);
----
ERROR 40P01: deadlock detected

a: ROLLBACK;
----
ROLLBACK

b wait
----
INSERT 0 1

b: ROLLBACK;
----
ROLLBACK

-- a long wait is none
a: SELECT pg_advisory_lock(5);
----
pg_advisory_lock
''

b&: SELECT pg_advisory_lock(5);
----
(waits)

c&: SELECT pg_advisory_lock(5);
----
(waits)

a: SELECT pg_advisory_unlock(5);
----
pg_advisory_unlock
t

b wait
----
pg_advisory_lock
''

b: SELECT pg_advisory_unlock(5);
----
pg_advisory_unlock
t

c wait
----
pg_advisory_lock
''

c: SELECT pg_advisory_unlock(5);
----
pg_advisory_unlock
t

-- lock_timeout and cancelling end each kind of wait
a: BEGIN; LOCK TABLE u; SELECT pg_advisory_xact_lock(6);
----
BEGIN
LOCK TABLE
pg_advisory_xact_lock
''

b: SET lock_timeout = '5ms';
----
SET

b: SELECT pg_advisory_lock(6);
----
ERROR 55P03: canceling statement due to lock timeout

b: SELECT * FROM u;
----
ERROR 55P03: canceling statement due to lock timeout

b: SET lock_timeout = 0; SET statement_timeout = '5ms';
----
SET
SET

b: SELECT pg_advisory_lock(6);
----
ERROR 57014: canceling statement due to statement timeout

b: SELECT * FROM u;
----
ERROR 57014: canceling statement due to statement timeout

b: RESET statement_timeout;
----
RESET

a: ROLLBACK;
----
ROLLBACK

b: SELECT pg_try_advisory_lock(6), (SELECT count(*) FROM u);
----
pg_try_advisory_lock	count
t	0
