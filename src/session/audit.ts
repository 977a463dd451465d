/**
 * What a node's sessions, its wire and its part in the cluster tell of themselves, as events of its audit chain (spec/10).
 *
 *     server.audit.event("CERTIFICATE_ISSUED", { serial, subject }, session)     // throws when it cannot be written
 *     server.audit.note("LOGIN_FAILURE", { username, ip_address })               // goes on, and is counted
 *     const head = await server.audit.written("CLUSTER_ADMIN", { ... }, session) // durable: now it may be done
 *
 * Invariants: an administrative action is proposed only behind its event, which is durable then, and nothing is proposed when
 * the event cannot be written (AUD-8, THR-23). What every session does all day goes on when the chain takes nothing more:
 * log-ins and reads are counted and told of in the log, audited changes fail. No secret is in an event: texts of
 * statements come in by `redacted` alone, parameters not at all.
 */
import { hash as hashWith } from "node:crypto";
import {
  type AuditLog,
  auditEvents,
  type Canonical,
  type ChainPiece,
  type ChainPlace,
  canonicalJson,
  type EventType,
  wellFormed,
} from "../audit/index.js";
import { DbError } from "../base/errors.js";
import type { AuditHead, BundleStamp, VerifySignature } from "../cluster/contract.js";
import type { ControlPlane } from "../cluster/index.js";
import type { ObjectId } from "../model/schema.js";
import { uuidFromBytes } from "../model/uuid.js";
import { Repeats } from "../observe/index.js";
import type { Clock, Random } from "../platform/index.js";
import { redacted } from "./redact.js";

export type AuditPayload = { readonly [key: string]: Canonical | undefined };

/** Who did it; a session says it of itself. */
export interface AuditActor {
  readonly userUuid: string | null;
  readonly sessionUuid: string | null;
}
const nobody: AuditActor = { userUuid: null, sessionUuid: null };

export interface AuditOptions {
  readonly log: AuditLog;
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly random: Random;
  readonly critical: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly verify: VerifySignature;
  /** Pieces of another node's chain. @throws DbError 57P03: it cannot be reached */
  readonly remote?: RemotePieces | undefined;
}

/** `from`: a place that a piece has named as its next, or the sequence of an event. */
export type RemotePieces = (node: string, from: ChainPlace | number) => Promise<ChainPiece>;

/** Characters of a statement's text: longer ones are cut, with their whole hash and length. */
const textMax = 64 << 10;
const troubleEveryMs = 60_000;
/** Refusals of one kind from one address are told at once, and then counted for so long. */
const refusalsMs = 60_000;
const mismatchesMs = 60_000;
const mismatchPairsMax = 8;
const refusalKindsMax = 1000;
/** Of certificates shown from one address and refused for one reason. */
const refusalVariantsMax = 8;

export interface RefusedPeers {
  readonly condition: string;
  readonly message: string;
  readonly node: string | undefined;
  /** Of the certificate that was shown. */
  readonly fingerprint: string | undefined;
  readonly address: string;
  readonly count: number;
}

export class Audit {
  readonly log: AuditLog;
  readonly verify: VerifySignature;
  readonly remote: RemotePieces | undefined;
  readonly #options: AuditOptions;
  readonly #userUuids = new Map<ObjectId, string>();
  #toldAt = Number.NEGATIVE_INFINITY;
  #queriesVersion = -1;
  #queries = false;
  readonly #refusals: Repeats<AuditPayload>;
  /** By member: since when, of which bundles it was told that they differ, and how often it was met without being told. */
  readonly #mismatches = new Map<
    string,
    { readonly at: number; readonly pairs: Set<string>; count: number }
  >();
  /** Of administrative events, since start. */
  administrative = 0;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.log = options.log;
    this.verify = options.verify;
    this.remote = options.remote;
    this.#refusals = new Repeats<AuditPayload>({
      clock: options.clock,
      everyMs: refusalsMs,
      kindsMax: refusalKindsMax,
      variantsMax: refusalVariantsMax,
      others: {
        condition: "OTHERS",
        reason: "connections were refused from more addresses than are counted apart",
      },
      tell: (payload, count) => this.note("PEER_REFUSED", { ...payload, count }),
    });
  }

  /** Whether every statement is audited (audit.audit_all_queries). */
  get queries(): boolean {
    const { cluster } = this.#options.control;
    if (cluster.version !== this.#queriesVersion) {
      this.#queriesVersion = cluster.version;
      this.#queries = cluster.setting("audit.audit_all_queries") === "on";
    }
    return this.#queries;
  }

  // --- who -----------------------------------------------------------------------------------------------------------

  /** Roles have numbers; in events they have uuids that are theirs in all of the cluster. */
  userUuid(role: ObjectId): string {
    let uuid = this.#userUuids.get(role);
    if (uuid === undefined) {
      uuid = roleUuid(this.#options.control.cluster.clusterUuid, role);
      this.#userUuids.set(role, uuid);
    }
    return uuid;
  }
  /** UUID v4: a session's own name in events. */
  newSessionUuid(): string {
    const bytes = new Uint8Array(16);
    this.#options.random.fill(bytes);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    return uuidFromBytes(bytes);
  }

  // --- events --------------------------------------------------------------------------------------------------------

  /** @throws DbError 58030, 53100: it could not be written */
  event(type: EventType, payload: AuditPayload, who: AuditActor = nobody): AuditHead {
    const { severity, administrative } = auditEvents[type];
    const { log } = this;
    const sequence = log.append(type, severity, who.userUuid, who.sessionUuid, payloadText(payload));
    if (administrative) this.administrative++;
    return { sequence, hash: log.hashText };
  }

  /** For what goes on all the same: that it could not be written is counted, and told of in the log. */
  note(type: EventType, payload: AuditPayload, who: AuditActor = nobody): void {
    try {
      this.event(type, payload, who);
    } catch (error) {
      this.#trouble(error, type);
    }
  }

  /** The event is durable when this resolves. @throws DbError as `event` */
  async written(type: EventType, payload: AuditPayload, who: AuditActor = nobody): Promise<AuditHead> {
    // A buffer that is full for a moment is no reason to refuse an administrator.
    if (this.log.isPressed) await this.log.progress();
    const head = this.event(type, payload, who);
    await this.log.durable(head.sequence);
    return head;
  }

  /** What was told of by `head`, and was not done; or nobody knows. */
  undone(head: AuditHead, error: unknown, who: AuditActor = nobody): void {
    const open = error instanceof DbError && error.condition === "transactionResolutionUnknown";
    this.note(
      open ? "ACTION_UNKNOWN" : "ACTION_FAILED",
      { event_sequence: head.sequence, sqlstate: error instanceof DbError ? error.sqlstate : "XX000" },
      who,
    );
  }

  /** All that is told until now; undefined: it is durable, or never will be. */
  recorded(): Promise<void> | undefined {
    const { log } = this;
    if (log.problem !== undefined || log.durableSequence >= log.sequence) return undefined;
    return log.durable(log.sequence);
  }

  #trouble(error: unknown, type: string): void {
    if (!(error instanceof DbError)) throw error;
    // Who leaves a node that stops is told of by its stop.
    if (this.log.isStopped) return;
    const now = this.#options.clock.monotonic();
    if (now - this.#toldAt < troubleEveryMs) return;
    this.#toldAt = now;
    this.#options.critical("an event could not be written into the audit chain", { type, error });
  }

  // --- statements ----------------------------------------------------------------------------------------------------

  /**
   * A statement that has run. Nothing is made for it but its line.
   * @throws DbError 58030, 53100: of a statement that changes something, and so fails
   */
  query(modifies: boolean, textHash: string, rows: number, ms: number, who: AuditActor): void {
    const payload = `{"duration_ms":${ms < 0 ? 0 : Math.round(ms)},"query_hash":"${textHash}","rows_affected":${rows}}`;
    try {
      this.log.append(
        modifies ? "DML_EXECUTED" : "QUERY_EXECUTED",
        "INFO",
        who.userUuid,
        who.sessionUuid,
        payload,
      );
    } catch (error) {
      if (modifies) throw error;
      this.#trouble(error, "QUERY_EXECUTED");
    }
  }

  /**
   * A statement that begins to use what is audited for itself, whatever becomes of it.
   * @throws DbError 58030, 53100: of a statement that changes something, and so fails
   */
  use(modifies: boolean, payload: AuditPayload, who: AuditActor): void {
    if (modifies) this.event("DML_EXECUTED", payload, who);
    else this.note("QUERY_EXECUTED", payload, who);
  }

  // --- peers ---------------------------------------------------------------------------------------------------------

  /** Connections that were refused. Whoever knocks again and again is counted, not written down each time. */
  peerRefused(port: string, { condition, message, node, fingerprint, address, count }: RefusedPeers): void {
    const from = address.replace(/:\d+$/, "");
    const payload = {
      port,
      condition,
      reason: message,
      node: node ?? null,
      fingerprint: fingerprint ?? null,
    };
    this.#refusals.note(
      { ...payload, ip_address: from },
      `${port} ${condition} ${from}`,
      fingerprint ?? node ?? "",
      count,
    );
  }

  /** Answers whether it is news: of one member and pair of bundles once a minute, and of few pairs. */
  bundleMismatch(node: string, own: BundleStamp, theirs: BundleStamp): boolean {
    const now = this.#options.clock.monotonic();
    const pair = `${own.hash} ${theirs.version} ${theirs.hash}`;
    let known = this.#mismatches.get(node);
    const missed = known?.count ?? 0;
    if (known === undefined || now - known.at >= mismatchesMs) {
      known = { at: now, pairs: new Set(), count: 0 };
      this.#mismatches.set(node, known);
    } else if (known.pairs.has(pair) || known.pairs.size >= mismatchPairsMax) {
      known.count++;
      return false;
    }
    known.pairs.add(pair);
    known.count = 0;
    this.note("SECURITY_BUNDLE_MISMATCH", {
      node,
      own_version: own.version,
      own_hash: own.hash,
      their_version: theirs.version,
      their_hash: theirs.hash,
      count: 1 + missed,
    });
    return true;
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#refusals.stop();
    this.log.stop();
  }
}

/** A uuid (version 8) that follows from the cluster's and the role's number. */
export function roleUuid(cluster: string, role: ObjectId): string {
  const bytes = hashWith("sha256", `${cluster} role ${role}`, "buffer").subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return uuidFromBytes(bytes);
}

/** SHA-256 of a statement's text, hexadecimal (AUD-18). */
export function statementHash(sql: string): string {
  return hashWith("sha256", sql, "hex");
}

/** What of a statement's text is kept: without secrets, and with a bound. */
export function statementText(sql: string): AuditPayload {
  const text = redacted(sql);
  if (text.length <= textMax) return { sql_text: text };
  return { sql_text: text.slice(0, textMax), sql_length: sql.length, sql_hash: statementHash(text) };
}

function payloadText(payload: AuditPayload): string {
  return canonicalJson(cleaned(payload));
}
/** Clients may send what has no UTF-8. */
function cleaned(value: Canonical | undefined): Canonical {
  if (typeof value === "string") return wellFormed(value);
  if (typeof value !== "object" || value === null) return value ?? null;
  if (Array.isArray(value)) return value.map(cleaned);
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, one]) =>
      one === undefined ? [] : [[wellFormed(key), cleaned(one)]],
    ),
  );
}
