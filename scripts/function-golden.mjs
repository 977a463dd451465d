/**
 * Writes src/sql/functions/golden.txt: what PostgreSQL 15 answers to expressions over the built-in functions.
 *
 * Usage: node scripts/function-golden.mjs [psql connection arguments] > src/sql/functions/golden.txt
 *
 * A line is an expression as JSON, a tab, the result's type, a tab, its text; or `!SQLSTATE` and the message. Expressions:
 * ["type", "text"] literal (type "?" for an untyped one, text null for NULL), ["fn", name, args...], ["op", symbol, args...],
 * ["cast", type, arg].
 */
import { spawnSync } from "node:child_process";

const connection = process.argv.slice(2);
const expressions = [];
const seen = new Set();
const add = (expression) => {
  const key = JSON.stringify(expression);
  if (!seen.has(key)) {
    seen.add(key);
    expressions.push(expression);
  }
};
const lit = (type, text) => [type, text];
const fn = (name, ...args) => add(["fn", name, ...args]);
const op = (symbol, ...args) => add(["op", symbol, ...args]);
const cast = (type, arg) => add(["cast", type, arg]);
/** "int4:1" is a typed literal, "?x" an untyped one, "text:NULL" a null. */
const arg = (text) => {
  if (text.startsWith("?")) return ["?", text.slice(1)];
  const at = text.indexOf(":");
  const value = text.slice(at + 1);
  return [text.slice(0, at), value === "NULL" ? null : value];
};
/** Lines "name | arg | arg". */
const calls = (text) => {
  for (const line of text.trim().split("\n")) {
    const [name, ...args] = line
      .trim()
      .split(" | ")
      .map((part) => part.replaceAll("\\n", "\n"));
    const symbol = /^[^a-z_]/.test(name);
    (symbol ? op : fn)(name, ...args.map(arg));
  }
};

const values = {
  int2: ["0", "1", "-7", "32767", "-32768"],
  int4: ["0", "1", "-7", "3", "2147483647", "-2147483648"],
  int8: ["0", "1", "-7", "9007199254740993", "9223372036854775807", "-9223372036854775808"],
  numeric: ["0", "1", "-1.5", "2.50", "123456789.123456789", "1e25", "0.00001", "NaN", "Infinity"],
  float4: ["0", "1.5", "-2.25", "3.4e38", "NaN", "Infinity"],
  float8: ["0", "1.5", "-2.25", "1e300", "1e-300", "NaN", "-Infinity", "0.1"],
};
for (const [type, list] of Object.entries(values)) {
  for (const a of list) {
    for (const b of list) {
      for (const symbol of ["+", "-", "*", "/"]) op(symbol, lit(type, a), lit(type, b));
      if (["int4", "int8", "numeric"].includes(type)) op("%", lit(type, a), lit(type, b));
    }
    for (const b of list.slice(0, 4))
      for (const symbol of ["=", "<", ">="]) op(symbol, lit(type, a), lit(type, b));
    op("-", lit(type, a));
    fn("abs", lit(type, a));
  }
}
for (const [a, b] of [
  ["int2", "int4"],
  ["int4", "int8"],
  ["int8", "numeric"],
  ["int4", "float8"],
  ["numeric", "float8"],
  ["float4", "float8"],
  ["int2", "float4"],
  ["int4", "numeric"],
]) {
  for (const symbol of ["+", "*", "/", "=", "<"]) {
    op(symbol, lit(a, "3"), lit(b, "4"));
    op(symbol, lit(b, "3"), lit(a, "4"));
    op(symbol, lit(a, "3"), lit("?", "4"));
  }
}
for (const from of Object.keys(values)) {
  for (const to of [...Object.keys(values), "text", "bool", "oid", "varchar"])
    for (const a of values[from]) cast(to, lit(from, a));
}
for (const a of ["0.5", "1.5", "2.5", "-0.5", "-1.5", "-2.5", "1e9", "99999.5"]) {
  for (const to of ["int2", "int4", "int8"]) for (const from of ["float8", "numeric"]) cast(to, lit(from, a));
  for (const name of ["ceil", "floor", "round", "trunc", "sign", "sqrt", "exp", "ln", "log", "cbrt"]) {
    fn(name, lit("float8", a));
    if (name !== "cbrt") fn(name, lit("numeric", a));
  }
  for (const digits of ["-2", "0", "1", "3"]) {
    fn("round", lit("numeric", a), lit("int4", digits));
    fn("trunc", lit("numeric", a), lit("int4", digits));
  }
}
for (const a of ["2", "10", "0.001", "123.456", "7.77e10", "1.0000000001", "0.99", "5e-10"]) {
  for (const name of ["sqrt", "ln", "log", "exp"])
    if (!(name === "exp" && a === "7.77e10")) fn(name, lit("numeric", a));
  for (const b of ["0", "1", "2", "-1", "3", "0.5", "-2.5", "10"])
    fn("power", lit("numeric", a), lit("numeric", b));
  fn("log", lit("numeric", "2"), lit("numeric", a));
}

// Text forms of types.
const inputs = {
  int4: ["1", " 42 ", "-0", "+5", "x", "", "1.5", "99999999999", "2147483648", "0x10", "1_000"],
  int8: ["9223372036854775808", "-9223372036854775808", "1 2"],
  int2: ["40000", "12"],
  numeric: [
    "1.",
    ".5",
    "1e5",
    "1.5e-3",
    "abc",
    "-0.0",
    "1e-5",
    "  7.50  ",
    "nan",
    "inf",
    "-Infinity",
    ".",
    "1e",
    "00012.300",
    "123456789012345678901234567890.5",
  ],
  float8: [
    "1e20",
    "1e15",
    "123456789012345678",
    "0.1",
    "1e-5",
    "0.0001",
    "1e400",
    "1e-400",
    "-0",
    "abc",
    "infinity",
    "1.7976931348623157e308",
    "100000",
    "1234567.125",
  ],
  float4: ["0.1", "1e6", "123456", "1234567", "16777217", "1e-5", "1e39", "3.14159265"],
  bool: ["t", "true", "yes", "on", "1", "f", "off", "no", "0", "tr", "o", "maybe", " TRUE "],
  date: [
    "2024-02-29",
    "2023-02-29",
    "1999-01-08",
    "January 8, 1999",
    "1/8/1999",
    "1/18/1999",
    "18/1/1999",
    "1999-Jan-08",
    "Jan-08-1999",
    "08-Jan-1999",
    "19990108",
    "990108",
    "1999.008",
    "J2451187",
    "January 8, 99 BC",
    "infinity",
    "-infinity",
    "epoch",
    "2021-13-01",
    "2021-12-32",
    "4713-01-01 BC",
    "5874898-01-01",
    "x",
    "",
    "2024-06-15 12:00:00",
    "99-1-8",
    "2001-02-03T04:05:06",
    "Mon Jan 08 1999",
    "0000-01-01",
    "10000-01-01",
  ],
  time: [
    "04:05:06.789",
    "04:05:06",
    "04:05",
    "040506",
    "04:05 AM",
    "04:05 PM",
    "12:00 AM",
    "24:00:00",
    "24:00:01",
    "25:00",
    "04:05:60",
    "04:05:06.7899999",
    "allballs",
    "x",
    "04:05:06-08:00",
  ],
  timetz: [
    "04:05:06-08:00",
    "04:05:06 PST",
    "04:05:06+05:30",
    "040506+08",
    "04:05:06 UTC",
    "2003-04-12 04:05:06 America/New_York",
    "04:05:06Z",
  ],
  timestamp: [
    "1999-01-08 04:05:06",
    "January 8 04:05:06 1999 PST",
    "2024-07-01T12:00:00.123456",
    "2024-07-01 24:00:00",
    "2024-07-01",
    "infinity",
    "epoch",
    "294277-01-01",
    "4714-01-01 BC",
    "2024-07-01 12:00:00.1234567",
    "0001-01-01 BC",
    "2024-07-01 12:00:00+02",
    "2024-07-01 25:00",
    "now then",
    "20240701T120000",
    "1999-01-08 04:05:06 PM",
    "Thu Aug 01 03:04:05 2024",
  ],
  timestamptz: [
    "1999-01-08 04:05:06",
    "1999-01-08 04:05:06-8",
    "2024-07-01 12:00 America/New_York",
    "2024-03-31 02:30 Europe/Berlin",
    "2024-10-27 02:30 Europe/Berlin",
    "2024-07-01 12:00:00Z",
    "2024-07-01 12:00:00+05:30",
    "2024-01-01 EST",
    "infinity",
    "2024-07-01 12:00 Mars/Phobos",
    "1900-01-01 00:00",
    "2024-07-01 12:00:00+17",
    "0044-03-15 BC 12:00",
    "2050-07-01 12:00",
    "1883-11-18 12:00 America/New_York",
  ],
  interval: [
    "1 day",
    "1-2",
    "3 4:05:06",
    "P1Y2M3DT4H5M6S",
    "1 year 2 months 3 days 4 hours 5 minutes 6 seconds",
    "@ 1 minute",
    "1 day ago",
    "-1 day +02:03:04",
    "1.5 months",
    "1.5 days",
    "1.5 weeks",
    "0.5 years",
    "1 mon -1 days",
    "2 decades",
    "1 century",
    "1 millennium",
    "100 hours",
    "00:00:00",
    "1:2",
    "-1:30",
    "5",
    "1.5",
    "P0.5Y",
    "P2W",
    "PT1.5H",
    "1 fortnight",
    "x",
    "",
    "3 days 25:00:00",
    "1 day 1 day",
    "0.000001 sec",
    "1 us",
    "1.5 ms",
    "P0001-02-03T04:05:06",
    "1 qtr",
    "999999999999 years",
    "-1-2 +3 -4:05:06",
    "1 y 2 mon 3 d 4 h 5 m 6 s",
    "6 days 5 hours ago",
  ],
  uuid: [
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
    "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
    "a0eebc999c0b4ef8bb6d6bb9bd380a11",
    "a0eebc99",
    "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
  ],
  bytea: ["\\xdeadbeef", "\\x DE AD", "\\xabc", "\\xzz", "abc\\001\\\\d", "abc\\9", "é", ""],
  json: [
    '{"a":1}',
    ' [1, 2,{"b" : null}] ',
    "1",
    '"x"',
    "true",
    "{",
    '{"a":}',
    "[1,]",
    "nul",
    "01",
    '{"a" 1}',
    "{a:1}",
    "",
    '"\\u00e9"',
    '"\\x"',
    "[1] x",
    '{"a":1,}',
    '"abc',
    "[1 2]",
    "-",
    "1.5e3",
    '{"a":1,"a":2}',
  ],
  jsonb: [
    '{"bb":1.0,"a":[1,2,{"x":null}],"c":"\\u00e9"}',
    '{"a":1,"a":2}',
    "1e2",
    "1.50",
    '"\\u0000"',
    "[]",
    "{}",
    '{"aa":1,"b":2,"":3}',
    '"\\ud83d\\ude00"',
    '"\\ud83d"',
    "-0",
    "tru",
    '"a\\"b\\\\c\\n"',
  ],
  _int4: [
    "{1,2,3}",
    "{}",
    "{1,NULL,3}",
    "{{1,2},{3,4}}",
    "[2:3]={1,2}",
    "{1,2",
    "{1,{2}}",
    "1,2",
    "{ 1 , 2 }",
    "{1,x}",
    "[1:2]={1}",
    "{{1},{2,3}}",
    "{1,,2}",
    "{1}}",
  ],
  _text: [
    '{a,"b c","NULL",NULL,""}',
    '{"a\\"b","c\\\\d"}',
    "{a b , c}",
    '{"unclosed}',
    "{{a,b},{c,d}}",
    "{a\\,b}",
  ],
  char: ["a", "ab", "", "\\101", "é"],
  name: ["abc", "a".repeat(70)],
  oid: ["1", "-1", "4294967296", "x", "4294967295"],
  tid: ["(1,2)", "(1", "(0,65536)"],
  int2vector: ["1 2 3", "", "1 x"],
  oidvector: ["1 2", ""],
  xid: ["5", "x"],
  text: ["abc", ""],
  bpchar: ["abc ", ""],
  varchar: ["abc"],
};
for (const [type, list] of Object.entries(inputs)) {
  for (const text of list) cast(type, lit("?", text));
}
for (const [type, typmods] of Object.entries({
  "varchar(3)": ["abc", "abcd", "ab   ", "é€😀x"],
  "char(5)": ["ab", "abcdef", "abc      "],
  "numeric(5,2)": ["123.456", "999.995", "-1.005", "1000", "NaN", "Infinity"],
  "numeric(3,-2)": ["12345", "149"],
  "numeric(2,4)": ["0.00123", "0.5"],
  "timestamp(0)": ["2024-01-01 12:00:00.5", "2024-01-01 12:00:00.499"],
  "time(2)": ["12:00:00.125", "12:00:00.999"],
  "timestamptz(3)": ["2024-01-01 12:00:00.1239+00"],
  "interval(2)": ["1.235 sec"],
  "interval day to hour": ["1 day 2:03:04"],
  "interval year": ["1 year 5 mons", "3"],
  "interval day": ["5"],
  "interval minute to second": ["1:30"],
  "varchar(2)[]": ["{abc,d}", "{ab}"],
})) {
  for (const text of typmods) {
    cast(type, lit("?", text));
    if (/char/.test(type) && !type.includes("[")) cast(type, lit("text", text));
  }
}
// Casts between dates, times and others.
for (const [from, text] of [
  ["timestamp", "2024-07-01 12:34:56.789"],
  ["timestamptz", "2024-07-01 12:34:56.789+00"],
  ["date", "2024-07-01"],
  ["time", "12:34:56.5"],
  ["timetz", "12:34:56+02"],
  ["interval", "1 day 26:00"],
  ["text", "2024-07-01"],
  ["timestamp", "infinity"],
  ["jsonb", "1.5"],
  ["jsonb", "true"],
  ["jsonb", '"x"'],
  ["json", "1"],
  ["bool", "t"],
  ["int4", "1"],
  ["name", "x"],
  ["char", "a"],
  ["bpchar", "ab  "],
  ["_int4", "{1,2}"],
  ["_text", "{1,2}"],
  ["_float8", "{1.5,2.5}"],
  ["uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
  ["oid", "23"],
  ["bytea", "\\x61"],
]) {
  for (const to of [
    "timestamp",
    "timestamptz",
    "date",
    "time",
    "timetz",
    "interval",
    "text",
    "int4",
    "bool",
    "numeric",
    "jsonb",
    "json",
    "name",
    "char",
    "bpchar",
    "_int4",
    "_text",
    "_int8",
    "varchar",
    "oid",
    "bytea",
    "uuid",
  ])
    cast(to, lit(from, text));
}

calls(
  `
length | text:héllo😀
length | ?abc
char_length | text:
octet_length | text:héllo
bit_length | text:abc
length | bpchar:abc  
length | bytea:\\x0102
lower | text:ÀBC
upper | text:straße
upper | ?abc
initcap | text:hello wORLD foo-bar 3rd
substr | text:hello | int4:2
substr | text:hello | int4:2 | int4:3
substr | text:hello | int4:-1 | int4:4
substr | text:hello | int4:0
substr | text:hello | int4:2 | int4:-1
substring | text:héllo😀x | int4:2 | int4:5
substring | text:foobar | text:o(.)b
substring | text:foobar | text:o.b
substring | text:foobar | text:z
substring | text:foobar | text:%#"o_b#"% | text:#
left | text:hello | int4:2
left | text:hello | int4:-2
left | text:hello | int4:-9
right | text:hello | int4:2
right | text:hello | int4:-2
strpos | text:high | text:ig
strpos | text:high | text:
strpos | text:😀a | text:a
position | text:high | text:x
overlay | text:Txxxxas | text:hom | int4:2 | int4:4
overlay | text:Txxxxas | text:hom | int4:2
overlay | text:abc | text:x | int4:0
btrim | text:xyxtrimyyx | text:xyz
ltrim | text:  x
rtrim | text:x   
ltrim | text:zzzytest | text:xyz
rtrim | text:testxxzx | text:xyz
btrim | bytea:\\x0001020100 | bytea:\\x0001
lpad | text:hi | int4:5 | text:xy
lpad | text:hi | int4:5
lpad | text:hello | int4:2
lpad | text:hi | int4:-1
rpad | text:hi | int4:5 | text:xy
rpad | text:hi | int4:4
rpad | text:hi | int4:5 | text:
repeat | text:Pg | int4:4
repeat | text:Pg | int4:-4
replace | text:abcdefabcdef | text:cd | text:XX
replace | text:abc | text: | text:X
reverse | text:abcde😀
split_part | text:abc~@~def~@~ghi | text:~@~ | int4:2
split_part | text:abc,def | text:, | int4:-1
split_part | text:abc,def | text:, | int4:0
split_part | text:abc,def | text:, | int4:5
translate | text:12345 | text:143 | text:ax
concat | text:a | int4:1 | bool:t | text:NULL | float8:1.5
concat_ws | text:, | text:a | text:NULL | int4:2
concat_ws | text:NULL | text:a
chr | int4:65
chr | int4:0
chr | int4:128512
chr | int4:-1
chr | int4:1114112
ascii | text:x
ascii | text:
ascii | text:😀
to_hex | int4:255
to_hex | int4:-1
to_hex | int8:-1
md5 | text:abc
md5 | bytea:\\x616263
sha224 | bytea:\\x616263
sha256 | bytea:\\x616263
sha384 | bytea:\\x616263
sha512 | bytea:\\x616263
encode | bytea:\\x000102ff5c41 | text:hex
encode | bytea:\\x000102ff5c41 | text:base64
encode | bytea:\\x000102ff5c41 | text:escape
encode | bytea:\\x00 | text:rot13
decode | text:0001 | text:hex
decode | text:001 | text:hex
decode | text:0g | text:hex
decode | text:AAEC | text:base64
decode | text:AAE* | text:base64
decode | text:AAE | text:base64
decode | text:a\\\\b\\001 | text:escape
quote_ident | text:foo
quote_ident | text:Foo bar
quote_ident | text:select
quote_ident | text:a"b
quote_literal | text:O'Reilly
quote_literal | text:a\\b
quote_literal | int4:42
quote_literal | float8:42.5
quote_nullable | text:NULL
quote_nullable | text:x
quote_nullable | int4:1
format | text:Hello %s, %1$s %I %L | text:World | text:x y | text:it's
format | text:%10s|%-10s| | text:foo | text:bar
format | text:%2$s %1$s | text:a | text:b
format | text:%L %s | text:NULL | text:NULL
format | text:%I | text:NULL
format | text:%s | int4:5
format | text:%
format | text:%z | int4:5
format | text:%s %s | int4:5
format | text:100%%
format | text:%*s | int4:5 | text:a
starts_with | text:alphabet | text:alph
string_to_array | text:xx~~yy~~zz | text:~~
string_to_array | text:xx~~yy~~zz | text:~~ | text:yy
string_to_array | text:abc | text:NULL
string_to_array | text: | text:,
string_to_array | text:abc | text:
array_to_string | _text:{a,b,NULL,c} | text:,
array_to_string | _text:{a,b,NULL,c} | text:, | text:*
array_to_string | _int4:{{1,2},{3,4}} | text:-
regexp_match | text:foobarbequebaz | text:bar.*que
regexp_match | text:foobarbequebaz | text:(bar)(beque)
regexp_match | text:abc | text:x
regexp_match | text:abc | text:B | text:i
regexp_match | text:abc | text:b | text:g
regexp_matches | text:foobarbequebazilbarfbonk | text:(b[^b]+)(b[^b]+) | text:g
regexp_matches | text:abcabc | text:b
regexp_replace | text:foobarbaz | text:b.. | text:X
regexp_replace | text:foobarbaz | text:b.. | text:X | text:g
regexp_replace | text:foobarbaz | text:b(..) | text:X\\1Y | text:g
regexp_replace | text:foobarbaz | text:b(..) | text:[\\&] | text:g
regexp_replace | text:A PostgreSQL function | text:a|e|i|o|u | text:X | int4:1 | int4:0 | text:i
regexp_replace | text:A PostgreSQL function | text:a|e|i|o|u | text:X | int4:1 | int4:3 | text:i
regexp_replace | text:abc | text:b* | text:- | text:g
regexp_replace | text:abc | text:x* | text:- | text:g
regexp_split_to_array | text:the quick brown | text:\\s+
regexp_split_to_array | text:abc | text:
regexp_split_to_table | text:hello world | text:\\s+
regexp_split_to_array | text:hello world | text:\\s*
regexp_count | text:ABCABCAXYaxy | text:A.
regexp_count | text:ABCABCAXYaxy | text:A. | int4:1 | text:i
regexp_like | text:Hello | text:world$ | text:i
regexp_instr | text:number of your street, town zip | text:[^,]+ | int4:1 | int4:2
regexp_instr | text:ABCDEFGHI | text:(c..)(...) | int4:1 | int4:1 | int4:0 | text:i | int4:2
regexp_substr | text:number of your street, town zip | text:[^,]+ | int4:1 | int4:2
regexp_substr | text:ABCDEFGHI | text:(c..)(...) | int4:1 | int4:1 | text:i | int4:2
~ | text:foobar | text:^foo
~ | text:foobar | text:^(t)$
~ | text:foobar | text:(
~ | text:foobar | text:[
~ | text:foobar | text:*
~ | text:foobar | text:a{300}
~ | text:foo.bar | text:\\.
~ | text:foo bar | text:\\mbar\\M
~ | text:abc | text:a|
~ | text:x]y | text:[]x]y
~ | text:a\\nb | text:a.b
~ | text:ab12 | text:^[[:alpha:]]+[[:digit:]]+$
~* | text:FooBar | text:fooBAR
!~ | text:abc | text:b
!~* | text:abc | text:B
~~ | text:abc | text:a%
~~ | text:abc | text:_b_
~~ | text:abc | text:a
~~ | text:a%c | text:a\\%c
~~ | text:abc | text:abc\\
~~ | text:a😀c | text:a_c
~~ | text:aXbXc | text:%X%c
~~ | text: | text:%
~~ | bpchar:abc  | text:abc
!~~ | text:abc | text:%d%
~~* | text:ABC | text:a%
!~~* | text:ABC | text:b%
similar_to_escape | text:a%b_(c|d)*
similar_to_escape | text:a#%b | text:#
like_escape | text:a#%b | text:#
normalize | text:é | text:NFD
normalize | text:é
is_normalized | text:é | text:NFC
unistr | text:d\\0061t\\+000061
convert_from | bytea:\\xc3a9 | name:UTF8
convert_from | bytea:\\xff | name:UTF8
convert_to | text:é | name:LATIN1
convert_to | text:€ | name:LATIN1
get_byte | bytea:\\x0102 | int4:1
get_byte | bytea:\\x0102 | int4:2
set_byte | bytea:\\x0102 | int4:0 | int4:255
get_bit | bytea:\\x01 | int8:0
set_bit | bytea:\\x00 | int8:3 | int4:1
substring | bytea:\\x0102030405 | int4:2 | int4:2
overlay | bytea:\\x010203 | bytea:\\xff | int4:2 | int4:1
position | bytea:\\x010203 | bytea:\\x03
bit_count | bytea:\\xff01
|| | text:a | text:b
|| | ?a | ?b
|| | text:a | int4:1
|| | int4:1 | text:a
|| | int4:1 | int4:2
|| | ?a | int4:1
|| | bytea:\\x01 | bytea:\\x02
|| | text:a | text:NULL
|| | bpchar:a   | text:b
|| | text:a | bool:t
parse_ident | text:"SomeSchema".someTable
parse_ident | text:foo.
pi | 
`.replace("pi | \n", ""),
);
fn("pi");
calls(
  `
gcd | int4:1071 | int4:462
gcd | int4:-2147483648 | int4:0
lcm | int4:1071 | int4:462
lcm | int8:4611686018427387904 | int8:3
gcd | numeric:10.5 | numeric:4.2
lcm | numeric:10.5 | numeric:4.2
factorial | int8:10
factorial | int8:30
factorial | int8:-1
div | numeric:9 | numeric:4
div | numeric:-9.5 | numeric:4
div | numeric:1 | numeric:0
mod | int4:9 | int4:4
mod | int4:-9 | int4:4
mod | numeric:-9.5 | numeric:4
mod | int4:1 | int4:0
power | float8:2 | float8:0.5
power | float8:-8 | float8:0.5
power | float8:0 | float8:-1
power | numeric:0 | numeric:-1
power | numeric:-2 | numeric:0.5
power | numeric:-2 | numeric:3
power | numeric:2 | numeric:200
power | numeric:0.5 | numeric:100
power | numeric:10 | numeric:200000
^ | int4:2 | int4:10
^ | numeric:2 | numeric:3
|/ | float8:25
||/ | float8:27
sqrt | float8:-1
sqrt | numeric:-1
ln | numeric:0
ln | float8:-1
log | numeric:-1
exp | numeric:-100
exp | numeric:100
exp | float8:1000
scale | numeric:1.500
min_scale | numeric:1.500
trim_scale | numeric:1.500
width_bucket | float8:5.35 | float8:0.024 | float8:10.06 | int4:5
width_bucket | numeric:5.35 | numeric:0.024 | numeric:10.06 | int4:5
width_bucket | numeric:5 | numeric:10 | numeric:0 | int4:5
width_bucket | float8:5 | float8:1 | float8:1 | int4:5
width_bucket | float8:5 | float8:1 | float8:2 | int4:0
width_bucket | int4:5 | _int4:{1,3,7}
degrees | float8:0.5
radians | float8:45
sin | float8:1
cos | float8:Infinity
tan | float8:1
asin | float8:2
acos | float8:0.5
atan2 | float8:1 | float8:2
sind | float8:30
cosd | float8:60
tand | float8:45
sinh | float8:1
atanh | float8:0.5
cot | float8:1
& | int4:91 | int4:15
| | int4:32 | int4:3
# | int4:17 | int4:5
~ | int4:1
<< | int4:1 | int4:4
<< | int4:1 | int4:31
>> | int4:-8 | int4:2
& | int8:9223372036854775807 | int8:255
<< | int8:1 | int4:62
# | int8:-1 | int8:1
@ | int4:-5
abs | int4:-2147483648
+ | ?1 | ?2
+ | int4:1 | ?x
+ | int4:1 | text:2
+ | bool:t | int4:1
= | int4:1 | text:1
= | ?a | ?b
< | text:a | text:B
< | text:😀 | text:\uffee
= | bpchar:a  | bpchar:a
= | bpchar:a  | text:a
= | text:a  | text:a
= | name:a | text:a
< | bool:f | bool:t
= | uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 | ?A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11
= | int4:1 | bool:t
< | date:2024-01-01 | timestamp:2024-01-01 00:00:01
= | date:2024-01-01 | timestamptz:2024-01-01 00:00:00+01
> | interval:1 mon | interval:30 days
= | interval:1 mon | interval:30 days
= | timetz:12:00+01 | timetz:11:00+00
< | timetz:12:00+01 | timetz:11:00+00
= | _int4:{1,2} | _int4:{1,2}
< | _int4:{1,2} | _int4:{1,3}
< | _int4:{1,NULL} | _int4:{1,3}
= | jsonb:{"a":1} | jsonb:{"a":1.0}
< | jsonb:[1] | jsonb:{"a":1}
< | jsonb:1 | jsonb:"a"
= | json:1 | json:1
= | numeric:1.0 | numeric:1.00
= | float8:NaN | float8:NaN
= | oid:1 | int4:1
= | xid:1 | int4:1
foo | int4:1
length | int4:1
substring | int4:1 | int4:2
abs | text:x
abs | ?-5
sqrt | int4:2
round | int4:5
round | float8:2.5 | int4:1
sum | ?1
max | text:x
to_json | ?x
lower | int4:5
array_length | ?x | int4:1
int4 | ?42
text | int4:42
date | ?2024-01-01
numeric | int4:3
float8 | numeric:1.5
`.replace("sum | ?1\nmax | text:x\n", ""),
);
for (const unit of [
  "century",
  "day",
  "decade",
  "dow",
  "doy",
  "epoch",
  "hour",
  "isodow",
  "isoyear",
  "julian",
  "microseconds",
  "millennium",
  "milliseconds",
  "minute",
  "month",
  "quarter",
  "second",
  "timezone",
  "timezone_hour",
  "timezone_minute",
  "week",
  "year",
  "fortnight",
  "YEARS",
  "mon",
]) {
  for (const [type, text] of [
    ["timestamp", "2001-02-16 20:38:40.123456"],
    ["timestamptz", "2001-02-16 20:38:40.12+00"],
    ["date", "2001-02-16"],
    ["time", "20:38:40.5"],
    ["timetz", "20:38:40+05:30"],
    ["interval", "5 years 3 mons 7 days 04:05:06.789"],
    ["timestamp", "0044-03-15 BC 12:00"],
    ["timestamp", "infinity"],
  ]) {
    fn("extract", lit("text", unit), lit(type, text));
    if (["epoch", "second", "century", "dow"].includes(unit))
      fn("date_part", lit("text", unit), lit(type, text));
    if (!["date", "time", "timetz"].includes(type)) fn("date_trunc", lit("text", unit), lit(type, text));
  }
}
calls(
  `
date_trunc | text:day | timestamptz:2001-02-16 20:38:40+00 | text:Australia/Sydney
date_trunc | text:hour | timestamptz:2024-10-27 01:30:00+00
+ | date:2024-01-31 | int4:7
- | date:2024-01-31 | int4:7
- | date:2024-01-31 | date:2023-12-25
+ | int4:3 | date:2024-01-31
+ | date:2024-01-31 | interval:1 month
- | date:2024-03-31 | interval:1 month
+ | date:2024-01-31 | time:12:30
+ | date:2024-01-31 | timetz:12:30+02
+ | timestamp:2024-01-31 12:00 | interval:1 mon 1 day 01:00
- | timestamp:2024-03-31 12:00 | interval:1 mon
- | timestamp:2024-03-31 12:00 | timestamp:2024-01-01 00:00:00.5
+ | timestamptz:2024-03-30 12:00 | interval:1 day
+ | timestamptz:2024-03-30 12:00 | interval:24 hours
- | timestamptz:2024-03-31 12:00 | timestamptz:2024-03-30 12:00
+ | interval:1 day | timestamp:2024-01-01
+ | interval:1 day 02:00 | interval:2 mons -03:00
- | interval:1 day 02:00 | interval:2 mons 03:00
- | interval:1 day -02:00
* | interval:1 day 02:00 | float8:1.5
* | interval:1 mon | float8:0.3
* | float8:2 | interval:1 year 3 days
/ | interval:1 mon | float8:4
/ | interval:1 day | float8:0
* | int4:3 | interval:1 hour
+ | time:23:30 | interval:1 hour
- | time:00:30 | interval:1 hour
- | time:12:00 | time:10:30
+ | timetz:23:30+01 | interval:2 hours
+ | time:12:00 | date:2024-01-01
- | timestamp:infinity | timestamp:2024-01-01
+ | timestamp:infinity | interval:1 day
+ | timestamp:294276-12-31 | interval:1 day
+ | date:infinity | int4:1
+ | date:2024-01-01 | date:2024-01-01
- | timestamp:2024-01-01 | date:2023-01-01
age | timestamp:2001-04-10 | timestamp:1957-06-13
age | timestamp:1957-06-13 | timestamp:2001-04-10
age | timestamp:2024-03-31 | timestamp:2024-02-29 12:00
age | timestamptz:2024-03-31 00:00+00 | timestamptz:2024-01-31 00:00+00
justify_days | interval:35 days
justify_hours | interval:27 hours
justify_interval | interval:1 mon -1 hour
justify_interval | interval:-40 days 30:00
isfinite | date:infinity
isfinite | timestamp:2024-01-01
make_date | int4:2013 | int4:7 | int4:15
make_date | int4:-44 | int4:3 | int4:15
make_date | int4:2013 | int4:13 | int4:15
make_date | int4:2013 | int4:2 | int4:30
make_time | int4:8 | int4:15 | float8:23.5
make_time | int4:25 | int4:15 | float8:23.5
make_timestamp | int4:2013 | int4:7 | int4:15 | int4:8 | int4:15 | float8:23.5
make_timestamptz | int4:2013 | int4:7 | int4:15 | int4:8 | int4:15 | float8:23.5
make_timestamptz | int4:2013 | int4:7 | int4:15 | int4:8 | int4:15 | float8:23.5 | text:America/New_York
make_interval | int4:1 | int4:2 | int4:3 | int4:4 | int4:5 | int4:6 | float8:7.5
to_timestamp | float8:1284352323.5
to_timestamp | float8:-1
to_timestamp | float8:Infinity
timezone | text:America/New_York | timestamptz:2024-07-01 12:00+00
timezone | text:America/New_York | timestamp:2024-07-01 12:00
timezone | text:EST | timestamp:2024-07-01 12:00
timezone | text:UTC | timestamptz:2024-07-01 12:00+00
timezone | interval:-05:00 | timestamptz:2024-07-01 12:00+00
timezone | text:nowhere | timestamptz:2024-07-01 12:00+00
timezone | text:Asia/Kolkata | timestamptz:2024-07-01 12:00+00
timezone | text:utc+3 | timestamptz:2024-07-01 12:00+00
timezone | text:+02:00 | timestamptz:2024-07-01 12:00+00
timezone | text:America/New_York | timestamp:2024-03-10 02:30
timezone | text:America/New_York | timestamp:2024-11-03 01:30
timezone | text:Europe/Berlin | timestamptz:1850-01-01 12:00+00
timezone | text:America/Sao_Paulo | timestamptz:2018-11-04 12:00+00
timezone | text:Africa/Casablanca | timestamptz:2024-03-20 12:00+00
timezone | text:Pacific/Apia | timestamptz:2011-12-31 12:00+00
date_bin | interval:15 minutes | timestamp:2020-02-11 15:44:17 | timestamp:2001-01-01
date_bin | interval:1 mon | timestamp:2020-02-11 15:44:17 | timestamp:2001-01-01
date_bin | interval:15 minutes | timestamp:2000-02-11 15:44:17 | timestamp:2001-01-01
date_bin | interval:0 | timestamp:2000-02-11 15:44:17 | timestamp:2001-01-01
overlaps | date:2001-02-16 | date:2001-12-21 | date:2001-10-30 | date:2002-10-30
overlaps | timestamp:2001-02-16 | interval:100 days | timestamp:2001-10-30 | interval:30 days
overlaps | time:10:00 | time:12:00 | time:12:00 | time:13:00
overlaps | timestamp:2001-02-16 | timestamp:NULL | timestamp:2001-02-16 | timestamp:NULL
overlaps | timestamp:2001-02-16 | timestamp:NULL | timestamp:2000-02-16 | timestamp:2002-01-01
generate_series | int4:2 | int4:4
generate_series | int4:5 | int4:1 | int4:-2
generate_series | int4:4 | int4:3
generate_series | int4:1 | int4:2 | int4:0
generate_series | numeric:1.1 | numeric:4 | numeric:1.3
generate_series | timestamp:2008-03-01 00:00 | timestamp:2008-03-04 12:00 | interval:10 hours
generate_series | timestamptz:2024-03-30 00:00 | timestamptz:2024-04-02 00:00 | interval:1 day
generate_series | int8:9223372036854775806 | int8:9223372036854775807
generate_subscripts | _int4:{1,2,3} | int4:1
generate_subscripts | _int4:{1,2,3} | int4:1 | bool:t
unnest | _int4:{1,2,NULL}
unnest | _int4:{{1,2},{3,4}}
array_append | _int4:{1,2} | int4:3
array_append | _int4:NULL | int4:3
array_append | _int4:{1,2} | numeric:3.5
array_prepend | int4:1 | _int4:{2,3}
array_cat | _int4:{1,2} | _int4:{3}
array_cat | _int4:{{1,2}} | _int4:{3,4}
array_cat | _int4:{{1,2}} | _int4:{{3}}
|| | _int4:{1,2} | _int4:{3,4}
|| | _int4:{1,2} | int4:3
|| | int4:0 | _int4:{1,2}
|| | _int4:{1,2} | ?{3,4}
|| | _text:{a} | text:b
|| | _text:{a} | ?b
array_length | _int4:{1,2,3} | int4:1
array_length | _int4:{} | int4:1
array_length | _int4:{1,2,3} | int4:2
array_ndims | _int4:{{1,2},{3,4}}
array_dims | _int4:{{1,2},{3,4}}
array_dims | _int4:[2:4]={1,2,3}
array_lower | _int4:[2:4]={1,2,3} | int4:1
array_upper | _int4:[2:4]={1,2,3} | int4:1
cardinality | _int4:{{1,2},{3,4}}
array_position | _text:{sun,mon,tue} | text:mon
array_position | _text:{sun,mon,tue} | ?mon
array_position | _int4:{1,4,3,1,3,4} | int4:3 | int4:4
array_position | _int4:{1,NULL} | int4:NULL
array_positions | _text:{A,A,B,A} | text:A
array_remove | _int4:{1,2,3,2} | int4:2
array_replace | _int4:{1,2,5,4} | int4:5 | int4:3
array_fill | int4:7 | _int4:{3}
array_fill | int4:7 | _int4:{2,2} | _int4:{2,3}
array_fill | text:x | _int4:{-1}
trim_array | _int4:{1,2,3,4} | int4:2
trim_array | _int4:{1,2,3,4} | int4:5
@> | _int4:{1,4,3} | _int4:{3,1}
<@ | _int4:{2,2,7} | _int4:{1,7,4,2,6}
&& | _int4:{1,4,3} | _int4:{2,1}
@> | _int4:{1,NULL} | _int4:{NULL}
&& | _int4:{1} | _text:{a}
-> | json:[{"a":"foo"},{"b":"bar"},{"c":"baz"}] | int4:2
-> | json:{"a": {"b":"foo"}} | text:a
->> | json:[1,2,3] | int4:2
->> | json:{"a":1,"b":null} | text:b
->> | json:{"a":1,"b":2} | ?b
-> | jsonb:[1,2,3] | int4:-1
-> | jsonb:[1,2,3] | int4:5
#> | json:{"a": {"b": ["foo","bar"]}} | ?{a,b,1}
#>> | jsonb:{"a": {"b": ["foo","bar"]}} | _text:{a,b,1}
#>> | jsonb:{"a": {"b": ["foo","bar"]}} | _text:{}
@> | jsonb:{"a":1, "b":2} | jsonb:{"b":2}
@> | jsonb:[1,2,[1,3]] | jsonb:[1,3]
@> | jsonb:["foo","bar"] | jsonb:"bar"
<@ | jsonb:{"b":2} | jsonb:{"a":1, "b":2}
? | jsonb:{"a":1} | text:a
? | jsonb:["a","b"] | ?b
?| | jsonb:{"a":1,"b":2} | _text:{b,d}
?& | jsonb:["a", "b"] | _text:{a,b}
|| | jsonb:["a","b"] | jsonb:["a","d"]
|| | jsonb:{"a": "b"} | jsonb:{"c": "d"}
|| | jsonb:[1] | jsonb:{"a":1}
|| | jsonb:1 | jsonb:2
|| | jsonb:{"a":1} | jsonb:2
- | jsonb:{"a": "b", "c": "d"} | text:a
- | jsonb:["a","b","c","b"] | text:b
- | jsonb:["a","b"] | int4:1
- | jsonb:{"a": "b", "c": "d"} | _text:{a,c}
- | jsonb:{"a":1} | int4:0
- | jsonb:1 | text:a
#- | jsonb:["a", {"b":1}] | _text:{1,b}
to_json | text:Fred said "Hi."
to_json | int4:5
to_json | timestamp:2024-07-01 12:00
to_json | timestamptz:2024-07-01 12:00+00
to_json | date:2024-07-01
to_json | _int4:{{1,2},{3,4}}
to_json | bool:t
to_json | numeric:NaN
to_json | float8:1.5
to_jsonb | numeric:1.50
to_jsonb | text:a
to_jsonb | json:{"b":1,"a":2}
array_to_json | _int4:{{1,5},{99,100}}
array_to_json | _text:{a,NULL} | bool:t
json_build_array | int4:1 | int4:2 | text:foo | int4:4 | text:NULL
json_build_object | text:foo | int4:1 | int4:2 | text:x
json_build_object | text:foo
json_build_object | text:NULL | int4:1
jsonb_build_object | text:foo | int4:1 | text:bar | numeric:2.50
jsonb_build_array | bool:t | jsonb:{"a":1}
json_object | _text:{a,1,b,def,c,3.5}
json_object | _text:{{a,1},{b,def}}
json_object | _text:{a,b} | _text:{1,2}
json_object | _text:{a,b,c}
json_typeof | json:-123.4
jsonb_typeof | jsonb:null
json_array_length | json:[1,2,3,{"f1":1,"f2":[5,6]},4]
jsonb_array_length | jsonb:{}
json_array_length | json:1
json_array_elements | json:[1,true, [2,false]]
json_array_elements_text | json:["foo", "bar", null]
jsonb_array_elements | jsonb:[1,true, [2,false]]
jsonb_array_elements | jsonb:{}
json_object_keys | json:{"f1":"abc","f2":{"f3":"a", "f4":"b"}}
jsonb_object_keys | jsonb:[1]
json_strip_nulls | json:[{"f1":1, "f2":null}, 2, null, 3]
jsonb_strip_nulls | jsonb:[{"f1":1, "f2":null}, 2, null, 3]
jsonb_set | jsonb:[{"f1":1,"f2":null},2,null,3] | _text:{0,f1} | jsonb:[2,3,4] | bool:f
jsonb_set | jsonb:[{"f1":1,"f2":null},2] | _text:{0,f3} | jsonb:[2,3,4]
jsonb_set | jsonb:{"a":1} | _text:{a,b} | jsonb:2
jsonb_set | jsonb:1 | _text:{a} | jsonb:2
jsonb_insert | jsonb:{"a": [0,1,2]} | _text:{a,1} | jsonb:"new_value"
jsonb_insert | jsonb:{"a": [0,1,2]} | _text:{a,1} | jsonb:"new_value" | bool:t
jsonb_insert | jsonb:{"a": 1} | _text:{a} | jsonb:2
jsonb_set_lax | jsonb:{"a":1} | _text:{a} | jsonb:NULL | bool:t | text:delete_key
jsonb_pretty | jsonb:[{"f1":1,"f2":null}, 2]
json_extract_path | json:{"f2":{"f3":1},"f4":{"f5":99,"f6":"foo"}} | text:f4 | text:f6
json_extract_path_text | json:{"f2":{"f3":1},"f4":{"f5":99,"f6":"foo"}} | text:f4 | text:f6
num_nulls | int4:1 | int4:NULL | text:x
num_nonnulls | int4:1 | int4:NULL | text:x
pg_typeof | int4:1
pg_typeof | text:x
pg_typeof | _int4:{1}
format_type | oid:1043 | int4:14
format_type | oid:1700 | int4:655366
format_type | oid:1184 | int4:3
format_type | oid:1042 | int4:NULL
format_type | oid:1007 | int4:NULL
format_type | oid:99999 | int4:NULL
pg_size_pretty | int8:1000000
pg_size_pretty | int8:10239
pg_size_pretty | int8:10240
pg_size_pretty | int8:-123456789
pg_size_pretty | int8:1234567890123456
pg_size_pretty | numeric:12345.5
pg_size_bytes | text:1.5 GB
pg_size_bytes | text:10 foo
pg_column_size | int4:1
int4out | int4:5
textlen | text:abc
int4pl | int4:2 | int4:3
num_nulls
`.replace("num_nulls\n", ""),
);
for (const template of [
  "YYYY-MM-DD HH24:MI:SS",
  "FMMonth DDth, YYYY",
  "Day, DD Month YYYY",
  "DY dy Dy",
  "HH12:MI:SS AM",
  "HH:MI p.m.",
  "MS US FF3",
  "SSSS",
  "Q WW IW IYYY IDDD ID D DDD",
  "CC Y,YYY YYY YY Y",
  "RM rm FMRM",
  "J",
  "TZ tz OF TZH:TZM",
  '"Year:" YYYY',
  "FMDD FMMM FMHH24",
  "AD BC a.d.",
  "MON Mon mon",
  "YYYYMMDD",
  "W",
  "DDTH DDth",
  "Hello",
]) {
  fn("to_char", lit("timestamp", "2024-07-04 05:06:07.089"), lit("text", template));
  fn("to_char", lit("timestamptz", "2024-01-14 17:30:00+00"), lit("text", template));
}
for (const template of ["HH24:MI:SS", "DD HH24", "YYYY-MM-DD", "Mon", "HH12:MI AM", "MS"])
  fn("to_char", lit("interval", "1 year 2 mons 3 days 15:02:12.345"), lit("text", template));
for (const template of [
  "999",
  "9999.99",
  "0000.00",
  "FM9999.99",
  "FM9999.00",
  "9,999,999",
  "S9999",
  "9999S",
  "MI9999",
  "9999MI",
  "PL9999",
  "SG9999",
  "9999PR",
  "RN",
  "FMRN",
  "999th",
  "9.99EEEE",
  "L9999",
  "99V99",
  "FM0000",
  "9",
  "FM9,999.99",
  "0999",
  "99.9",
  "9G999D99",
  '"x"999',
  "B999",
  "9999.",
  "FM999.999",
]) {
  for (const value of ["485", "-12.345", "0", "1234.5", "0.1", "-0.45"])
    fn("to_char", lit("numeric", value), lit("text", template));
}
for (const template of ["99999", "S99,999", "FM9"]) {
  fn("to_char", lit("int4", "-125"), lit("text", template));
  fn("to_char", lit("int8", "12345"), lit("text", template));
  fn("to_char", lit("float8", "125.8"), lit("text", template));
}
calls(`
to_date | text:05 Dec 2000 | text:DD Mon YYYY
to_date | text:20240131 | text:YYYYMMDD
to_date | text:2024-13-01 | text:YYYY-MM-DD
to_date | text:2024-02-30 | text:YYYY-MM-DD
to_date | text:24 | text:YY
to_date | text:2024 100 | text:YYYY DDD
to_date | text:2024-W05-1 | text:IYYY-"W"IW-ID
to_date | text:x | text:YYYY
to_date | text:3 February 2021 | text:DD Month YYYY
to_timestamp | text:05 Dec 2000 12:34:56 | text:DD Mon YYYY HH24:MI:SS
to_timestamp | text:2024-07-01 03:04 PM | text:YYYY-MM-DD HH12:MI AM
to_timestamp | text:2024-07-01 12:00:00.123 | text:YYYY-MM-DD HH24:MI:SS.MS
to_timestamp | text:2024-07-01 25:00 | text:YYYY-MM-DD HH24:MI
to_timestamp | text:2024/07/01 | text:YYYY-MM-DD
to_timestamp | text:20240701120000 | text:YYYYMMDDHH24MISS
to_number | text:12,454.8- | text:99G999D9S
to_number | text:-12345 | text:S99999
to_number | text:1,234.56 | text:9,999.99
to_number | text:<12> | text:99PR
to_number | text:485 | text:999
to_number | text:0.45 | text:9.99
`);

// Binary forms.
const sends = {
  bool: "boolsend",
  int2: "int2send",
  int4: "int4send",
  int8: "int8send",
  float4: "float4send",
  float8: "float8send",
  numeric: "numeric_send",
  text: "textsend",
  bytea: "byteasend",
  uuid: "uuid_send",
  date: "date_send",
  time: "time_send",
  timetz: "timetz_send",
  timestamp: "timestamp_send",
  timestamptz: "timestamptz_send",
  interval: "interval_send",
  json: "json_send",
  jsonb: "jsonb_send",
  char: "charsend",
  name: "namesend",
  oid: "oidsend",
  tid: "tidsend",
};
for (const [type, name] of Object.entries(sends))
  for (const text of [...(inputs[type] ?? []), ...(values[type] ?? [])]) fn(name, lit(type, text));

// Aggregates: ["agg", name, [types], [rows]] and, in order of the first column, ["ordered", name, [direct literals], type, [values]].
const agg = (name, types, ...rows) => add(["agg", name, types, rows]);
const numbers = {
  int2: ["3", "1", "2", null, "2"],
  int4: ["3", "-1", "2147483647", null, "2"],
  int8: ["9223372036854775807", "1", null, "5"],
  numeric: ["1.5", "2.25", "-3", null, "100.001"],
  float4: ["1.5", "2.25", null, "-3"],
  float8: ["1.5", "2.25", "-3.125", null, "1e10"],
};
for (const [type, list] of Object.entries(numbers)) {
  for (const rows of [list, list.slice(0, 1), [null], []]) {
    for (const name of [
      "sum",
      "avg",
      "min",
      "max",
      "count",
      "stddev",
      "stddev_pop",
      "variance",
      "var_pop",
      "array_agg",
    ])
      agg(name, [type], ...rows.map((value) => [value]));
  }
}
for (const rows of [
  [
    ["1", "2"],
    ["2", "4.5"],
    ["3", "5"],
    ["4", null],
  ],
  [["1", "2"]],
  [],
]) {
  for (const name of [
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
  ])
    agg(name, ["float8", "float8"], ...rows);
}
for (const name of ["bool_and", "bool_or", "every"])
  for (const rows of [["t", "f", null], ["t", "t"], [null], []])
    agg(name, ["bool"], ...rows.map((value) => [value]));
for (const name of ["bit_and", "bit_or", "bit_xor"])
  for (const type of ["int2", "int4", "int8"]) agg(name, [type], ["12"], ["10"], [null]);
agg("string_agg", ["text", "text"], ["a", ","], ["b", "-"], [null, "+"], ["c", null]);
agg("string_agg", ["bytea", "bytea"], ["\\x01", "\\xff"], ["\\x02", "\\xff"]);
agg("array_agg", ["_int4"], ["{1,2}"], ["{3,4}"]);
agg("array_agg", ["_int4"], ["{1,2}"], ["{3}"]);
agg("array_agg", ["text"], ["a"], [null]);
for (const name of ["json_agg", "jsonb_agg"]) {
  agg(name, ["int4"], ["1"], [null], ["3"]);
  agg(name, ["text"], ["a"], ["b"]);
  agg(name, ["_int4"], ["{1,2}"], ["{3}"]);
  agg(name, ["int4"]);
}
for (const name of ["json_object_agg", "jsonb_object_agg"]) {
  agg(name, ["text", "int4"], ["a", "1"], ["b", null], ["a", "3"]);
  agg(name, ["text", "int4"], [null, "1"]);
  agg(name, ["int4", "text"], ["1", "x"]);
}
for (const [type, list] of [
  ["text", ["b", "a", "C"]],
  ["date", ["2024-01-01", "2023-01-01", "infinity"]],
  ["interval", ["1 day", "1 mon", "-1 day"]],
  ["time", ["10:00", "09:00"]],
  ["timestamptz", ["2024-01-01", "2025-01-01"]],
  ["bpchar", ["a ", "b"]],
  ["_int4", ["{1,2}", "{1,1}"]],
]) {
  for (const name of ["min", "max"]) agg(name, [type], ...list.map((value) => [value]));
}
for (const name of ["sum", "avg"]) agg(name, ["interval"], ["1 day"], ["1 mon 02:00"], [null], ["-3 days"]);
agg("sum", ["int8"], ["9223372036854775807"], ["9223372036854775807"]);
agg("sum", ["text"], ["1"]);
agg("sum", ["int4"], ...Array.from({ length: 5 }, () => ["2147483647"]));
agg("avg", ["numeric"], ["NaN"], ["1"]);
agg("stddev", ["float8"], ["Infinity"], ["1"]);
const ordered = (name, direct, type, ...list) => add(["ordered", name, direct, type, list]);
for (const fraction of ["0", "0.25", "0.5", "1", "1.5"]) {
  ordered("percentile_cont", [["float8", fraction]], "float8", "1", "2", "4", "8");
  ordered("percentile_disc", [["float8", fraction]], "int4", "1", "2", "4", "8");
  ordered("percentile_cont", [["float8", fraction]], "interval", "1 day", "2 days", "4 days");
}
ordered("percentile_cont", [["_float8", "{0.25,0.5,NULL}"]], "float8", "1", "2", "4");
ordered("percentile_disc", [["_float8", "{0.25,0.5}"]], "text", "a", "b", "c");
ordered("mode", [], "int4", "1", "2", "2", "3", "3");
ordered("mode", [], "text", "b", "a", "b");

// Run them all.
const quote = (text) => (text === null ? "NULL" : `'${text.replaceAll("'", "''")}'`);
const typeSql = (type) => (type === "char" ? '"char"' : type.startsWith("_") ? `${type.slice(1)}[]` : type);
const valuesOf = (types, rows) => {
  const row = (cells) => `(${cells.map((cell, at) => `${quote(cell)}::${typeSql(types[at])}`).join(", ")})`;
  const names = types.map((_, at) => `c${at}`).join(", ");
  return rows.length === 0
    ? `(select * from (values ${row(types.map(() => null))}) e(${names}) where false) v(${names})`
    : `(values ${rows.map(row).join(", ")}) v(${names})`;
};
const sqlOf = ([head, ...rest]) => {
  if (head === "agg") {
    const [name, types, rows] = rest;
    return `(select "${name}"(${types.map((_, at) => `c${at}`).join(", ")}) from ${valuesOf(types, rows)})`;
  }
  if (head === "ordered") {
    const [name, direct, type, list] = rest;
    return `(select "${name}"(${direct.map(sqlOf).join(", ")}) within group (order by c0) from ${valuesOf(
      [type],
      list.map((value) => [value]),
    )})`;
  }
  if (head === "fn") return `"${rest[0]}"(${rest.slice(1).map(sqlOf).join(", ")})`;
  if (head === "op") {
    const args = rest.slice(1).map(sqlOf);
    return args.length === 1 ? `(${rest[0]} ${args[0]})` : `(${args[0]} ${rest[0]} ${args[1]})`;
  }
  if (head === "cast") return `(${sqlOf(rest[1])})::${typeSql(rest[0])}`;
  return head === "?" ? quote(rest[0]) : `${quote(rest[0])}::${typeSql(head)}`;
};
const script = [
  "set timezone = 'Europe/Berlin'; set client_min_messages = error; set bytea_output = 'hex';",
  `create function pg_temp.attempt(sql text) returns text language plpgsql as $$
   declare answer text; state text; message text;
   begin
     execute 'select coalesce(min(t), ''void'') || chr(9) || coalesce(string_agg(v, chr(30)), ''\\N'') from (select pg_typeof(x)::text t, case when x is null then ''\\N'' else format(''%s'', x) end v from (select ' || sql || ' as x offset 0) s) r' into answer;
     return answer;
   exception when others then
     get stacked diagnostics state = returned_sqlstate, message = message_text;
     return '!' || state || chr(9) || message;
   end $$;`,
  ...expressions.map(
    (expression) => `select translate(pg_temp.attempt(${quote(sqlOf(expression))}), chr(10), chr(31));`,
  ),
].join("\n");
const run = spawnSync("psql", [...connection, "-AtXq"], {
  input: script,
  encoding: "utf8",
  maxBuffer: 1 << 28,
});
const answers = run.stdout.split("\n").slice(0, -1);
if (answers.length !== expressions.length) {
  throw new Error(
    `${answers.length} answers to ${expressions.length} expressions\n${run.stderr.slice(0, 4000)}`,
  );
}
process.stdout.write(
  expressions.map((expression, at) => `${JSON.stringify(expression)}\t${answers[at]}\n`).join(""),
);
