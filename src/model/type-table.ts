/**
 * The table of SQL types: PostgreSQL's OIDs, names and pg_type attributes, one line per type.
 *
 * Invariants: an OID once in the table never changes its meaning; every base type has its array type here too (made
 * from its element's line). Facts are those of PostgreSQL 15's pg_type.
 */
import { assert } from "../base/errors.js";

export interface TypeDesc {
  readonly oid: number;
  readonly name: string;
  /** OID of the type's array type; 0 for none (pseudo types, arrays). */
  readonly arrayOid: number;
  /** pg_type.typelem: of arrays, int2vector, oidvector and name; otherwise 0. */
  readonly elementOid: number;
  /** pg_type.typlen: bytes, -1 variable, -2 zero-terminated. */
  readonly length: number;
  readonly byValue: boolean;
  /** pg_type.typcategory letter. */
  readonly category: string;
  readonly preferred: boolean;
  readonly align: string;
  readonly storage: string;
  /** pg_type.typtype: b base, p pseudo. */
  readonly kind: "b" | "p";
  /** A true array (array_in), not a vector or name. */
  readonly isArray: boolean;
  readonly delimiter: string;
  readonly input: string;
  readonly output: string;
  readonly receive: string;
  readonly send: string;
  readonly typmodIn: string;
  readonly typmodOut: string;
}

/** oid name array element length byValue category preferred align storage kind in out receive send typmodIn typmodOut */
const lines = `
16 bool 1000 0 1 t B t c p b boolin boolout boolrecv boolsend - -
17 bytea 1001 0 -1 f U f i x b byteain byteaout bytearecv byteasend - -
18 char 1002 0 1 t Z f c p b charin charout charrecv charsend - -
19 name 1003 18 64 f S f c p b namein nameout namerecv namesend - -
20 int8 1016 0 8 t N f d p b int8in int8out int8recv int8send - -
21 int2 1005 0 2 t N f s p b int2in int2out int2recv int2send - -
22 int2vector 1006 21 -1 f A f i p b int2vectorin int2vectorout int2vectorrecv int2vectorsend - -
23 int4 1007 0 4 t N f i p b int4in int4out int4recv int4send - -
24 regproc 1008 0 4 t N f i p b regprocin regprocout regprocrecv regprocsend - -
25 text 1009 0 -1 f S t i x b textin textout textrecv textsend - -
26 oid 1028 0 4 t N t i p b oidin oidout oidrecv oidsend - -
27 tid 1010 0 6 f U f s p b tidin tidout tidrecv tidsend - -
28 xid 1011 0 4 t U f i p b xidin xidout xidrecv xidsend - -
29 cid 1012 0 4 t U f i p b cidin cidout cidrecv cidsend - -
30 oidvector 1013 26 -1 f A f i p b oidvectorin oidvectorout oidvectorrecv oidvectorsend - -
114 json 199 0 -1 f U f i x b json_in json_out json_recv json_send - -
194 pg_node_tree 0 0 -1 f Z f i x b pg_node_tree_in pg_node_tree_out pg_node_tree_recv pg_node_tree_send - -
700 float4 1021 0 4 t N f i p b float4in float4out float4recv float4send - -
701 float8 1022 0 8 t N t d p b float8in float8out float8recv float8send - -
705 unknown 0 0 -2 f X f c p p unknownin unknownout unknownrecv unknownsend - -
1033 aclitem 1034 0 12 f U f i p b aclitemin aclitemout - - - -
1042 bpchar 1014 0 -1 f S f i x b bpcharin bpcharout bpcharrecv bpcharsend bpchartypmodin bpchartypmodout
1043 varchar 1015 0 -1 f S f i x b varcharin varcharout varcharrecv varcharsend varchartypmodin varchartypmodout
1082 date 1182 0 4 t D f i p b date_in date_out date_recv date_send - -
1083 time 1183 0 8 t D f d p b time_in time_out time_recv time_send timetypmodin timetypmodout
1114 timestamp 1115 0 8 t D f d p b timestamp_in timestamp_out timestamp_recv timestamp_send timestamptypmodin timestamptypmodout
1184 timestamptz 1185 0 8 t D t d p b timestamptz_in timestamptz_out timestamptz_recv timestamptz_send timestamptztypmodin timestamptztypmodout
1186 interval 1187 0 16 f T t d p b interval_in interval_out interval_recv interval_send intervaltypmodin intervaltypmodout
1266 timetz 1270 0 12 f D f d p b timetz_in timetz_out timetz_recv timetz_send timetztypmodin timetztypmodout
1700 numeric 1231 0 -1 f N f i m b numeric_in numeric_out numeric_recv numeric_send numerictypmodin numerictypmodout
1790 refcursor 2201 0 -1 f U f i x b textin textout textrecv textsend - -
2202 regprocedure 2207 0 4 t N f i p b regprocedurein regprocedureout regprocedurerecv regproceduresend - -
2203 regoper 2208 0 4 t N f i p b regoperin regoperout regoperrecv regopersend - -
2204 regoperator 2209 0 4 t N f i p b regoperatorin regoperatorout regoperatorrecv regoperatorsend - -
2205 regclass 2210 0 4 t N f i p b regclassin regclassout regclassrecv regclasssend - -
2206 regtype 2211 0 4 t N f i p b regtypein regtypeout regtyperecv regtypesend - -
2249 record 2287 0 -1 f P f d x p record_in record_out record_recv record_send - -
2275 cstring 1263 0 -2 f P f c p p cstring_in cstring_out cstring_recv cstring_send - -
2276 any 0 0 4 t P f i p p any_in any_out - - - -
2277 anyarray 0 0 -1 f P f d x p anyarray_in anyarray_out anyarray_recv anyarray_send - -
2278 void 0 0 4 t P f i p p void_in void_out void_recv void_send - -
2279 trigger 0 0 4 t P f i p p trigger_in trigger_out - - - -
2281 internal 0 0 8 t P f d p p internal_in internal_out - - - -
2283 anyelement 0 0 4 t P f i p p anyelement_in anyelement_out - - - -
2776 anynonarray 0 0 4 t P f i p p anynonarray_in anynonarray_out - - - -
2950 uuid 2951 0 16 f U f c p b uuid_in uuid_out uuid_recv uuid_send - -
3802 jsonb 3807 0 -1 f U f i x b jsonb_in jsonb_out jsonb_recv jsonb_send - -
3838 event_trigger 0 0 4 t P f i p p event_trigger_in event_trigger_out - - - -
4089 regnamespace 4090 0 4 t N f i p b regnamespacein regnamespaceout regnamespacerecv regnamespacesend - -
4096 regrole 4097 0 4 t N f i p b regrolein regroleout regrolerecv regrolesend - -
4191 regcollation 4192 0 4 t N f i p b regcollationin regcollationout regcollationrecv regcollationsend - -
5069 xid8 271 0 8 t U f d p b xid8in xid8out xid8recv xid8send - -
5077 anycompatible 0 0 4 t P f i p p anycompatible_in anycompatible_out - - - -
5078 anycompatiblearray 0 0 -1 f P f d x p anycompatiblearray_in anycompatiblearray_out anycompatiblearray_recv anycompatiblearray_send - -
5079 anycompatiblenonarray 0 0 4 t P f i p p anycompatiblenonarray_in anycompatiblenonarray_out - - - -
`;

const byOid = new Map<number, TypeDesc>();
const byName = new Map<string, TypeDesc>();

function add(type: TypeDesc): void {
  assert(!byOid.has(type.oid), `type ${type.oid} twice`);
  byOid.set(type.oid, type);
  byName.set(type.name, type);
}

for (const line of lines.trim().split("\n")) {
  const field = line.split(" ");
  const element: TypeDesc = {
    oid: Number(field[0]),
    name: field[1]!,
    arrayOid: Number(field[2]),
    elementOid: Number(field[3]),
    length: Number(field[4]),
    byValue: field[5] === "t",
    category: field[6]!,
    preferred: field[7] === "t",
    align: field[8]!,
    storage: field[9]!,
    kind: field[10] === "p" ? "p" : "b",
    isArray: false,
    delimiter: ",",
    input: field[11]!,
    output: field[12]!,
    receive: field[13]!,
    send: field[14]!,
    typmodIn: field[15]!,
    typmodOut: field[16]!,
  };
  add(element);
  if (element.arrayOid === 0) continue;
  add({
    oid: element.arrayOid,
    name: `_${element.name}`,
    arrayOid: 0,
    elementOid: element.oid,
    length: -1,
    byValue: false,
    category: element.kind === "p" ? "P" : "A",
    preferred: false,
    align: element.align === "d" ? "d" : "i",
    storage: "x",
    kind: element.kind,
    isArray: true,
    delimiter: ",",
    input: "array_in",
    output: "array_out",
    receive: "array_recv",
    send: "array_send",
    typmodIn: element.typmodIn,
    typmodOut: element.typmodOut,
  });
}

/** OIDs by name, for code that means one particular type. */
export const oids = {
  bool: 16,
  bytea: 17,
  char: 18,
  name: 19,
  int8: 20,
  int2: 21,
  int2vector: 22,
  int4: 23,
  regproc: 24,
  text: 25,
  oid: 26,
  tid: 27,
  xid: 28,
  cid: 29,
  oidvector: 30,
  json: 114,
  pg_node_tree: 194,
  float4: 700,
  float8: 701,
  unknown: 705,
  aclitem: 1033,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  numeric: 1700,
  refcursor: 1790,
  regprocedure: 2202,
  regoper: 2203,
  regoperator: 2204,
  regclass: 2205,
  regtype: 2206,
  record: 2249,
  cstring: 2275,
  any: 2276,
  anyarray: 2277,
  void: 2278,
  trigger: 2279,
  internal: 2281,
  anyelement: 2283,
  anynonarray: 2776,
  uuid: 2950,
  jsonb: 3802,
  event_trigger: 3838,
  regnamespace: 4089,
  regrole: 4096,
  regcollation: 4191,
  xid8: 5069,
  anycompatible: 5077,
  anycompatiblearray: 5078,
  anycompatiblenonarray: 5079,
} as const;

export function typeByOid(oid: number): TypeDesc | undefined {
  return byOid.get(oid);
}

/** By pg_type name alone ("int4", "_text"); SQL spellings are `typeByName` of types.ts. */
export function typeByPgName(name: string): TypeDesc | undefined {
  return byName.get(name);
}

/** As `typeByOid`, for OIDs that can only have come from the table. */
export function typeOf(oid: number): TypeDesc {
  const type = byOid.get(oid);
  assert(type !== undefined, `type ${oid} is not in the table`);
  return type;
}

/** Every type, in the table's order, array types after their element. */
export function allTypes(): IterableIterator<TypeDesc> {
  return byOid.values();
}

/** The array type over an element type; undefined when there is none. */
export function arrayTypeOf(element: number): number | undefined {
  const array = byOid.get(element)?.arrayOid;
  return array === undefined || array === 0 ? undefined : array;
}

/** The element type of a true array or vector; undefined for anything else (name included). */
export function elementTypeOf(array: number): number | undefined {
  const type = byOid.get(array);
  if (type === undefined || type.elementOid === 0 || type.oid === oids.name) return undefined;
  return type.elementOid;
}

/** Types PostgreSQL has and this table does not, so that they are refused by name rather than called unknown. */
export const unsupportedTypeNames: ReadonlySet<string> = new Set([
  "xml",
  "path",
  "polygon",
  "cidr",
  "circle",
  "macaddr",
  "macaddr8",
  "inet",
  "money",
  "point",
  "lseg",
  "box",
  "line",
  "tsvector",
  "tsquery",
  "gtsvector",
  "txid_snapshot",
  "jsonpath",
  "bit",
  "varbit",
  "regconfig",
  "regdictionary",
  "anyenum",
  "anyrange",
  "anymultirange",
  "int4range",
  "int8range",
  "numrange",
  "tsrange",
  "tstzrange",
  "daterange",
  "int4multirange",
  "int8multirange",
  "nummultirange",
  "tsmultirange",
  "tstzmultirange",
  "datemultirange",
  "pg_lsn",
  "pg_snapshot",
]);
