/**
 * Reading and verifying audit chains from SQL (AUD-10, 16, 21): this node's own from its files, others' piece by piece from
 * where they are.
 *
 * Invariants: only a superuser or an AUDITOR reads, and reading is told of in the chain; nothing is believed of a chain but
 * what its hashes and signatures say, and what the cluster was told of it: keys, checkpoints, newest events. A check holds
 * the loop for one piece at a time.
 */
import {
  type AuditFault,
  type ChainHead,
  type ChainPiece,
  type ChainPlace,
  ChainVerifier,
  claimedSequence,
  emptyChain,
  placeOf,
  readLine,
  readPiece,
} from "../audit/index.js";
import { DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { Member } from "../cluster/contract.js";
import type { Wide } from "../model/value.js";
import { requirePrivilege } from "./cluster-call.js";
import type { Server } from "./server.js";
import type { ServerSession } from "./session.js";

/** An event whose clock was further ahead than this when it was verified is not plausible (THR-7). */
const aheadMs = 24 * 3_600_000;

/** Who reads may, and is told of: once for a client's call. */
const told = new WeakMap<ServerSession, { call: number; readonly what: Set<string> }>();

/** @throws DbError insufficientPrivilege (42501) */
export function admitReader(session: ServerSession, what: string): void {
  requirePrivilege(session, "AUDITOR");
  let known = told.get(session);
  if (known?.call !== session.calls) told.set(session, (known = { call: session.calls, what: new Set() }));
  if (known.what.has(what)) return;
  known.what.add(what);
  session.server.audit.note("AUDIT_READ", { resource: what, user: session.role.name }, session);
}

/** The next piece of a node's chain; of this one at once. @throws DbError cannotConnectNow (57P03) */
export function pieceOf(
  server: Server,
  node: string,
  from: ChainPlace | number,
): ChainPiece | Promise<ChainPiece> {
  const { audit, admin } = server;
  if (node === admin.status.node) {
    audit.log.flush();
    const place = typeof from === "number" ? placeOf(server.disk, from) : from;
    return place === undefined ? { text: "", next: undefined } : readPiece(server.disk, place);
  }
  if (audit.remote === undefined) return Promise.reject(unreachable(server, node));
  return audit.remote(node, from);
}

function unreachable(server: Server, node: string): DbError {
  const name = server.admin.view.members.get(node)?.name ?? node;
  return new DbError("cannotConnectNow", `the audit chain of node ${name} cannot be read`, {
    detail: "The node is not reachable from here.",
    hint: "Try again once it is up, or connect to it.",
  });
}

// --- verifying -------------------------------------------------------------------------------------------------------

export interface Range {
  readonly node: Member;
  readonly start: number;
  /** Undefined: as far as the chain goes. */
  readonly end: number | undefined;
}

/** The first fault; undefined: the chain is whole. @throws DbError 57P03: it cannot be read */
export async function verifyRange(
  server: Server,
  { node, start, end }: Range,
): Promise<AuditFault | undefined> {
  const { control, audit, clock } = server;
  const known = new Map<number, Uint8Array>();
  const checkpoints = control.audit.checkpointsOf(node.uuid);
  for (const { last, lastHash } of checkpoints) known.set(last, Buffer.from(lastHash, "hex"));
  const newest = control.audit.headOf(node.uuid);
  if (newest !== undefined) known.set(newest.sequence, Buffer.from(newest.hash, "hex"));
  const vouched = known.get(start - 1);
  const wanted = new Map([...known].filter(([at]) => at >= start && (end === undefined || at <= end)));
  let verifier: ChainVerifier | undefined;
  let implausible: AuditFault | undefined;
  const begin = (from: ChainHead): ChainVerifier =>
    new ChainVerifier({
      cluster: control.cluster.clusterUuid,
      node: node.uuid,
      from,
      keyOf: (certificate) => control.cluster.nodeKey(node.uuid, certificate),
      verify: audit.verify,
      known: wanted,
      onEvent: ({ event_sequence, timestamp }) => {
        const at = Date.parse(timestamp);
        if (!(at <= clock.now() + aheadMs))
          implausible ??= {
            kind: "MALFORMED",
            sequence: event_sequence,
            reason: `event ${event_sequence} is of a time that has not come yet`,
          };
      },
    });
  if (start === 1) verifier = begin(emptyChain);
  else if (vouched !== undefined) verifier = begin({ sequence: start - 1, hash: vouched });
  let place: ChainPlace | number | undefined = Math.max(1, start - 1);
  while (place !== undefined) {
    const piece: ChainPiece = await pieceOf(server, node.uuid, place);
    let at = 0;
    while (at < piece.text.length) {
      const lineEnd = piece.text.indexOf("\n", at);
      const line = lineEnd < 0 ? piece.text.slice(at) : piece.text.slice(at, lineEnd + 1);
      at += line.length;
      if (
        verifier === undefined ||
        verifier.head.sequence < start - 1 ||
        verifier.head.sequence === start - 1
      ) {
        const sequence = claimedSequence(line);
        // The event before gives the hash to begin with (AUD-12); the signatures before it are not asked about.
        if (sequence !== 0 && sequence < start) {
          const read = sequence === start - 1 ? readLine(line.trimEnd()) : undefined;
          if (read?.kind === "event") verifier ??= begin({ sequence, hash: read.hash });
          continue;
        }
        if (sequence === 0 && (verifier === undefined || (start > 1 && line.startsWith("S ")))) continue;
        verifier ??= begin({ sequence: start - 1, hash: undefined });
      }
      if (!verifier.take(line)) return verifier.fault;
      if (implausible !== undefined) return implausible;
      if (end !== undefined && verifier.signedTo >= end) return undefined;
    }
    place = piece.next;
    await (clock.turn?.() ?? clock.yield());
  }
  const reached = verifier?.head.sequence ?? 0;
  const expected = Math.max(end ?? 0, ...wanted.keys());
  if (reached < expected)
    return {
      kind: "CUT_OFF",
      sequence: reached + 1,
      reason: `the chain ends with event ${reached}, and event ${expected} is asked for or known to have been there`,
    };
  return undefined;
}

// --- verify_audit_chain() --------------------------------------------------------------------------------------------

interface Check {
  readonly ready: Promise<void>;
  done: boolean;
  fault: AuditFault | undefined;
  error: unknown;
}
/** Of a client's call: expressions are evaluated anew after each wait, and must find what was checked for them. */
const checks = new WeakMap<ServerSession, { readonly call: number; readonly byRange: Map<string, Check> }>();

/** Waits by throwing a Wait. @throws DbError 57P03 */
export function checkOf(session: ServerSession, range: Range): AuditFault | undefined {
  let known = checks.get(session);
  if (known?.call !== session.calls) {
    known = { call: session.calls, byRange: new Map() };
    checks.set(session, known);
  }
  const key = `${range.node.uuid} ${range.start} ${range.end}`;
  let check = known.byRange.get(key);
  if (check === undefined) {
    const one: Check = {
      ready: verifyRange(session.server, range).then(
        (fault) => {
          one.done = true;
          one.fault = fault;
        },
        (error: unknown) => {
          one.done = true;
          one.error = error;
        },
      ),
      done: false,
      fault: undefined,
      error: undefined,
    };
    check = one;
    known.byRange.set(key, check);
  }
  if (!check.done) throw new Wait("lock", check.ready);
  if (check.error !== undefined) throw check.error;
  return check.fault;
}

/** @throws DbError 42501, 42704 (no such node), 22023 (no such range), 57P03 (it cannot be read); Wait */
export function verifyAuditChain(
  session: ServerSession,
  start: Wide | null,
  end: Wide | null,
  node: string | null,
): boolean {
  admitReader(session, "verify_audit_chain");
  const { view, status } = session.server.admin;
  const member = view.memberByName(node ?? status.node);
  if (member === undefined)
    throw new DbError("undefinedObject", `node "${node ?? status.node}" does not exist`, {
      hint: "SHOW CLUSTER NODES lists them.",
    });
  const from = start === null ? 1 : Number(start);
  const to = end === null ? undefined : Number(end);
  if (
    from < 1 ||
    !Number.isSafeInteger(from) ||
    (to !== undefined && (to < from || !Number.isSafeInteger(to)))
  )
    throw new DbError(
      "invalidParameterValue",
      "a range of audit events begins at 1 or later, and ends behind its begin",
    );
  return checkOf(session, { node: member, start: from, end: to }) === undefined;
}
