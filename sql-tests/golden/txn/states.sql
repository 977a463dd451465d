CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20);
----
CREATE TABLE
INSERT 0 2

COMMIT;
----
WARNING: there is no transaction in progress
COMMIT

ROLLBACK;
----
WARNING: there is no transaction in progress
ROLLBACK

SAVEPOINT s;
----
ERROR 25P01: SAVEPOINT can only be used in transaction blocks

ROLLBACK TO s;
----
ERROR 25P01: ROLLBACK TO SAVEPOINT can only be used in transaction blocks

RELEASE s;
----
ERROR 25P01: RELEASE SAVEPOINT can only be used in transaction blocks

BEGIN;
----
BEGIN

BEGIN;
----
WARNING: there is already a transaction in progress
BEGIN

SELECT nosuch;
----
ERROR 42703: column "nosuch" does not exist

SELECT 1;
----
ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block

SAVEPOINT s;
----
ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block

COMMIT;
----
ROLLBACK

BEGIN; INSERT INTO t VALUES (3, 30); SAVEPOINT a; INSERT INTO t VALUES (4, 40); SAVEPOINT b; INSERT INTO t VALUES (1, 0);
----
BEGIN
INSERT 0 1
SAVEPOINT
INSERT 0 1
SAVEPOINT
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (id)=(1) already exists.

SELECT 1;
----
ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block

ROLLBACK TO b;
----
ROLLBACK

SELECT count(*) FROM t;
----
count
4

ROLLBACK TO a;
----
ROLLBACK

SELECT count(*) FROM t;
----
count
3

RELEASE a;
----
RELEASE

ROLLBACK TO a;
----
ERROR 3B001: savepoint "a" does not exist

ROLLBACK;
----
ROLLBACK

SELECT count(*) FROM t;
----
count
2

BEGIN; SAVEPOINT x; INSERT INTO t VALUES (5, 50); SAVEPOINT x; INSERT INTO t VALUES (6, 60); ROLLBACK TO x; RELEASE x; ROLLBACK TO x; COMMIT;
----
BEGIN
SAVEPOINT
INSERT 0 1
SAVEPOINT
INSERT 0 1
ROLLBACK
RELEASE
ROLLBACK
COMMIT

SELECT count(*) FROM t;
----
count
2

INSERT INTO t VALUES (7, 70); INSERT INTO t VALUES (1, 1);
----
INSERT 0 1
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (id)=(1) already exists.

SELECT count(*) FROM t WHERE id = 7;
----
count
0

INSERT INTO t VALUES (8, 80); BEGIN; INSERT INTO t VALUES (9, 90); ROLLBACK;
----
INSERT 0 1
BEGIN
INSERT 0 1
ROLLBACK

SELECT id FROM t WHERE id >= 8 ORDER BY id;
----
id

BEGIN READ ONLY; SELECT count(*) FROM t;
----
BEGIN
count
2

INSERT INTO t VALUES (10, 1);
----
ERROR 25006: cannot execute INSERT in a read-only transaction

ROLLBACK;
----
ROLLBACK

-- open: a read-only transaction does not name the DDL command
BEGIN READ ONLY; CREATE TABLE ro (a int);
----
BEGIN
ERROR 25006: cannot execute CREATE TABLE in a read-only transaction

ROLLBACK;
----
ROLLBACK

BEGIN READ ONLY; SELECT nextval('nosuch');
----
BEGIN
ERROR 42P01: relation "nosuch" does not exist

ROLLBACK;
----
ROLLBACK

SET default_transaction_read_only = on; INSERT INTO t VALUES (11, 1);
----
SET
INSERT 0 1

SET default_transaction_read_only = off;
----
SET

BEGIN; SELECT 1; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
----
BEGIN
?column?
1
ERROR 25001: SET TRANSACTION ISOLATION LEVEL must be called before any query

ROLLBACK;
----
ROLLBACK

BEGIN ISOLATION LEVEL REPEATABLE READ; SHOW transaction_isolation;
----
BEGIN
transaction_isolation
repeatable read
SHOW

SET TRANSACTION READ ONLY; SHOW transaction_read_only;
----
SET
transaction_read_only
on
SHOW

SET TRANSACTION READ WRITE;
----
SET

COMMIT;
----
COMMIT

BEGIN; SET LOCAL work_mem = '8MB'; SHOW work_mem; COMMIT;
----
BEGIN
SET
work_mem
8MB
SHOW
COMMIT

SHOW work_mem;
----
work_mem
4MB
SHOW

BEGIN; SET work_mem = '9MB'; ROLLBACK;
----
BEGIN
SET
ROLLBACK

SHOW work_mem;
----
work_mem
4MB
SHOW

SET LOCAL work_mem = '8MB';
----
WARNING: SET LOCAL can only be used in transaction blocks
SET

BEGIN; SAVEPOINT s; SET work_mem = '7MB'; ROLLBACK TO s; SHOW work_mem; COMMIT;
----
BEGIN
SAVEPOINT
SET
ROLLBACK
work_mem
4MB
SHOW
COMMIT

SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
----
WARNING: SET TRANSACTION can only be used in transaction blocks
SET

START TRANSACTION; END;
----
START TRANSACTION
COMMIT

BEGIN; COMMIT AND CHAIN; SELECT 1; ROLLBACK AND NO CHAIN;
----
BEGIN
COMMIT
?column?
1
ROLLBACK

ABORT;
----
WARNING: there is no transaction in progress
ROLLBACK

SHOW transaction_isolation;
----
transaction_isolation
read committed
SHOW

SET nosuch = 1;
----
ERROR 42704: unrecognized configuration parameter "nosuch"

SHOW nosuch;
----
ERROR 42704: unrecognized configuration parameter "nosuch"

SET my.setting = 'x'; SHOW my.setting;
----
SET
my.setting
x
SHOW

SELECT current_setting('my.setting'), current_setting('my.other', true);
----
current_setting	current_setting
x	\N

SELECT set_config('my.setting', 'y', false), current_setting('my.setting');
----
set_config	current_setting
y	y

SET work_mem = 'abc';
----
ERROR 22023: invalid value for parameter "work_mem": "abc"

SET statement_timeout = -5;
----
ERROR 22023: -5 ms is outside the valid range for parameter "statement_timeout" (0 .. 2147483647)

SET DateStyle = 'nosuch';
----
ERROR 22023: invalid value for parameter "DateStyle": "nosuch"
DETAIL: Unrecognized key word: "nosuch".

BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id; FETCH 2 FROM c; FETCH ALL FROM c; FETCH 1 FROM c; CLOSE c; COMMIT;
----
BEGIN
DECLARE CURSOR
id
1
2
FETCH 2
id
11
FETCH 1
id
FETCH 0
CLOSE CURSOR
COMMIT

DECLARE c CURSOR FOR SELECT 1;
----
ERROR 25P01: DECLARE CURSOR can only be used in transaction blocks

FETCH 1 FROM nosuch;
----
ERROR 34000: cursor "nosuch" does not exist

CLOSE nosuch;
----
ERROR 34000: cursor "nosuch" does not exist

BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id; MOVE 1 FROM c; FETCH NEXT FROM c; DECLARE c CURSOR FOR SELECT 2;
----
BEGIN
DECLARE CURSOR
MOVE 1
id
2
FETCH 1
ERROR 42P03: cursor "c" already exists

ROLLBACK;
----
ROLLBACK

PREPARE p(int) AS SELECT v FROM t WHERE id = $1;
----
PREPARE

EXECUTE p(1);
----
v
10

EXECUTE p;
----
ERROR 42601: wrong number of parameters for prepared statement "p"
DETAIL: Expected 1 parameters but got 0.

EXECUTE p('x');
----
ERROR 22P02: invalid input syntax for type integer: "x"

PREPARE p AS SELECT 1;
----
ERROR 42P05: prepared statement "p" already exists

DEALLOCATE p;
----
DEALLOCATE

EXECUTE p(1);
----
ERROR 26000: prepared statement "p" does not exist

DEALLOCATE nosuch;
----
ERROR 26000: prepared statement "nosuch" does not exist

LOCK TABLE t;
----
ERROR 25P01: LOCK TABLE can only be used in transaction blocks

BEGIN; LOCK TABLE t IN SHARE MODE; LOCK TABLE nosuch;
----
BEGIN
LOCK TABLE
ERROR 42P01: relation "nosuch" does not exist

ROLLBACK;
----
ROLLBACK

DISCARD ALL;
----
DISCARD ALL

VACUUM t;
----
VACUUM

BEGIN; VACUUM t;
----
BEGIN
ERROR 25001: VACUUM cannot run inside a transaction block

ROLLBACK;
----
ROLLBACK

SELECT pg_sleep(0), 1 AS one;
----
pg_sleep	one
''	1
