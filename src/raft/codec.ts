/**
 * Entries and messages as bytes, for the log and for the wire. One table of fields for each kind of message: what it
 * lists is written and read in that order.
 *
 * Invariant: `decodeMessage(encodeMessage(m))` equals `m`; bytes that are none of these throw MalformedBytes.
 */
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import type { Entry, MemberSet, Message } from "./contract.js";

interface Field<T> {
  write(writer: ByteWriter, value: T): void;
  read(reader: ByteReader): T;
}

const number: Field<number> = {
  write: (writer, value) => writer.u64(value),
  read: (reader) => reader.u64(),
};
const flag: Field<boolean> = {
  write: (writer, value) => writer.bool(value),
  read: (reader) => reader.bool(),
};
const blob: Field<Uint8Array> = {
  write: (writer, value) => writer.bytes(value),
  // A copy: what a message came in is lent, and a Buffer's own slice is a view.
  read: (reader) => new Uint8Array(reader.bytes()),
};

const members: Field<MemberSet> = {
  write: (writer, set) => {
    for (const ids of [set.voters, set.outgoing, set.learners, set.demoted])
      writer.list(ids, (id) => writer.u32(id));
  },
  read: (reader) => {
    const ids = (): number[] => reader.list(4, () => reader.u32());
    return { voters: ids(), outgoing: ids(), learners: ids(), demoted: ids() };
  },
};

const entryKinds = ["empty", "command", "members"] as const;

export const entry: Field<Entry> = {
  write: (writer, value) => {
    writer.u8(entryKinds.indexOf(value.kind)).u64(value.index).u64(value.term);
    if (value.kind === "command") blob.write(writer, value.data);
    else if (value.kind === "members") members.write(writer, value.members);
  },
  read: (reader) => {
    const kind = entryKinds[reader.u8()];
    const index = reader.u64();
    const term = reader.u64();
    switch (kind) {
      case "empty":
        return { kind, index, term };
      case "command":
        return { kind, index, term, data: blob.read(reader) };
      case "members":
        return { kind, index, term, members: members.read(reader) };
      default:
        throw new MalformedBytes("an entry of no known kind");
    }
  },
};
const entries: Field<readonly Entry[]> = {
  write: (writer, list) => writer.list(list, (one) => entry.write(writer, one)),
  read: (reader) => reader.list(17, () => entry.read(reader)),
};

/** Fields beside the head (kind, from, to, term), in order. The place of a kind in the table is its number on the wire. */
type Fields<M> = { readonly [Name in Exclude<keyof M, "kind" | "from" | "to" | "term">]: Field<M[Name]> };
type FieldTable = { readonly [Kind in Message["kind"]]: Fields<Message & { kind: Kind }> };

const vote = { lastIndex: number, lastTerm: number, transfer: flag };
const voteAnswer = { granted: flag };
const table: FieldTable = {
  preVote: vote,
  vote,
  preVoteAnswer: voteAnswer,
  voteAnswer,
  append: { previousIndex: number, previousTerm: number, commit: number, entries },
  appendAnswer: { index: number, accepted: flag, hintIndex: number, hintTerm: number },
  heartbeat: { commit: number, round: number },
  heartbeatAnswer: { round: number },
  snapshot: { index: number, snapshotTerm: number, members, offset: number, total: number, data: blob },
  snapshotAnswer: { index: number, offset: number, received: number },
  timeoutNow: {},
  read: { context: number },
  readAnswer: { context: number, index: number },
};
const kinds = Object.keys(table) as Message["kind"][];
const kindNumbers = new Map(kinds.map((kind, at) => [kind, at]));
const fieldsOf = kinds.map((kind) => Object.entries(table[kind]) as [string, Field<unknown>][]);

export function encodeMessage(message: Message): Uint8Array {
  const writer = new ByteWriter(sizeOf(message));
  const place = kindNumbers.get(message.kind)!;
  writer.u8(place).u32(message.from).u32(message.to).u64(message.term);
  const values = message as unknown as Readonly<Record<string, unknown>>;
  for (const [name, field] of fieldsOf[place]!) field.write(writer, values[name]);
  return writer.take();
}

/** About. */
function sizeOf(message: Message): number {
  if (message.kind === "snapshot") return message.data.length + 256;
  let size = 64;
  if (message.kind === "append")
    for (const one of message.entries) size += one.kind === "command" ? one.data.length + 32 : 96;
  return size;
}

export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new ByteReader(bytes);
  const place = reader.u8();
  const kind = kinds[place];
  if (kind === undefined) throw new MalformedBytes("a message of no known kind");
  const message: Record<string, unknown> = {
    kind,
    from: reader.u32(),
    to: reader.u32(),
    term: reader.u64(),
  };
  for (const [name, field] of fieldsOf[place]!) message[name] = field.read(reader);
  reader.end();
  return message as unknown as Message;
}

export { members as memberSetField };
