SELECT 32767::smallint, (-32768)::smallint, 2147483647::int, (-9223372036854775808)::bigint;
----
int2	int2	int4	int8
32767	-32768	2147483647	-9223372036854775808

SELECT 32768::smallint;
----
ERROR 22003: smallint out of range

SELECT 2147483647 + 1;
----
ERROR 22003: integer out of range

SELECT 9223372036854775807 + 1;
----
ERROR 22003: bigint out of range

SELECT '12x'::int;
----
ERROR 22P02: invalid input syntax for type integer: "12x"

SELECT ''::int;
----
ERROR 22P02: invalid input syntax for type integer: ""

SELECT ' 12 '::int, '-0'::int, '+7'::int;
----
int4	int4	int4
12	0	7

SELECT '99999999999'::int;
----
ERROR 22003: value "99999999999" is out of range for type integer

SELECT 7 / 2, -7 / 2, 7 % -3, -7 % 3, 7.0 / 2, 2 ^ 10;
----
?column?	?column?	?column?	?column?	?column?	?column?
3	-3	1	-1	3.5000000000000000	1024

SELECT 1.5::int, 2.5::int, -1.5::int, 2.5::numeric::int, 2.5::float8::int;
----
int4	int4	?column?	int4	int4
2	3	-2	3	2

SELECT 0.1 + 0.2, 0.1::float8 + 0.2::float8, 1e400::numeric > 0, '1e-400'::numeric = 0;
----
?column?	?column?	?column?	?column?
0.3	0.30000000000000004	t	f

SELECT 1e400::float8;
----
ERROR 22003: "10000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" is out of range for type double precision

SELECT 'NaN'::float8, 'Infinity'::float8, '-inf'::float8, 'NaN'::numeric, 'Infinity'::numeric;
----
float8	float8	float8	numeric	numeric
NaN	Infinity	-Infinity	NaN	Infinity

SELECT 'NaN'::float8 = 'NaN'::float8, 'NaN'::numeric > 1e300, 0.0::float8 = -0.0::float8;
----
?column?	?column?	?column?
t	t	t

SELECT 1::float8 / 0;
----
ERROR 22012: division by zero

SELECT 1.0 / 0;
----
ERROR 22012: division by zero

SELECT round(2.5), round(-2.5), round(2.345, 2), trunc(-2.7), ceil(-0.5), floor(-0.5);
----
round	round	round	trunc	ceil	floor
3	-3	2.35	-2	0	-1

SELECT round(2.5::float8), sqrt(2::float8), sqrt(2::numeric), power(2, 0.5), exp(1::numeric);
----
round	sqrt	sqrt	power	exp
2	1.4142135623730951	1.414213562373095	1.4142135623730950	2.7182818284590452

SELECT sqrt(-1);
----
ERROR 2201F: cannot take square root of a negative number

SELECT ln(0);
----
ERROR 2201E: cannot take logarithm of zero

SELECT 123.456::numeric(5, 1), 1234.5::numeric(4, 0), 0.00001234::numeric, 1e10::numeric, 100::numeric / 3;
----
numeric	numeric	numeric	numeric	?column?
123.5	1235	0.00001234	10000000000	33.3333333333333333

SELECT 12345.6::numeric(3, 1);
----
ERROR 22003: numeric field overflow
DETAIL: A field with precision 3, scale 1 must round to an absolute value less than 10^2.

SELECT 3.4e38::real, 1e-46::real;
----
ERROR 22003: "0.0000000000000000000000000000000000000000000001" is out of range for type real

SELECT 1.1::real, 1.1::real::float8, 16777217::real, 1e15::float8, 1e16::float8, 1e-5::float8;
----
float4	float8	float4	float8	float8	float8
1.1	1.100000023841858	1.6777216e+07	1e+15	1e+16	1e-05

SELECT true, 'yes'::bool, 'off'::bool, 't'::bool, '1'::bool, 0::bool;
----
?column?	bool	bool	bool	bool	bool
t	t	f	t	t	f

SELECT 'maybe'::bool;
----
ERROR 22P02: invalid input syntax for type boolean: "maybe"

SELECT 'abc'::char, 'abc'::char(5) || '|', 'abc'::varchar(2), 'a'::"char", 'é'::text, length('é'), octet_length('é');
----
bpchar	?column?	varchar	char	text	length	octet_length
a	abc|	ab	a	é	1	2

SELECT 'a '::char(3) = 'a'::char(3), 'a '::text = 'a'::text, 'a '::char(3) = 'a'::text;
----
?column?	?column?	?column?
t	f	t

SELECT E'a\tb\nc', 'it''s', $$dollar$$, $x$ a $$ b $x$, U&'\0041\+000042';
----
?column?	?column?	?column?	?column?	?column?
a\tb\nc	it's	dollar	 a $$ b 	AB

SELECT E'\xff';
----
ERROR 22021: invalid byte sequence for encoding "UTF8": 0xff

SELECT 'abc' 'def';
----
ERROR 42601: syntax error at or near "'def'"

SELECT 'abc'
'def';
----
?column?
abcdef

SELECT '\x00ff'::bytea, 'a\\b\001'::bytea, '\xzz'::bytea;
----
ERROR 22023: invalid hexadecimal digit: "z"

SELECT '\x0'::bytea;
----
ERROR 22023: invalid hexadecimal data: odd number of digits

SELECT encode('\x00ff', 'base64'), decode('AP8=', 'base64'), md5('a'), sha256('a');
----
encode	decode	md5	sha256
AP8=	\\x00ff	0cc175b9c0f1b6a831c399e269772661	\\xca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb

SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'::uuid, 'a0eebc999c0b4ef8bb6d6bb9bd380a11'::uuid;
----
uuid	uuid	uuid
a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11	a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11	a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11

SELECT 'a0eebc99'::uuid;
----
ERROR 22P02: invalid input syntax for type uuid: "a0eebc99"

SELECT '2024-02-29'::date, '2024-02-29'::date + 365, 'January 8, 1999'::date, '19990108'::date, 'infinity'::date, '4713-01-01 BC'::date;
----
date	?column?	date	date	date	date
2024-02-29	2025-02-28	1999-01-08	1999-01-08	infinity	4713-01-01 BC

SELECT '2023-02-29'::date;
----
ERROR 22008: date/time field value out of range: "2023-02-29"

SELECT '2023-13-01'::date;
----
ERROR 22008: date/time field value out of range: "2023-13-01"
HINT: Perhaps you need a different "datestyle" setting.

SELECT 'notadate'::date;
----
ERROR 22007: invalid input syntax for type date: "notadate"

SELECT '5874897-12-31'::date, '5874898-01-01'::date;
----
ERROR 22008: date out of range: "5874898-01-01"

SELECT '24:00:00'::time, '23:59:60'::time, '10:11:12.123456789'::time, '3 PM'::time, '25:00'::time;
----
ERROR 22007: invalid input syntax for type time: "3 PM"

SELECT '12:00+03'::timetz, '12:00 America/New_York'::timetz;
----
ERROR 22007: invalid input syntax for type time with time zone: "12:00 America/New_York"

SELECT '2024-03-10 02:30:00'::timestamp, '2024-03-10T02:30:00Z'::timestamptz, '2024-03-10 02:30 America/New_York'::timestamptz, 'epoch'::timestamptz, '-infinity'::timestamp;
----
timestamp	timestamptz	timestamptz	timestamptz	timestamp
2024-03-10 02:30:00	2024-03-10 02:30:00+00	2024-03-10 07:30:00+00	1970-01-01 00:00:00+00	-infinity

SELECT '2024-01-01 10:00'::timestamp(0), '2024-01-01 10:00:00.6'::timestamp(0), '2024-01-01 10:00:00.123456'::timestamp(3);
----
timestamp	timestamp	timestamp
2024-01-01 10:00:00	2024-01-01 10:00:01	2024-01-01 10:00:00.123

SET TimeZone = 'America/New_York'; SELECT '2024-07-01 12:00'::timestamptz, '2024-01-01 12:00'::timestamptz AT TIME ZONE 'UTC', '2024-01-01 12:00'::timestamp AT TIME ZONE 'Asia/Tokyo'; SET TimeZone = 'UTC';
----
SET
timestamptz	timezone	timezone
2024-07-01 12:00:00-04	2024-01-01 17:00:00	2023-12-31 22:00:00-05
SET

SET DateStyle = 'SQL, DMY'; SELECT '01/02/2024'::date, '2024-02-01 10:00'::timestamp; SET DateStyle = 'ISO, MDY';
----
SET
date	timestamp
01/02/2024	01/02/2024 10:00:00
SET

SELECT '2024-01-31'::date + '1 month'::interval, '2024-03-31'::timestamp - '1 month'::interval, '2024-01-01'::date - '2023-01-01'::date, '2024-03-01'::timestamp - '2024-02-01'::timestamp;
----
?column?	?column?	?column?	?column?
2024-02-29 00:00:00	2024-02-29 00:00:00	365	29 days

SELECT '1 year 2 months 3 days 04:05:06.7'::interval, 'P1Y2M3DT4H5M6S'::interval, '-1 day 2 hours ago'::interval, '1.5 days'::interval, '90 minutes'::interval, '1-2'::interval, '0'::interval;
----
interval	interval	interval	interval	interval	interval	interval
1 year 2 mons 3 days 04:05:06.7	1 year 2 mons 3 days 04:05:06	1 day -02:00:00	1 day 12:00:00	01:30:00	1 year 2 mons	00:00:00

SELECT 'nonsense'::interval;
----
ERROR 22007: invalid input syntax for type interval: "nonsense"

SET IntervalStyle = 'iso_8601'; SELECT '1 year 2 days 03:00'::interval; SET IntervalStyle = 'sql_standard'; SELECT '1 year 2 days 03:00'::interval; SET IntervalStyle = 'postgres_verbose'; SELECT '1 year -2 days 03:00'::interval; RESET IntervalStyle;
----
SET
interval
P1Y2DT3H
SET
interval
+1-0 +2 +3:00:00
SET
interval
@ 1 year -2 days 3 hours
RESET

SELECT '1 month'::interval = '30 days'::interval, '24 hours'::interval = '1 day'::interval, justify_interval('35 days 25:00'::interval), '1 day'::interval * 1.5, '1 day'::interval / 2;
----
?column?	?column?	justify_interval	?column?	?column?
t	t	1 mon 6 days 01:00:00	1 day 12:00:00	12:00:00

SELECT extract(epoch FROM '2024-01-01'::timestamptz), extract(dow FROM '2024-01-01'::date), extract(week FROM '2024-12-30'::date), date_part('hour', '10:20'::time), extract(day FROM '40 days 25:00'::interval);
----
extract	extract	extract	date_part	extract
1704067200.000000	1	1	10	40

SELECT date_trunc('month', '2024-05-17 10:00'::timestamp), date_trunc('week', '2024-05-17'::date), age('2024-03-01', '2023-12-31'), make_date(2024, 2, 30);
----
ERROR 22008: date field value out of range: 2024-02-30

SELECT make_date(2024, 2, 29), to_char('2024-05-07 15:04:05'::timestamp, 'YYYY-MM-DD HH12:MI:SS AM Day Mon'), to_date('07 May 2024', 'DD Mon YYYY'), to_char(1234.5, '9,999.99'), to_number('1,234.5', '9,999.9');
----
make_date	to_char	to_date	to_char	to_number
2024-02-29	2024-05-07 03:04:05 PM Tuesday   May	2024-05-07	 1,234.50	1234.5

SELECT '{1,2,NULL,"4"}'::int[], '{}'::text[], '{{1,2},{3,4}}'::int[], '[2:3]={5,6}'::int[], '{"a,b","c\"d",NULL,"NULL",""}'::text[];
----
int4	text	int4	int4	text
{1,2,NULL,4}	{}	{{1,2},{3,4}}	[2:3]={5,6}	{"a,b","c\\"d",NULL,"NULL",""}

SELECT '{1,2'::int[];
----
ERROR 22P02: malformed array literal: "{1,2"
DETAIL: Unexpected end of input.

SELECT '{{1,2},{3}}'::int[];
----
ERROR 22P02: malformed array literal: "{{1,2},{3}}"
DETAIL: Multidimensional arrays must have sub-arrays with matching dimensions.

SELECT '{1,x}'::int[];
----
ERROR 22P02: invalid input syntax for type integer: "x"

SELECT ARRAY[1, NULL, 3], ARRAY['a', NULL, ''], ARRAY[]::int[], ARRAY[[1], [2]], ARRAY[1, 2.5], ARRAY[1.5, 'x'];
----
ERROR 22P02: invalid input syntax for type numeric: "x"

SELECT ARRAY[];
----
ERROR 42P18: cannot determine type of empty array
HINT: Explicitly cast to the desired type, for example ARRAY[]::integer[].

SELECT ARRAY[1, 2] = ARRAY[1, 2], ARRAY[1, 2] < ARRAY[1, 3], ARRAY[1, 2, 3] @> ARRAY[2], ARRAY[1] && ARRAY[2], array_position(ARRAY[5, 6], 6), array_remove(ARRAY[1, 2, 1], 1), cardinality(ARRAY[[1, 2], [3, 4]]);
----
?column?	?column?	?column?	?column?	array_position	array_remove	cardinality
t	t	t	f	2	{2}	4

SELECT '{"a":1,  "b":[1,2,{"c":null}], "a":2}'::json, '{"a":1,  "b":[1,2,{"c":null}], "a":2}'::jsonb, '"x\u00e9"'::jsonb, '1.50'::jsonb, '1e2'::jsonb;
----
json	jsonb	jsonb	jsonb	jsonb
{"a":1,  "b":[1,2,{"c":null}], "a":2}	{"a": 2, "b": [1, 2, {"c": null}]}	"xé"	1.50	100

SELECT '{"a":}'::json;
----
ERROR 22P02: invalid input syntax for type json
DETAIL: Expected JSON value, but found "}".

SELECT '{"a":1'::jsonb;
----
ERROR 22P02: invalid input syntax for type json
DETAIL: The input string ended unexpectedly.

SELECT 'nul'::jsonb;
----
ERROR 22P02: invalid input syntax for type json
DETAIL: Token "nul" is invalid.

SELECT '{"a": [1, 2, 3]}'::jsonb #>> '{a,1}', '[1,2]'::jsonb || '[3]', '{"a":1}'::jsonb ? 'a', jsonb_pretty('{"a":[1]}'), '{"b":1,"aa":2}'::jsonb;
----
?column?	?column?	?column?	jsonb_pretty	jsonb
2	[1, 2, 3]	t	{\n    "a": [\n        1\n    ]\n}	{"b": 1, "aa": 2}

SELECT ROW(1, 'a b', NULL, ''), ROW(), ROW(ROW(1, 2), 'x"y');
----
row	row	row
(1,"a b",,"")	()	("(1,2)","x""y")

SELECT NULL::int + 1, NULL = NULL, NULL AND false, NULL OR true, NOT NULL::bool, NULL || 'x';
----
?column?	?column?	?column?	?column?	?column?	?column?
\N	\N	f	t	\N	\N

SELECT 1::text || 2, 1 || 'x', 'a' || true::text, true || 'x', concat(1, NULL, 'b'), concat_ws('-', 1, NULL, 2);
----
?column?	?column?	?column?	?column?	concat	concat_ws
12	1x	atrue	truex	1b	1-2

SELECT 1::oid, 'pg_class'::regclass, 'int4'::regtype, 1259::regclass, 'int4in'::regproc;
----
oid	regclass	regtype	regclass	regproc
1	pg_class	integer	pg_class	int4in

SELECT 'nosuch'::regclass;
----
ERROR 42P01: relation "nosuch" does not exist

SELECT 'nosuch'::regtype;
----
ERROR 42704: type "nosuch" does not exist

SELECT pg_typeof(1), pg_typeof(1.5), pg_typeof('x'), pg_typeof(NULL), pg_typeof(99999999999), pg_typeof(ARRAY[1]), pg_typeof(now()), pg_typeof(1::real + 1);
----
pg_typeof	pg_typeof	pg_typeof	pg_typeof	pg_typeof	pg_typeof	pg_typeof	pg_typeof
integer	numeric	unknown	unknown	bigint	integer[]	timestamp with time zone	double precision

SELECT CAST('5' AS int), int '5', '5'::int4, 5::text::int, date '2024-01-01', interval '1' day, timestamp '2024-01-01 00:00';
----
int4	int4	int4	int4	date	interval	timestamp
5	5	5	5	2024-01-01	1 day	2024-01-01 00:00:00

SELECT 'x'::nosuch;
----
ERROR 42704: type "nosuch" does not exist

SELECT 5::text(3);
----
ERROR 42601: type modifier is not allowed for type "text"

SELECT true::int, 1::bool, 5::bool, 'a'::int::text;
----
ERROR 22P02: invalid input syntax for type integer: "a"

SELECT 3::date;
----
ERROR 42846: cannot cast type integer to date

-- open: bit strings is not supported yet
SELECT B'101', X'1F', B'101'::int;
----
?column?	?column?	int4
101	00011111	5

-- open: network types
SELECT '10.0.0.1/8'::inet, '10.0.0.0/8'::cidr, '08:00:2b:01:02:03'::macaddr;
----
inet	cidr	macaddr
10.0.0.1/8	10.0.0.0/8	08:00:2b:01:02:03

-- open: geometric types
SELECT '(1,2)'::point;
----
point
(1,2)

-- open: range types
SELECT '[1,5)'::int4range;
----
int4range
[1,5)

-- open: money
SELECT '12.34'::money;
----
money
$12.34

-- open: text search
SELECT 'a fat cat'::tsvector;
----
tsvector
'a' 'cat' 'fat'

-- open: xml
SELECT '<a>b</a>'::xml;
----
xml
<a>b</a>

SELECT 0x1F, 1_000;
----
ERROR 42601: trailing junk after numeric literal at or near "0x1F"

SELECT .5, 5., 1e3, 1E-3, -5 ! ;
----
ERROR 42601: syntax error at or near ";"

SELECT 'A' < 'a', 'a' < 'B', 'é' > 'z', 'a' COLLATE "C" < 'B';
----
?column?	?column?	?column?	?column?
t	f	t	f

SELECT 'abc' LIKE 'a_c', 'abc' ILIKE 'A%', 'a%c' LIKE 'a\%c', 'abc' SIMILAR TO '(a|b)%', 'abc' ~ '^a.c$', 'ABC' ~* 'b', regexp_replace('foobar', 'o+', 'X'), regexp_match('ab12', '([a-z]+)(\d+)');
----
?column?	?column?	?column?	?column?	?column?	?column?	regexp_replace	regexp_match
t	t	t	t	t	t	fXbar	{ab,12}

SELECT 'x' ~ '(';
----
ERROR 2201B: invalid regular expression: parentheses () not balanced

SELECT substring('hello' FROM 2 FOR 3), position('l' IN 'hello'), overlay('hello' PLACING 'XX' FROM 2 FOR 2), trim(BOTH 'x' FROM 'xax'), left('abc', -1), right('abc', 2), repeat('ab', 2), reverse('abc'), split_part('a,b,c', ',', -1), initcap('hello world'), lpad('5', 3, '0'), translate('abc', 'ab', 'x'), ascii('é'), chr(233), strpos('abc', 'c'), format('%s %I %L %%', 'a', 'B c', 'it''s');
----
substring	position	overlay	btrim	left	right	repeat	reverse	split_part	initcap	lpad	translate	ascii	chr	strpos	format
ell	3	hXXlo	a	ab	bc	abab	cba	c	Hello World	005	xc	233	é	3	a "B c" 'it''s' %

SELECT chr(0);
----
ERROR 54000: null character not permitted

SELECT substring('abc', 1, -1);
----
ERROR 22011: negative substring length not allowed
