/**
 * The PostgreSQL frontend/backend protocol, version 3.0: every message and its bytes, in two tables (source: PostgreSQL 15
 * manual, "Message Formats"). A message is a type byte, a 32-bit big-endian length that counts itself, and the body; the
 * messages that open a connection have no type byte.
 *
 * Field kinds: i8 i16 i32 integers; cstring zero-terminated text; bytes the rest of the body; value a 32-bit length (-1:
 * NULL) and that many bytes; `[...]` an i16 count followed by that many groups; `(...)*` groups up to a zero byte.
 *
 * Invariants: type bytes are unique per direction; what the connection writes has the shape of the table (wire.test.ts walks
 * every message sent).
 */

export type FieldKind = "i8" | "i16" | "i32" | "cstring" | "bytes" | "value";
export interface FieldGroup {
  readonly repeat: "counted" | "untilZero";
  readonly fields: Shape;
}
export type Shape = Readonly<Record<string, FieldKind | FieldGroup>>;

/** How much one message of a type may hold: `data` up to the configured maximum, `control` up to 10,000 bytes. */
export type SizeClass = "data" | "auth" | "control";

export interface FrontendMessage {
  readonly tag: string;
  readonly size: SizeClass;
  readonly body: Shape;
}

const counted = (fields: Shape): FieldGroup => ({ repeat: "counted", fields });
const untilZero = (fields: Shape): FieldGroup => ({ repeat: "untilZero", fields });

/** Messages that clients send. `password` is shared by PasswordMessage and the SASL responses. */
export const frontendMessages = {
  query: { tag: "Q", size: "data", body: { text: "cstring" } },
  parse: {
    tag: "P",
    size: "data",
    body: { statement: "cstring", text: "cstring", parameterTypes: counted({ oid: "i32" }) },
  },
  bind: {
    tag: "B",
    size: "data",
    body: {
      portal: "cstring",
      statement: "cstring",
      parameterFormats: counted({ format: "i16" }),
      parameters: counted({ value: "value" }),
      resultFormats: counted({ format: "i16" }),
    },
  },
  describe: { tag: "D", size: "control", body: { what: "i8", name: "cstring" } },
  execute: { tag: "E", size: "control", body: { portal: "cstring", maxRows: "i32" } },
  close: { tag: "C", size: "control", body: { what: "i8", name: "cstring" } },
  flush: { tag: "H", size: "control", body: {} },
  sync: { tag: "S", size: "control", body: {} },
  functionCall: { tag: "F", size: "data", body: { call: "bytes" } },
  copyData: { tag: "d", size: "data", body: { data: "bytes" } },
  copyDone: { tag: "c", size: "control", body: {} },
  copyFail: { tag: "f", size: "control", body: { message: "cstring" } },
  password: { tag: "p", size: "auth", body: { data: "bytes" } },
  terminate: { tag: "X", size: "control", body: {} },
} as const satisfies Record<string, FrontendMessage>;

export type FrontendName = keyof typeof frontendMessages;

/** Messages that the server sends. */
export const backendMessages = {
  authentication: { tag: "R", body: { request: "i32", data: "bytes" } },
  backendKeyData: { tag: "K", body: { pid: "i32", key: "bytes" } },
  bindComplete: { tag: "2", body: {} },
  closeComplete: { tag: "3", body: {} },
  commandComplete: { tag: "C", body: { tag: "cstring" } },
  copyData: { tag: "d", body: { data: "bytes" } },
  copyDone: { tag: "c", body: {} },
  copyInResponse: { tag: "G", body: { format: "i8", columns: counted({ format: "i16" }) } },
  copyOutResponse: { tag: "H", body: { format: "i8", columns: counted({ format: "i16" }) } },
  dataRow: { tag: "D", body: { columns: counted({ value: "value" }) } },
  emptyQueryResponse: { tag: "I", body: {} },
  errorResponse: { tag: "E", body: { fields: untilZero({ kind: "i8", text: "cstring" }) } },
  negotiateProtocolVersion: { tag: "v", body: { minor: "i32", options: "bytes" } },
  noData: { tag: "n", body: {} },
  noticeResponse: { tag: "N", body: { fields: untilZero({ kind: "i8", text: "cstring" }) } },
  notificationResponse: { tag: "A", body: { pid: "i32", channel: "cstring", payload: "cstring" } },
  parameterDescription: { tag: "t", body: { types: counted({ oid: "i32" }) } },
  parameterStatus: { tag: "S", body: { name: "cstring", value: "cstring" } },
  parseComplete: { tag: "1", body: {} },
  portalSuspended: { tag: "s", body: {} },
  readyForQuery: { tag: "Z", body: { status: "i8" } },
  rowDescription: {
    tag: "T",
    body: {
      columns: counted({
        name: "cstring",
        tableId: "i32",
        attribute: "i16",
        typeOid: "i32",
        typeSize: "i16",
        typmod: "i32",
        format: "i16",
      }),
    },
  },
} as const satisfies Record<string, { readonly tag: string; readonly body: Shape }>;

export type BackendName = keyof typeof backendMessages;

/**
 * What the node that runs a session and the node that relays it tell each other, between the messages of the client.
 * `sessionState`: of the former, before a ReadyForQuery, when it has changed. `kind` 1: a new session with these settings stands
 * where this one does; 0: no settings alone bring it there. `bundle`: of both, which security bundle they hold.
 */
export const relayMessages = {
  sessionState: {
    tag: "~",
    body: { kind: "i8", settings: untilZero({ name: "cstring", value: "cstring" }) },
  },
  bundle: { tag: "!", body: { version: "cstring", hash: "cstring" } },
} as const satisfies Record<string, { readonly tag: string; readonly body: Shape }>;

/** Type bytes as numbers, by message name. */
function tagBytes<Name extends string>(
  table: Readonly<Record<Name, { readonly tag: string }>>,
): Readonly<Record<Name, number>> {
  const bytes: Partial<Record<Name, number>> = {};
  for (const name of Object.keys(table) as Name[]) bytes[name] = table[name].tag.charCodeAt(0);
  return bytes as Record<Name, number>;
}
export const frontendTag = tagBytes(frontendMessages);
export const backendTag = tagBytes(backendMessages);
export const relayTag = tagBytes(relayMessages);

/** What may stand in a message of each size class, in body bytes. */
export const controlBytesMax = 10_000;
export const authBytesMax = 65_535;
/** PostgreSQL's own bound for any message; a greater length is a broken or hostile stream. */
export const announcedBytesMax = 0x3fff_ffff;
export const startupBytesMax = 10_000;

/** Size class by type byte; 0 unknown, 1 data, 2 auth, 3 control. */
export const sizeClassOfTag: Uint8Array = (() => {
  const classes = new Uint8Array(256);
  for (const message of Object.values(frontendMessages)) {
    classes[message.tag.charCodeAt(0)] = message.size === "data" ? 1 : message.size === "auth" ? 2 : 3;
  }
  return classes;
})();

/** Codes in the first message of a connection: protocol version, or one of three requests in its place. */
export const startupCode = {
  protocol3: 196_608,
  sslRequest: 80_877_103,
  gssEncRequest: 80_877_104,
  cancelRequest: 80_877_102,
} as const;

export const authenticationCode = { ok: 0, sasl: 10, saslContinue: 11, saslFinal: 12 } as const;

/** Field letters of ErrorResponse and NoticeResponse. */
export const errorField = {
  severity: "S",
  severityNotLocalized: "V",
  code: "C",
  message: "M",
  detail: "D",
  hint: "H",
  position: "P",
  where: "W",
  schema: "s",
  table: "t",
  column: "c",
  dataType: "d",
  constraint: "n",
} as const;
