CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a_id int REFERENCES a); CREATE VIEW va AS SELECT * FROM a; CREATE VIEW vva AS SELECT * FROM va;
----
CREATE TABLE
CREATE TABLE
CREATE VIEW
CREATE VIEW

DROP TABLE a;
----
ERROR 2BP01: cannot drop table a because other objects depend on it
DETAIL: constraint b_a_id_fkey on table b depends on table a\nview va depends on table a\nview vva depends on view va
HINT: Use DROP ... CASCADE to drop the dependent objects too.

DROP VIEW va;
----
ERROR 2BP01: cannot drop view va because other objects depend on it
DETAIL: view vva depends on view va
HINT: Use DROP ... CASCADE to drop the dependent objects too.

DROP VIEW a;
----
ERROR 42809: "a" is not a view
HINT: Use DROP TABLE to remove a table.

DROP TABLE va;
----
ERROR 42809: "va" is not a table
HINT: Use DROP VIEW to remove a view.

DROP INDEX a;
----
ERROR 42809: "a" is not an index
HINT: Use DROP TABLE to remove a table.

DROP SEQUENCE a;
----
ERROR 42809: "a" is not a sequence
HINT: Use DROP TABLE to remove a table.

DROP TABLE nosuch;
----
ERROR 42P01: table "nosuch" does not exist

DROP TABLE IF EXISTS nosuch, b;
----
NOTICE: table "nosuch" does not exist, skipping
DROP TABLE

DROP VIEW va CASCADE;
----
NOTICE: drop cascades to view vva
DROP VIEW

CREATE VIEW va AS SELECT * FROM a; CREATE VIEW vva AS SELECT * FROM va;
----
CREATE VIEW
CREATE VIEW

DROP TABLE a CASCADE;
----
NOTICE: drop cascades to 2 other objects
DETAIL: drop cascades to view va\ndrop cascades to view vva
DROP TABLE

SELECT * FROM va;
----
ERROR 42P01: relation "va" does not exist

DROP VIEW IF EXISTS nosuch;
----
NOTICE: view "nosuch" does not exist, skipping
DROP VIEW

DROP SEQUENCE IF EXISTS nosuch;
----
NOTICE: sequence "nosuch" does not exist, skipping
DROP SEQUENCE

DROP SCHEMA IF EXISTS nosuch;
----
NOTICE: schema "nosuch" does not exist, skipping
DROP SCHEMA

DROP SCHEMA nosuch;
----
ERROR 3F000: schema "nosuch" does not exist

DROP TABLE nosuch.t;
----
ERROR 3F000: schema "nosuch" does not exist

DROP TABLE IF EXISTS nosuch.t;
----
NOTICE: schema "nosuch" does not exist, skipping
DROP TABLE

CREATE SCHEMA s1 CREATE TABLE t1 (x int) CREATE VIEW v1 AS SELECT x FROM t1;
----
CREATE SCHEMA

CREATE SCHEMA s1;
----
ERROR 42P06: schema "s1" already exists

CREATE SCHEMA IF NOT EXISTS s1;
----
NOTICE: schema "s1" already exists, skipping
CREATE SCHEMA

DROP SCHEMA s1;
----
ERROR 2BP01: cannot drop schema s1 because other objects depend on it
DETAIL: table s1.t1 depends on schema s1\nview s1.v1 depends on schema s1
HINT: Use DROP ... CASCADE to drop the dependent objects too.

DROP SCHEMA s1 CASCADE;
----
NOTICE: drop cascades to 2 other objects
DETAIL: drop cascades to table s1.t1\ndrop cascades to view s1.v1
DROP SCHEMA

CREATE SCHEMA pg_mine;
----
ERROR 42939: unacceptable schema name "pg_mine"
DETAIL: The prefix "pg_" is reserved for system schemas.

CREATE SEQUENCE q; CREATE TABLE uses (x int DEFAULT nextval('q'));
----
CREATE SEQUENCE
CREATE TABLE

DROP SEQUENCE q;
----
ERROR 2BP01: cannot drop sequence q because other objects depend on it
DETAIL: default value for column x of table uses depends on sequence q
HINT: Use DROP ... CASCADE to drop the dependent objects too.

DROP SEQUENCE q CASCADE;
----
NOTICE: drop cascades to default value for column x of table uses
DROP SEQUENCE

INSERT INTO uses DEFAULT VALUES RETURNING *;
----
x
\N
INSERT 0 1

CREATE TABLE ser (id serial, v int);
----
CREATE TABLE

DROP SEQUENCE ser_id_seq;
----
ERROR 2BP01: cannot drop sequence ser_id_seq because other objects depend on it
DETAIL: default value for column id of table ser depends on sequence ser_id_seq
HINT: Use DROP ... CASCADE to drop the dependent objects too.

DROP TABLE ser;
----
DROP TABLE

SELECT 1 FROM pg_class WHERE relname = 'ser_id_seq';
----
?column?

CREATE TABLE pk (id int PRIMARY KEY); CREATE TABLE fk (id int REFERENCES pk);
----
CREATE TABLE
CREATE TABLE

ALTER TABLE pk DROP CONSTRAINT pk_pkey;
----
ERROR 2BP01: cannot drop constraint pk_pkey on table pk because other objects depend on it
DETAIL: constraint fk_id_fkey on table fk depends on index pk_pkey
HINT: Use DROP ... CASCADE to drop the dependent objects too.

ALTER TABLE pk DROP COLUMN id;
----
ERROR 2BP01: cannot drop column id of table pk because other objects depend on it
DETAIL: constraint fk_id_fkey on table fk depends on column id of table pk
HINT: Use DROP ... CASCADE to drop the dependent objects too.

DROP INDEX pk_pkey;
----
ERROR 2BP01: cannot drop index pk_pkey because constraint pk_pkey on table pk requires it
HINT: You can drop constraint pk_pkey on table pk instead.

ALTER TABLE pk DROP CONSTRAINT pk_pkey CASCADE;
----
NOTICE: drop cascades to constraint fk_id_fkey on table fk
ALTER TABLE

INSERT INTO fk VALUES (1);
----
INSERT 0 1

TRUNCATE pk;
----
TRUNCATE TABLE

DROP TABLE pk, fk;
----
DROP TABLE

DROP TABLE pk;
----
ERROR 42P01: table "pk" does not exist
