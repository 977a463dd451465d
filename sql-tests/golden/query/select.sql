CREATE TABLE a (id int, v text); INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, NULL), (4, 'four'); CREATE TABLE b (id int, a_id int, n numeric); INSERT INTO b VALUES (10, 1, 1.5), (11, 1, 2.5), (12, 2, NULL), (13, 9, 9);
----
CREATE TABLE
INSERT 0 4
CREATE TABLE
INSERT 0 4

SELECT * FROM a JOIN b ON a.id = b.a_id ORDER BY b.id;
----
id	v	id	a_id	n
1	one	10	1	1.5
1	one	11	1	2.5
2	two	12	2	\N

SELECT a.id, b.id FROM a LEFT JOIN b ON a.id = b.a_id ORDER BY 1, 2;
----
id	id
1	10
1	11
2	12
3	\N
4	\N

SELECT a.id, b.id FROM a RIGHT JOIN b ON a.id = b.a_id ORDER BY 2;
----
id	id
1	10
1	11
2	12
\N	13

SELECT a.id, b.id FROM a FULL JOIN b ON a.id = b.a_id ORDER BY 1, 2;
----
id	id
1	10
1	11
2	12
3	\N
4	\N
\N	13

SELECT count(*) FROM a CROSS JOIN b;
----
count
16

SELECT * FROM a JOIN b USING (id);
----
id	v	a_id	n

SELECT * FROM a NATURAL LEFT JOIN b ORDER BY id;
----
id	v	a_id	n
1	one	\N	\N
2	two	\N	\N
3	\N	\N	\N
4	four	\N	\N

SELECT id FROM a JOIN b ON a.id = b.a_id;
----
ERROR 42702: column reference "id" is ambiguous

SELECT a.id, x.n FROM a, LATERAL (SELECT n FROM b WHERE b.a_id = a.id ORDER BY n DESC NULLS LAST LIMIT 1) x ORDER BY 1;
----
id	n
1	2.5
2	\N

SELECT a.id, x.n FROM a LEFT JOIN LATERAL (SELECT sum(n) AS n FROM b WHERE b.a_id = a.id) x ON true ORDER BY 1;
----
id	n
1	4.0
2	\N
3	\N
4	\N

SELECT a.id, g FROM a, generate_series(1, a.id) g WHERE a.id < 3 ORDER BY 1, 2;
----
id	g
1	1
2	1
2	2

SELECT id, (SELECT count(*) FROM b WHERE b.a_id = a.id) AS c FROM a ORDER BY id;
----
id	c
1	2
2	1
3	0
4	0

SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE a_id = a.id) ORDER BY id;
----
id
1
2

SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE a_id = a.id) ORDER BY id;
----
id
3
4

SELECT id FROM a WHERE id NOT IN (SELECT a_id FROM b) ORDER BY id;
----
id
3
4

SELECT id FROM a WHERE v NOT IN (SELECT v FROM a WHERE id = 3);
----
id

SELECT id FROM a WHERE id = ANY (SELECT a_id FROM b) ORDER BY id;
----
id
1
2

SELECT id FROM a WHERE id > ALL (SELECT a_id FROM b WHERE a_id < 5) ORDER BY id;
----
id
3
4

SELECT (SELECT id FROM a);
----
ERROR 21000: more than one row returned by a subquery used as an expression

SELECT (SELECT id, v FROM a WHERE id = 1);
----
ERROR 42601: subquery must return only one column

SELECT (SELECT id FROM a WHERE false) IS NULL AS n;
----
n
t

SELECT (1, 'x') = (1, 'x') AS t, (1, NULL) = (1, 2) AS n, (1, 2) < (1, 3) AS l, (1, 2) IN ((1, 2), (3, 4)) AS i;
----
t	n	l	i
t	\N	t	t

SELECT id FROM a UNION SELECT a_id FROM b ORDER BY 1;
----
id
1
2
3
4
9

SELECT id FROM a UNION ALL SELECT a_id FROM b ORDER BY 1 DESC;
----
id
9
4
3
2
2
1
1
1

SELECT id FROM a INTERSECT SELECT a_id FROM b ORDER BY 1;
----
id
1
2

SELECT a_id FROM b EXCEPT SELECT id FROM a;
----
a_id
9

SELECT a_id FROM b EXCEPT ALL SELECT 1 ORDER BY 1;
----
a_id
1
2
9

SELECT 1 UNION SELECT 'x';
----
ERROR 22P02: invalid input syntax for type integer: "x"

SELECT 1 AS x UNION SELECT 2.5 UNION SELECT NULL ORDER BY x NULLS FIRST;
----
x
\N
1
2.5

SELECT 1, 2 UNION SELECT 3;
----
ERROR 42601: each UNION query must have the same number of columns

SELECT id FROM a UNION SELECT id FROM b ORDER BY nosuch;
----
ERROR 42703: column "nosuch" does not exist

SELECT 1 AS a UNION SELECT 2 ORDER BY a + 1;
----
ERROR 0A000: invalid UNION/INTERSECT/EXCEPT ORDER BY clause
DETAIL: Only result column names can be used, not expressions or functions.
HINT: Add the expression/function to every SELECT, or move the UNION into a FROM clause.

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i), string_agg(i::text, ',') FROM n;
----
sum	string_agg
15	1,2,3,4,5

WITH RECURSIVE f(a, b) AS (VALUES (0, 1) UNION ALL SELECT b, a + b FROM f WHERE b < 50) SELECT a FROM f ORDER BY a;
----
a
0
1
1
2
3
5
8
13
21
34

WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT (x % 3) + 1 FROM c) SELECT * FROM c ORDER BY x;
----
x
1
2
3

WITH RECURSIVE bad AS (SELECT 1 FROM bad) SELECT * FROM bad;
----
ERROR 42P19: recursive query "bad" does not have the form non-recursive-term UNION [ALL] recursive-term

-- open: the types of the recursive term are checked first
WITH RECURSIVE bad AS (SELECT 1 AS x UNION ALL SELECT count(*) FROM bad) SELECT * FROM bad;
----
ERROR 42P19: aggregate functions are not allowed in a recursive query's recursive term

WITH x AS (SELECT 1 AS a), y AS (SELECT a + 1 AS b FROM x) SELECT * FROM x, y;
----
a	b
1	2

WITH x AS (SELECT 1), x AS (SELECT 2) SELECT * FROM x;
----
ERROR 42712: WITH query name "x" specified more than once

WITH x(a, b) AS (SELECT 1) SELECT * FROM x;
----
ERROR 42P10: WITH query "x" has 1 columns available but 2 columns specified

WITH q AS MATERIALIZED (SELECT * FROM a) SELECT count(*) FROM q WHERE id > 2;
----
count
2

SELECT DISTINCT a_id FROM b ORDER BY a_id;
----
a_id
1
2
9

SELECT DISTINCT ON (a_id) a_id, id FROM b ORDER BY a_id, id DESC;
----
a_id	id
1	11
2	12
9	13

SELECT DISTINCT ON (a_id) a_id, id FROM b ORDER BY id;
----
ERROR 42P10: SELECT DISTINCT ON expressions must match initial ORDER BY expressions

SELECT DISTINCT id FROM a ORDER BY v;
----
ERROR 42P10: for SELECT DISTINCT, ORDER BY expressions must appear in select list

SELECT a_id, count(*), sum(n), avg(n), min(n), max(n) FROM b GROUP BY a_id ORDER BY a_id;
----
a_id	count	sum	avg	min	max
1	2	4.0	2.0000000000000000	1.5	2.5
2	1	\N	\N	\N	\N
9	1	9	9.0000000000000000	9	9

SELECT count(*), count(n), count(DISTINCT a_id), sum(n) FILTER (WHERE n > 2) FROM b;
----
count	count	count	sum
4	3	3	11.5

SELECT a_id FROM b GROUP BY a_id HAVING count(*) > 1;
----
a_id
1

SELECT a_id, n FROM b GROUP BY a_id;
----
ERROR 42803: column "b.n" must appear in the GROUP BY clause or be used in an aggregate function

SELECT sum(n) FROM b WHERE sum(n) > 1;
----
ERROR 42803: aggregate functions are not allowed in WHERE

SELECT sum(sum(n)) FROM b;
----
ERROR 42803: aggregate function calls cannot be nested

SELECT sum(n), max(id) FROM b WHERE false;
----
sum	max
\N	\N

SELECT 1 FROM b HAVING count(*) > 100;
----
?column?

SELECT a_id % 2 AS odd, count(*) FROM b GROUP BY odd ORDER BY odd;
----
odd	count
0	1
1	3

-- open: GROUPING() is not supported yet
SELECT a_id, grouping(a_id), count(*) FROM b GROUP BY ROLLUP (a_id) ORDER BY a_id NULLS LAST;
----
a_id	grouping	count
1	0	2
2	0	1
9	0	1
\N	1	4

-- open: grouping sets is not supported yet
SELECT a_id, id, count(*) FROM b GROUP BY GROUPING SETS ((a_id), (id), ()) ORDER BY 1, 2;
----
a_id	id	count
1	\N	2
2	\N	1
9	\N	1
\N	10	1
\N	11	1
\N	12	1
\N	13	1
\N	\N	4

-- open: grouping sets is not supported yet
SELECT a_id, id, count(*) FROM b WHERE id < 12 GROUP BY CUBE (a_id, id) ORDER BY 1, 2;
----
a_id	id	count
1	10	1
1	11	1
1	\N	2
\N	10	1
\N	11	1
\N	\N	2

SELECT array_agg(id ORDER BY id DESC), string_agg(v, '-' ORDER BY v), bool_and(id > 0), bool_or(v IS NULL) FROM a;
----
array_agg	string_agg	bool_and	bool_or
{4,3,2,1}	four-one-two	t	t

SELECT v FROM a ORDER BY v;
----
v
four
one
two
\N

SELECT v FROM a ORDER BY v DESC;
----
v
\N
two
one
four

SELECT v FROM a ORDER BY v NULLS FIRST;
----
v
\N
four
one
two

SELECT v FROM a ORDER BY v DESC NULLS LAST LIMIT 2 OFFSET 1;
----
v
one
four

SELECT id FROM a ORDER BY id FETCH FIRST 2 ROWS ONLY;
----
id
1
2

SELECT a_id FROM b ORDER BY a_id FETCH FIRST 1 ROW WITH TIES;
----
a_id
1
1

SELECT id FROM a ORDER BY id LIMIT ALL OFFSET 3;
----
id
4

SELECT id FROM a LIMIT -1;
----
ERROR 2201W: LIMIT must not be negative

SELECT id FROM a OFFSET -1;
----
ERROR 2201X: OFFSET must not be negative

SELECT id FROM a ORDER BY id LIMIT NULL;
----
id
1
2
3
4

SELECT id FROM a ORDER BY 2;
----
ERROR 42P10: ORDER BY position 2 is not in select list

SELECT id AS x FROM a ORDER BY x + 1;
----
ERROR 42703: column "x" does not exist

SELECT id, v FROM a ORDER BY length(v), id;
----
id	v
1	one
2	two
4	four
3	\N

SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS t(n, s) WHERE n = 2;
----
n	s
2	y

VALUES (1, 2), (3, 4) ORDER BY 1 DESC;
----
column1	column2
3	4
1	2

VALUES (1), (2, 3);
----
ERROR 42601: VALUES lists must all be the same length

TABLE a ORDER BY id LIMIT 1;
----
id	v
1	one

SELECT * FROM a AS x(p, q) ORDER BY p LIMIT 1;
----
p	q
1	one

SELECT * FROM a AS x(p, q, r);
----
ERROR 42P10: table "x" has 2 columns available but 3 columns specified

SELECT a.* FROM a AS x;
----
ERROR 42P01: invalid reference to FROM-clause entry for table "a"
HINT: Perhaps you meant to reference the table alias "x".

SELECT x.nosuch FROM a x;
----
ERROR 42703: column x.nosuch does not exist

SELECT nosuch.id FROM a;
----
ERROR 42P01: missing FROM-clause entry for table "nosuch"

SELECT * FROM a, a;
----
ERROR 42712: table name "a" specified more than once

SELECT nosuch(1);
----
ERROR 42883: function nosuch(integer) does not exist
HINT: No function matches the given name and argument types. You might need to add explicit type casts.

SELECT lower(1);
----
ERROR 42883: function lower(integer) does not exist
HINT: No function matches the given name and argument types. You might need to add explicit type casts.

SELECT 1 + 'x';
----
ERROR 22P02: invalid input syntax for type integer: "x"

SELECT 1 + true;
----
ERROR 42883: operator does not exist: integer + boolean
HINT: No operator matches the given name and argument types. You might need to add explicit type casts.

SELECT CASE id WHEN 1 THEN 'uno' WHEN 2 THEN 'dos' ELSE 'otro' END FROM a ORDER BY id;
----
case
uno
dos
otro
otro

SELECT CASE WHEN true THEN 1 ELSE 'x' END;
----
ERROR 22P02: invalid input syntax for type integer: "x"

SELECT coalesce(NULL, NULL, 3), nullif(1, 1), greatest(1, NULL, 3), least('b', 'a');
----
coalesce	nullif	greatest	least
3	\N	3	a

SELECT id FROM a WHERE id BETWEEN 2 AND 3 OR v LIKE 'f%' ORDER BY id;
----
id
2
3
4

SELECT id FROM a WHERE v IS DISTINCT FROM 'one' ORDER BY id;
----
id
2
3
4

SELECT 1/0;
----
ERROR 22012: division by zero

SELECT id FROM a WHERE v;
----
ERROR 42804: argument of WHERE must be type boolean, not type text

-- open: a window function is not supported yet
SELECT row_number() OVER (ORDER BY id), id FROM a ORDER BY 1;
----
row_number	id
1	1
2	2
3	3
4	4

-- open: a window function is not supported yet
SELECT id, sum(id) OVER (ORDER BY id), lag(v) OVER (ORDER BY id) FROM a ORDER BY id;
----
id	sum	lag
1	1	\N
2	3	one
3	6	two
4	10	\N

SELECT ARRAY[1, 2] || 3, (ARRAY[[1, 2], [3, 4]])[2][1], (ARRAY[1, 2, 3])[2:3], array_length(ARRAY[1, 2], 1);
----
?column?	array	array	array_length
{1,2,3}	3	{2,3}	2

SELECT unnest(ARRAY[1, 2]), unnest(ARRAY['a', 'b', 'c']);
----
unnest	unnest
1	a
2	b
\N	c

-- open: unnest of several arrays
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b', 'c']) WITH ORDINALITY AS u(n, s, o);
----
n	s	o
1	a	1
2	b	2
\N	c	3

SELECT 2 = ANY (ARRAY[1, 2]), 2 <> ALL (ARRAY[1, 3]), NULL = ANY (ARRAY[1]);
----
?column?	?column?	?column?
t	t	\N

SELECT '{"a": {"b": [1, 2]}}'::json -> 'a' -> 'b' ->> 1, '{"a": 1}'::jsonb @> '{"a": 1}', '{"a": 1, "b": null}'::jsonb - 'a', jsonb_typeof('[]');
----
?column?	?column?	?column?	jsonb_typeof
2	t	{"b": null}	array

SELECT * FROM jsonb_each('{"a": 1, "b": "x"}') ORDER BY key;
----
key	value
a	1
b	"x"

SELECT * FROM json_array_elements('[1, "x", null]');
----
value
1
"x"
null

-- open: column definition lists of functions in FROM is not supported yet
SELECT * FROM jsonb_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') AS r(a int, b text);
----
a	b
1	x
2	\N

SELECT id FROM a FOR UPDATE;
----
id
1
2
3
4

SELECT count(*) FROM a FOR UPDATE;
----
ERROR 0A000: FOR UPDATE is not allowed with aggregate functions

SELECT * FROM generate_series(1, 10, 4) g;
----
g
1
5
9

-- open: TABLESAMPLE is not supported yet
SELECT a.id FROM a TABLESAMPLE SYSTEM (100) ORDER BY 1 LIMIT 1;
----
id
1

SELECT id IN (1, NULL) FROM a ORDER BY id;
----
?column?
t
\N
\N
\N

SELECT string_agg(DISTINCT a_id::text, ',' ORDER BY a_id::text) FROM b;
----
string_agg
1,2,9

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM a;
----
percentile_cont
2.5

SELECT * FROM a WHERE (id, v) = (1, 'one');
----
id	v
1	one

SELECT id FROM a WHERE id = (SELECT max(id) FROM a);
----
id
4

SELECT syntax error here;
----
ERROR 42601: syntax error at or near "here"

SELECT * FROM;
----
ERROR 42601: syntax error at or near ";"

SELECT 'unterminated;
----
ERROR 42601: unterminated quoted string at or near "'unterminated;"
