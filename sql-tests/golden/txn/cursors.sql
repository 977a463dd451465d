CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30), (4, 40);
----
CREATE TABLE
INSERT 0 4

-- what was opened behind the savepoint is closed, what was opened before it stays and goes on
BEGIN; DECLARE early CURSOR FOR SELECT id FROM t ORDER BY id; FETCH 1 FROM early; SAVEPOINT s; DECLARE late CURSOR FOR SELECT id FROM t ORDER BY id; FETCH 1 FROM late; FETCH 1 FROM early;
----
BEGIN
DECLARE CURSOR
id
1
FETCH 1
SAVEPOINT
DECLARE CURSOR
id
1
FETCH 1
id
2
FETCH 1

ROLLBACK TO s; FETCH 1 FROM early;
----
ROLLBACK
id
3
FETCH 1

FETCH 1 FROM late;
----
ERROR 34000: cursor "late" does not exist

ROLLBACK;
----
ROLLBACK

-- a cursor of a released savepoint belongs to what is around it
BEGIN; SAVEPOINT outside; SAVEPOINT inside; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id; RELEASE inside; FETCH 1 FROM c;
----
BEGIN
SAVEPOINT
SAVEPOINT
DECLARE CURSOR
RELEASE
id
1
FETCH 1

ROLLBACK TO outside; FETCH 1 FROM c;
----
ROLLBACK
ERROR 34000: cursor "c" does not exist

ROLLBACK;
----
ROLLBACK

BEGIN; SAVEPOINT gone; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id; RELEASE gone; SAVEPOINT later; ROLLBACK TO later; FETCH 1 FROM c; COMMIT;
----
BEGIN
SAVEPOINT
DECLARE CURSOR
RELEASE
SAVEPOINT
ROLLBACK
id
1
FETCH 1
COMMIT

-- also one that is kept beyond the transaction
-- open: WITH HOLD
BEGIN; SAVEPOINT s; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id; FETCH 1 FROM c; ROLLBACK TO s; COMMIT;
----
BEGIN
SAVEPOINT
DECLARE CURSOR
id
1
FETCH 1
ROLLBACK
COMMIT

-- open: WITH HOLD
ROLLBACK;
----
WARNING: there is no transaction in progress
ROLLBACK

-- an error behind the savepoint leaves the earlier cursor, and going back opens the way to it
BEGIN; DECLARE early CURSOR FOR SELECT id FROM t ORDER BY id; FETCH 1 FROM early; SAVEPOINT s; DECLARE late CURSOR FOR SELECT id FROM t ORDER BY id; SELECT 1 / 0;
----
BEGIN
DECLARE CURSOR
id
1
FETCH 1
SAVEPOINT
DECLARE CURSOR
ERROR 22012: division by zero

FETCH 1 FROM early;
----
ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block

ROLLBACK TO s; FETCH 1 FROM early; FETCH ALL FROM early;
----
ROLLBACK
id
2
FETCH 1
id
3
4
FETCH 2

FETCH 1 FROM late;
----
ERROR 34000: cursor "late" does not exist

ROLLBACK;
----
ROLLBACK

-- a cursor that was opened before does not see what a savepoint took back, nor what came later
BEGIN; UPDATE t SET v = v + 1 WHERE id = 1; DECLARE c CURSOR FOR SELECT id, v FROM t ORDER BY id; SAVEPOINT s; UPDATE t SET v = v + 1; INSERT INTO t VALUES (5, 50); FETCH 2 FROM c; ROLLBACK TO s; FETCH 2 FROM c; UPDATE t SET v = 0; FETCH ALL FROM c; ROLLBACK;
----
BEGIN
UPDATE 1
DECLARE CURSOR
SAVEPOINT
UPDATE 4
INSERT 0 1
id	v
1	11
2	20
FETCH 2
ROLLBACK
id	v
3	30
4	40
FETCH 2
UPDATE 4
id	v
FETCH 0
ROLLBACK

-- a cursor whose own query failed
BEGIN; DECLARE bad CURSOR FOR SELECT 1 / (id - 1) AS q FROM t ORDER BY id; SAVEPOINT s; FETCH 1 FROM bad;
----
BEGIN
DECLARE CURSOR
SAVEPOINT
ERROR 22012: division by zero

ROLLBACK TO s; FETCH 1 FROM bad;
----
ROLLBACK
ERROR 55000: portal "bad" cannot be run

ROLLBACK; SELECT count(*) FROM t;
----
ROLLBACK
count
4

-- the names are free again
BEGIN; SAVEPOINT s; DECLARE c CURSOR FOR SELECT 1 AS one; ROLLBACK TO s; DECLARE c CURSOR FOR SELECT 2 AS two; FETCH ALL FROM c; SELECT name FROM pg_cursors; COMMIT;
----
BEGIN
SAVEPOINT
DECLARE CURSOR
ROLLBACK
DECLARE CURSOR
two
2
FETCH 1
name
c
COMMIT
