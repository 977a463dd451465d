CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL, c int UNIQUE, d int CHECK (d > 0), e int DEFAULT 7);
----
CREATE TABLE

INSERT INTO t (a, b) VALUES (NULL, 'x');
----
ERROR 23502: null value in column "a" of relation "t" violates not-null constraint
DETAIL: Failing row contains (null, x, null, null, 7).

INSERT INTO t (a, b) VALUES (1, NULL);
----
ERROR 23502: null value in column "b" of relation "t" violates not-null constraint
DETAIL: Failing row contains (1, null, null, null, 7).

INSERT INTO t (a) VALUES (1);
----
ERROR 23502: null value in column "b" of relation "t" violates not-null constraint
DETAIL: Failing row contains (1, null, null, null, 7).

INSERT INTO t (a, b, c) VALUES (1, 'x', 5) RETURNING *;
----
a	b	c	d	e
1	x	5	\N	7
INSERT 0 1

INSERT INTO t (a, b, c) VALUES (2, 'x', 5);
----
ERROR 23505: duplicate key value violates unique constraint "t_c_key"
DETAIL: Key (c)=(5) already exists.

INSERT INTO t (a, b, d) VALUES (3, 'x', 0);
----
ERROR 23514: new row for relation "t" violates check constraint "t_d_check"
DETAIL: Failing row contains (3, x, null, 0, 7).

INSERT INTO t (a, b, d) VALUES (3, 'x', NULL) RETURNING a, d;
----
a	d
3	\N
INSERT 0 1

UPDATE t SET d = -1 WHERE a = 1;
----
ERROR 23514: new row for relation "t" violates check constraint "t_d_check"
DETAIL: Failing row contains (1, x, 5, -1, 7).

UPDATE t SET b = NULL;
----
ERROR 23502: null value in column "b" of relation "t" violates not-null constraint
DETAIL: Failing row contains (1, null, 5, null, 7).

UPDATE t SET a = 3 WHERE a = 1;
----
ERROR 23505: duplicate key value violates unique constraint "t_pkey"
DETAIL: Key (a)=(3) already exists.

CREATE TABLE t (x int);
----
ERROR 42P07: relation "t" already exists

CREATE TABLE IF NOT EXISTS t (x int);
----
NOTICE: relation "t" already exists, skipping
CREATE TABLE

CREATE TABLE dup (a int, a text);
----
ERROR 42701: column "a" specified more than once

CREATE TABLE two_pk (a int PRIMARY KEY, b int PRIMARY KEY);
----
ERROR 42P16: multiple primary keys for table "two_pk" are not allowed

CREATE TABLE two_pk (a int PRIMARY KEY, b int, PRIMARY KEY (b));
----
ERROR 42P16: multiple primary keys for table "two_pk" are not allowed

CREATE TABLE bad_key (a int, UNIQUE (b));
----
ERROR 42703: column "b" named in key does not exist

CREATE TABLE bad_check (a int, CHECK (b > 0));
----
ERROR 42703: column "b" does not exist

CREATE TABLE bad_check (a int, CHECK (a));
----
ERROR 42804: argument of CHECK must be type boolean, not type integer

CREATE TABLE bad_check (a int, CHECK (a > (SELECT 1)));
----
ERROR 0A000: cannot use subquery in check constraint

CREATE TABLE bad_check (a int, CHECK (sum(a) > 1));
----
ERROR 42803: aggregate functions are not allowed in check constraints

CREATE TABLE bad_default (a int DEFAULT 'x');
----
ERROR 22P02: invalid input syntax for type integer: "x"

CREATE TABLE bad_default (a int DEFAULT true);
----
ERROR 42804: column "a" is of type integer but default expression is of type boolean
HINT: You will need to rewrite or cast the expression.

CREATE TABLE bad_default (a int, b int DEFAULT a);
----
ERROR 0A000: cannot use column reference in DEFAULT expression

CREATE TABLE bad_default (a int DEFAULT (SELECT 1));
----
ERROR 0A000: cannot use subquery in DEFAULT expression

CREATE TABLE bad_default (a int DEFAULT $1);
----
ERROR 42P02: there is no parameter $1

CREATE TABLE bad_fk (a text REFERENCES t);
----
ERROR 42804: foreign key constraint "bad_fk_a_fkey" cannot be implemented
DETAIL: Key columns "a" and "a" are of incompatible types: text and integer.

CREATE TABLE bad_fk (a int REFERENCES nowhere);
----
ERROR 42P01: relation "nowhere" does not exist

CREATE TABLE bad_fk (a int REFERENCES t (e));
----
ERROR 42830: there is no unique constraint matching given keys for referenced table "t"

-- open: the counts of columns are compared first
CREATE TABLE bad_fk (a int, FOREIGN KEY (a) REFERENCES t (a, c));
----
ERROR 42830: there is no unique constraint matching given keys for referenced table "t"

CREATE TABLE bad_fk (a int, FOREIGN KEY (zz) REFERENCES t);
----
ERROR 42703: column "zz" referenced in foreign key constraint does not exist

CREATE TABLE bad_type (a nosuchtype);
----
ERROR 42704: type "nosuchtype" does not exist

CREATE TABLE bad_null (a int NULL NOT NULL);
----
ERROR 42601: conflicting NULL/NOT NULL declarations for column "a" of table "bad_null"

CREATE TABLE bad_defaults (a int DEFAULT 1 DEFAULT 2);
----
ERROR 42601: multiple default values specified for column "a" of table "bad_defaults"

CREATE TABLE multi (a int, b int, c int, CONSTRAINT multi_key PRIMARY KEY (a, b), CONSTRAINT sum_positive CHECK (a + b > 0), UNIQUE (b, c));
----
CREATE TABLE

INSERT INTO multi VALUES (1, 1, 1), (1, 2, 1), (2, 2, NULL), (3, 2, NULL);
----
INSERT 0 4

INSERT INTO multi VALUES (1, 2, 9);
----
ERROR 23505: duplicate key value violates unique constraint "multi_key"
DETAIL: Key (a, b)=(1, 2) already exists.

INSERT INTO multi VALUES (9, 1, 1);
----
ERROR 23505: duplicate key value violates unique constraint "multi_b_c_key"
DETAIL: Key (b, c)=(1, 1) already exists.

INSERT INTO multi VALUES (-5, 1, 7);
----
ERROR 23514: new row for relation "multi" violates check constraint "sum_positive"
DETAIL: Failing row contains (-5, 1, 7).

CREATE TABLE nulls (a int UNIQUE NULLS NOT DISTINCT);
----
CREATE TABLE

INSERT INTO nulls VALUES (NULL), (1);
----
INSERT 0 2

INSERT INTO nulls VALUES (NULL);
----
ERROR 23505: duplicate key value violates unique constraint "nulls_a_key"
DETAIL: Key (a)=(null) already exists.

SELECT conname, contype FROM pg_constraint WHERE conrelid = 'multi'::regclass ORDER BY conname;
----
conname	contype
multi_b_c_key	u
multi_key	p
sum_positive	c

SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN ('multi'::regclass, 't'::regclass) ORDER BY conname;
----
conname	pg_get_constraintdef
multi_b_c_key	UNIQUE (b, c)
multi_key	PRIMARY KEY (a, b)
sum_positive	CHECK (((a + b) > 0))
t_c_key	UNIQUE (c)
t_d_check	CHECK ((d > 0))
t_pkey	PRIMARY KEY (a)

SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('t', 'multi') ORDER BY indexname;
----
indexname	indexdef
multi_b_c_key	CREATE UNIQUE INDEX multi_b_c_key ON public.multi USING btree (b, c)
multi_key	CREATE UNIQUE INDEX multi_key ON public.multi USING btree (a, b)
t_c_key	CREATE UNIQUE INDEX t_c_key ON public.t USING btree (c)
t_pkey	CREATE UNIQUE INDEX t_pkey ON public.t USING btree (a)

-- open: generated columns is not supported yet
CREATE TABLE gen (a int, b int GENERATED ALWAYS AS (a * 2) STORED);
----
CREATE TABLE

-- open: follows from what is open before
INSERT INTO gen (a) VALUES (3) RETURNING *;
----
a	b
3	6
INSERT 0 1

-- open: follows from what is open before
INSERT INTO gen VALUES (1, 2);
----
ERROR 428C9: cannot insert a non-DEFAULT value into column "b"
DETAIL: Column "b" is a generated column.

-- open: follows from what is open before
UPDATE gen SET b = 5;
----
ERROR 428C9: column "b" can only be updated to DEFAULT
DETAIL: Column "b" is a generated column.

-- open: follows from what is open before
UPDATE gen SET a = 10 RETURNING *;
----
a	b
10	20
UPDATE 1
