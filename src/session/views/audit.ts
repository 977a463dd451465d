/**
 * Rows of sys.audit_*: events of all nodes' chains, each read where it is, checkpoints, and what verification has found.
 *
 * Unlike other computed catalogs these have a reader to admit (AUD-21), and may have to wait for another node.
 */

import type { ChainPiece, ChainPlace } from "../../audit/index.js";
import { type AuditEvent, claimedSequence, readEvent, readLine } from "../../audit/index.js";
import { DbError } from "../../base/errors.js";
import { Wait } from "../../base/wait.js";
import type { Member } from "../../cluster/contract.js";
import { canonicalJsonb } from "../../model/json.js";
import type { ObjectId } from "../../model/schema.js";
import type { Value } from "../../model/value.js";
import { admitReader, checkOf, pieceOf } from "../audit-read.js";
import { postgresEpochMs } from "../eval-context.js";
import type { ServerSession } from "../session.js";
import { rowOf } from "./registry.js";

type Rows = Iterable<readonly Value[]>;

/** The node that is asked comes first; those that were removed are not reachable for ever. */
function membersOf({ server }: ServerSession): Member[] {
  const { view, status } = server.admin;
  const others = [...view.members.values()].filter(
    (one) => one.uuid !== status.node && one.state !== "REMOVED",
  );
  const own = view.members.get(status.node);
  return own === undefined ? others : [own, ...others];
}

/** Events as they are read; throws a Wait for a piece that comes from elsewhere, and goes on after it. */
class EventRows implements Iterator<readonly Value[]> {
  readonly #session: ServerSession;
  readonly #relation: ObjectId;
  readonly #members: Member[];
  #place: ChainPlace | number | undefined = 1;
  #lines: string[] = [];
  #at = 0;
  #arrived: { piece: ChainPiece | undefined; error: unknown } | undefined;
  /** Of the node that is asked: events up to here, so that reading its own record of reading ends. */
  readonly #last: number;

  constructor(session: ServerSession, relation: ObjectId) {
    this.#session = session;
    this.#relation = relation;
    this.#members = membersOf(session);
    this.#last = session.server.audit.log.sequence;
  }

  next(): IteratorResult<readonly Value[]> {
    for (;;) {
      const member = this.#members[0];
      if (member === undefined) return { done: true, value: undefined };
      while (this.#at < this.#lines.length) {
        const row = this.#row(member, this.#lines[this.#at]!, this.#lines[this.#at + 1]);
        this.#at++;
        if (row !== undefined) return { done: false, value: row };
      }
      this.#more(member);
    }
  }

  #more(member: Member): void {
    if (this.#place === undefined) {
      this.#members.shift();
      this.#place = 1;
      return;
    }
    const arrived = this.#arrived;
    this.#arrived = undefined;
    if (arrived === undefined) {
      const asked = pieceOf(this.#session.server, member.uuid, this.#place);
      if (asked instanceof Promise) {
        const waiting: { piece: ChainPiece | undefined; error: unknown } = {
          piece: undefined,
          error: undefined,
        };
        this.#arrived = waiting;
        throw new Wait(
          "lock",
          asked.then(
            (piece) => {
              waiting.piece = piece;
            },
            (error: unknown) => {
              waiting.error = error;
            },
          ),
        );
      }
      this.#take(asked);
      return;
    }
    if (arrived.error !== undefined) {
      if (!(arrived.error instanceof DbError)) throw arrived.error;
      // The others' events are there all the same; who must have this one's asks for it by name.
      this.#session.notice({
        severity: "WARNING",
        sqlstate: arrived.error.sqlstate,
        message: arrived.error.message,
        detail: "Its events are not shown.",
      });
      this.#place = undefined;
      return;
    }
    this.#take(arrived.piece!);
  }

  #take({ text, next }: ChainPiece): void {
    this.#lines = text.split("\n");
    this.#at = 0;
    this.#place = next;
  }

  #row(member: Member, line: string, following: string | undefined): Value[] | undefined {
    const sequence = claimedSequence(line);
    const isOwn = member.uuid === this.#session.server.admin.status.node;
    if (sequence === 0 || (isOwn && sequence > this.#last)) return undefined;
    const read = readLine(line);
    const event = read?.kind === "event" ? readEvent(read.text) : undefined;
    // What is no event any more verification tells of.
    if (read?.kind !== "event" || event === undefined) return undefined;
    const run = following === undefined || following === "" ? undefined : readLine(following);
    return rowOf(this.#relation, {
      node_uuid: member.uuid,
      node_name: member.name,
      ...columnsOf(event),
      canonical_json: read.text,
      prev_event_hash: read.previous === undefined ? null : hexOf(read.previous),
      event_hash: hexOf(read.hash),
      signature: run?.kind === "run" && run.sequence === sequence ? run.signature : null,
    });
  }
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function columnsOf(event: AuditEvent): Record<string, Value> {
  const ms = Date.parse(event.timestamp);
  const micros = Number(/\.\d{3}(\d{3})Z$/.exec(event.timestamp)?.[1] ?? 0);
  return {
    event_sequence: event.event_sequence,
    event_uuid: event.event_uuid,
    event_type: event.event_type,
    severity: event.severity,
    user_uuid: event.user_uuid,
    session_uuid: event.session_uuid,
    event_timestamp: Math.round((ms - postgresEpochMs) * 1000) + micros,
    payload: canonicalJsonb(JSON.stringify(event.payload)),
  };
}

function events(session: ServerSession, relation: ObjectId): Rows {
  admitReader(session, "sys.audit_events");
  return { [Symbol.iterator]: () => new EventRows(session, relation) };
}

function* checkpoints(session: ServerSession, relation: ObjectId): Rows {
  admitReader(session, "sys.audit_checkpoints");
  const { control, admin } = session.server;
  for (const one of control.audit.checkpoints())
    yield rowOf(relation, {
      node_uuid: one.node,
      node_name: admin.view.members.get(one.node)?.name ?? one.node,
      start_sequence: one.first,
      end_sequence: one.last,
      event_count: one.count,
      first_hash: one.firstHash,
      last_hash: one.lastHash,
      merkle_root: one.merkleRoot,
      checkpoint_time: Math.round((one.at - postgresEpochMs) * 1000),
      cert_fingerprint: one.certFingerprint,
      signature: one.signature,
    });
}

/** A row for each chain that is not whole, and for each that cannot be read. */
class FaultRows implements Iterator<readonly Value[]> {
  readonly #session: ServerSession;
  readonly #relation: ObjectId;
  readonly #members: Member[];

  constructor(session: ServerSession, relation: ObjectId) {
    this.#session = session;
    this.#relation = relation;
    this.#members = membersOf(session);
  }

  next(): IteratorResult<readonly Value[]> {
    for (;;) {
      const node = this.#members[0];
      if (node === undefined) return { done: true, value: undefined };
      const found = this.#check(node);
      this.#members.shift();
      if (found !== undefined) return { done: false, value: found };
    }
  }

  #check(node: Member): Value[] | undefined {
    const row = (sequence: number | null, kind: string, reason: string): Value[] =>
      rowOf(this.#relation, {
        node_uuid: node.uuid,
        node_name: node.name,
        event_sequence: sequence,
        kind,
        reason,
      });
    try {
      const fault = checkOf(this.#session, { node, start: 1, end: undefined });
      return fault && row(fault.sequence, fault.kind, fault.reason);
    } catch (thrown) {
      if (!(thrown instanceof DbError && thrown.condition === "cannotConnectNow")) throw thrown;
      return row(null, "UNREACHABLE", thrown.message);
    }
  }
}

function faults(session: ServerSession, relation: ObjectId): Rows {
  admitReader(session, "sys.verify_audit_chain_detail");
  return { [Symbol.iterator]: () => new FaultRows(session, relation) };
}

export const auditRelations: Readonly<Record<string, (session: ServerSession, relation: ObjectId) => Rows>> =
  {
    audit_events: events,
    audit_log: events,
    audit_checkpoints: checkpoints,
    verify_audit_chain_detail: faults,
  };
