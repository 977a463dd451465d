CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30);
----
CREATE TABLE
INSERT 0 3

-- a write that closes a dangerous structure fails; what happened before the savepoint does not depend on it
a: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(v) FROM t;
----
BEGIN
sum
60

b: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(v) FROM t; UPDATE t SET v = 21 WHERE id = 2; COMMIT;
----
BEGIN
sum
60
UPDATE 1
COMMIT

-- differs: no reason codes
a: SAVEPOINT s; UPDATE t SET v = 11 WHERE id = 1;
----
SAVEPOINT
ERROR 40001: could not serialize access due to read/write dependencies among transactions
HINT: The transaction might succeed if retried.

a: ROLLBACK TO s;
----
ROLLBACK

a: SELECT 1;
----
?column?
1

-- differs: no reason codes
a: UPDATE t SET v = 12 WHERE id = 1;
----
ERROR 40001: could not serialize access due to read/write dependencies among transactions
HINT: The transaction might succeed if retried.

a: ROLLBACK TO s; COMMIT;
----
ROLLBACK
COMMIT

a: SELECT * FROM t ORDER BY id;
----
id	v
1	10
2	21
3	30

-- the same, and a write before the savepoint: without the failed statement it is as impossible as with it
a: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(v) FROM t; INSERT INTO t VALUES (4, 40); SAVEPOINT s;
----
BEGIN
sum
61
INSERT 0 1
SAVEPOINT

b: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(v) FROM t; UPDATE t SET v = 22 WHERE id = 2; COMMIT;
----
BEGIN
sum
61
UPDATE 1
COMMIT

-- differs: no reason codes
a: UPDATE t SET v = 11 WHERE id = 1;
----
ERROR 40001: could not serialize access due to read/write dependencies among transactions
HINT: The transaction might succeed if retried.

-- differs: no reason codes
a: ROLLBACK TO s; COMMIT;
----
ROLLBACK
ERROR 40001: could not serialize access due to read/write dependencies among transactions
HINT: The transaction might succeed if retried.

a: ROLLBACK; SELECT * FROM t ORDER BY id;
----
WARNING: there is no transaction in progress
ROLLBACK
id	v
1	10
2	22
3	30

-- a read that fails
a: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM t WHERE id = 3; UPDATE t SET v = 11 WHERE id = 1; SAVEPOINT s;
----
BEGIN
v
30
UPDATE 1
SAVEPOINT

b: BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM t WHERE id = 1; UPDATE t SET v = 25 WHERE id = 2; COMMIT;
----
BEGIN
v
10
UPDATE 1
COMMIT

-- differs: no reason codes
a: SELECT v FROM t WHERE id = 2;
----
ERROR 40001: could not serialize access due to read/write dependencies among transactions
HINT: The transaction might succeed if retried.

-- the read that failed told nothing, and without it there is an order
a: ROLLBACK TO s; COMMIT;
----
ROLLBACK
COMMIT

a: ROLLBACK; SELECT * FROM t ORDER BY id;
----
WARNING: there is no transaction in progress
ROLLBACK
id	v
1	11
2	25
3	30
