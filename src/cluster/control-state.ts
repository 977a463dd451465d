/**
 * Everything that the consensus log makes: catalog, members, epochs, settings; and which proposals have been applied. The
 * control worker and the main thread each hold one, and apply the same entries to it.
 *
 * A proposer that has lost its leader hands the same proposal to the next one, and both copies may reach the log. So every
 * proposal has a number in its proposer's stream (Ongaro 2014, 6.3), and the second copy does nothing.
 *
 * Invariants: the same entries make the same state, byte for byte in `save`; a proposal is applied once; one of an earlier
 * start of its node is not applied behind one of a later start. Whatever bytes an entry has, it is applied or refused, and
 * nothing is thrown.
 */
import { DbError } from "../base/errors.js";
import { sharedByBytes } from "../base/shared.js";
import type { VirtualTableDesc } from "../model/schema.js";
import { firstUserObjectId } from "../model/schema.js";
import { AuditState, type SavedAudit } from "./audit-state.js";
import { ClusterState, errorOf } from "./cluster-state.js";
import { changeProblem, commandProblem, isAuditHead, isOrigin, snapshotProblem } from "./commands.js";
import type {
  AuditCheckpoint,
  AuditHead,
  ClusterChange,
  ClusterCommand,
  ErrorRecord,
  Member,
  Origin,
  Pki,
  VerifySignature,
} from "./contract.js";
import { servesClients } from "./membership.js";
import { type Command as CatalogCommand, CatalogState } from "./state.js";

export type ControlCommand = CatalogCommand | ClusterCommand;
/** An entry that is none: unreadable, malformed, or of a newer version. */
export interface RefusedCommand {
  readonly type: "refused";
  readonly error: ErrorRecord;
}

/** What an entry of the log holds. `epochs` has an origin for each of its epochs. */
interface Envelope {
  readonly o?: readonly [stream: number, boot: number, number: number] | undefined;
  readonly c: ControlCommand;
  /** An event of the proposer's audit chain that tells of the command. */
  readonly a?: AuditHead | undefined;
}

export function encodeProposal(command: ControlCommand, origin?: Origin, audit?: AuditHead): Uint8Array {
  const envelope: Envelope = {
    ...(origin !== undefined && { o: [origin.stream, origin.boot, origin.number] as const }),
    c: command,
    ...(audit !== undefined && { a: audit }),
  };
  return Buffer.from(JSON.stringify(envelope));
}

interface Proposal {
  readonly command: ControlCommand | RefusedCommand;
  readonly origin: Origin | undefined;
  readonly audit: AuditHead | undefined;
}

/** Of any bytes. What is no command is refused here, before anybody looks into it. */
export const decodeProposal = sharedByBytes((bytes): Proposal => {
  const value = parsed(bytes);
  const { o, c, a } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const origin = o === undefined ? undefined : originOf(o);
  const audit = isAuditHead(a) ? a : undefined;
  const isUnreadable = (o !== undefined && origin === undefined) || (a !== undefined && (!audit || !origin));
  const error = commandProblem(c) ?? (isUnreadable ? unreadable : undefined);
  return { command: error === undefined ? (c as ControlCommand) : { type: "refused", error }, origin, audit };
});

const unreadable: ErrorRecord = {
  condition: "invalidParameterValue",
  message: "the origin of an entry, or the audit event behind it, cannot be read",
  detail: "MALFORMED: nothing was changed.",
};

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

function originOf(value: unknown): Origin | undefined {
  const [stream, boot, number, ...rest] = Array.isArray(value) ? (value as unknown[]) : [];
  const origin = { stream, boot, number };
  return rest.length === 0 && isOrigin(origin) ? origin : undefined;
}

function isOwn({ stream }: Origin, { raftId }: Member): boolean {
  return Math.floor(stream / 2) === raftId;
}

/** What the state of its proposer says against a proposal. */
export interface StateRefusal {
  readonly origin: Origin;
  readonly error: DbError;
}

/** What became of one proposal. */
export interface Outcome {
  readonly origin: Origin | undefined;
  readonly error: DbError | undefined;
}

/** Numbers further behind the newest than this are taken for applied: what is so late was given up long ago. */
const window = 10_000;

interface Stream {
  boot: number;
  /** All up to here are applied or given up. */
  low: number;
  above: Set<number>;
}

export class ControlState {
  readonly catalog: CatalogState;
  readonly cluster: ClusterState;
  readonly audit = new AuditState();
  readonly #verify: VerifySignature;
  readonly #streams = new Map<number, Stream>();

  constructor(virtuals: Iterable<VirtualTableDesc>, pki: Pki) {
    this.catalog = new CatalogState(virtuals, firstUserObjectId);
    this.cluster = new ClusterState(pki);
    this.#verify = pki.verify;
  }

  /** Applies an entry; one outcome for each of its proposals, none for those that were applied before. */
  apply(bytes: Uint8Array): Outcome[] {
    const { command, origin, audit } = decodeProposal(bytes);
    return this.applyCommand(command, origin, audit);
  }

  /** Of what `decodeProposal` has passed. */
  applyCommand(
    command: ControlCommand | RefusedCommand,
    origin: Origin | undefined,
    audit?: AuditHead,
  ): Outcome[] {
    if (command.type === "epochs")
      return command.entries.flatMap((entry) => {
        // Each has its own answer, also the one that cannot be read.
        const { origin: claimed, audit: head } = (
          typeof entry === "object" && entry !== null ? entry : {}
        ) as Readonly<Record<string, unknown>>;
        const asked = isOrigin(claimed) ? claimed : undefined;
        return this.#once(asked, () => {
          if (asked !== undefined && isAuditHead(head)) this.#noteAudit(asked, head);
          return this.cluster.applyEpoch(entry).error;
        });
      });
    return this.#once(origin, () => {
      if (origin !== undefined && audit !== undefined) this.#noteAudit(origin, audit);
      switch (command.type) {
        case "refused":
          return command.error;
        case "catalog":
        case "abort":
        case "resolved":
          return this.catalog.apply(command).error;
        case "auditCheckpoint":
          return this.#applyCheckpoint(command.checkpoint, origin);
        default:
          return this.cluster.apply(command).error;
      }
    });
  }

  #noteAudit({ stream }: Origin, head: AuditHead): void {
    const member = this.cluster.memberByRaftId(Math.floor(stream / 2));
    if (member !== undefined) this.audit.noteHead(member.uuid, head);
  }

  #applyCheckpoint(checkpoint: AuditCheckpoint, origin: Origin | undefined): ErrorRecord | undefined {
    const member = this.cluster.members.get(checkpoint.node);
    if (member === undefined || origin === undefined || !isOwn(origin, member)) return nobodys;
    const key = this.cluster.nodeKey(checkpoint.node, checkpoint.certFingerprint);
    return this.audit.apply(checkpoint, this.cluster.clusterUuid, key, this.#verify);
  }

  #once(origin: Origin | undefined, apply: () => DbError | ErrorRecord | undefined): Outcome[] {
    if (origin !== undefined && !this.#isMembers(origin)) return [{ origin, error: errorOf(nobodys) }];
    if (origin !== undefined && !this.#isNew(origin)) return [];
    const error = apply();
    return [{ origin, error: error === undefined || error instanceof DbError ? error : errorOf(error) }];
  }

  /** Streams are kept for ever: only a member has one. */
  #isMembers({ stream }: Origin): boolean {
    const raftId = Math.floor(stream / 2);
    return this.cluster.latest === undefined || (raftId > 0 && raftId < this.cluster.nextRaftId);
  }

  /** Whether the proposal has been applied, or refused when it was applied, or is of a start that is over. */
  knows({ stream: id, boot, number }: Origin): boolean {
    const stream = this.#streams.get(id);
    if (stream === undefined || boot > stream.boot) return false;
    return boot < stream.boot || number <= stream.low || stream.above.has(number);
  }

  #isNew({ stream: id, boot, number }: Origin): boolean {
    let stream = this.#streams.get(id);
    if (stream === undefined || boot > stream.boot) {
      stream = { boot, low: 0, above: new Set() };
      this.#streams.set(id, stream);
    }
    if (boot < stream.boot || number <= stream.low || stream.above.has(number)) return false;
    stream.above.add(number);
    stream.low = Math.max(stream.low, number - window);
    while (stream.above.delete(stream.low + 1)) stream.low++;
    if (stream.above.size > window)
      for (const one of stream.above) if (one <= stream.low) stream.above.delete(one);
    return true;
  }

  /**
   * Why the leader takes no such proposal from that node: who somebody is, his certificate says (MEM-10), and epochs are the
   * leader's own work. Undefined: nothing is wrong with it.
   */
  foreignProposal(node: string, bytes: Uint8Array): DbError | undefined {
    const { command, origin } = decodeProposal(bytes);
    if (command.type === "refused") return errorOf(command.error);
    const leaders = command.type === "genesis" || command.type === "epochs";
    const about =
      command.type === "boot"
        ? command.node
        : command.type === "attest"
          ? command.attestation.node
          : command.type === "sighting"
            ? command.sighting.node
            : command.type === "auditCheckpoint"
              ? command.checkpoint.node
              : node;
    return this.#foreign(node, leaders || about !== node ? undefined : origin);
  }
  foreignChange(node: string, bytes: Uint8Array): DbError | undefined {
    const value = parsed(bytes);
    const problem = changeProblem(value);
    if (problem !== undefined) return errorOf(problem);
    const { origin, change } = value as { readonly origin: Origin; readonly change: ClusterChange };
    // A certificate comes into use where its key is, and nowhere else.
    // But for one that nobody else lets in: its own signature and the token speak for it.
    const isOthers = change.kind === "recertify" && change.node !== node && change.token === undefined;
    return this.#foreign(node, isOthers ? undefined : origin);
  }
  #foreign(node: string, origin: Origin | undefined): DbError | undefined {
    const member = this.cluster.members.get(node);
    if (member === undefined) return new DbError("cannotConnectNow", `node ${node} is not known here yet`);
    if (origin !== undefined && isOwn(origin, member)) return undefined;
    return new DbError(
      "invalidAuthorizationSpecification",
      `node ${member.name} has proposed what is not its own to propose`,
      { detail: "WRONG_SENDER: its certificate says who it is." },
    );
  }

  /**
   * Why the leader takes no such proposal of a member that is not ENABLED, or has no role to serve clients: it may say what it
   * is itself, so that it can come back, and end what it had begun; it has no say in anything else (MEM-9, MEM-15). Of what
   * `foreignProposal` has passed.
   */
  proposalByState(node: string, bytes: Uint8Array): StateRefusal | undefined {
    const member = this.cluster.members.get(node);
    if (member !== undefined && member.state === "ENABLED" && servesClients(member)) return undefined;
    const { command, origin } = decodeProposal(bytes);
    const isOwnWord = command.type === "boot" || command.type === "attest" || command.type === "sighting";
    if (isOwnWord || origin === undefined) return undefined;
    // What a node has done is told also by one that may do nothing any more.
    if (command.type === "auditCheckpoint" && member !== undefined && member.state !== "REMOVED")
      return undefined;
    const ends = command.type === "abort" || command.type === "resolved" || command.type === "effective";
    return ends && member?.state === "ENABLED" ? undefined : this.#byState(node, origin);
  }
  /** The same of a change, where `foreignChange` has passed it. */
  changeByState(node: string, origin: Origin, change: ClusterChange): StateRefusal | undefined {
    const member = this.cluster.members.get(node);
    if (member !== undefined && member.state === "ENABLED" && servesClients(member)) return undefined;
    const isOwn = (change.kind === "setAddresses" || change.kind === "recertify") && change.node === node;
    return isOwn ? undefined : this.#byState(node, origin);
  }
  #byState(node: string, origin: Origin): StateRefusal {
    const member = this.cluster.members.get(node);
    const [state, detail] =
      member?.state === "ENABLED"
        ? ["has no role to serve clients", "WRONG_ROLE: only a COORDINATOR or a SHARD_OWNER may."]
        : [`is ${member?.state ?? "no member"}`, "NOT_ENABLED: only enabled nodes may."];
    // It was out of reach, and comes back by itself: what it asks for waits for that.
    const condition = member?.state === "FAILED" ? "cannotConnectNow" : "objectNotInPrerequisiteState";
    const error = new DbError(condition, `node ${member?.name ?? node} ${state}, and changes nothing`, {
      detail,
      hint: "Connect to another node.",
    });
    return { origin, error };
  }

  save(): Uint8Array {
    const streams = [...this.#streams].map(([id, { boot, low, above }]) => [
      id,
      boot,
      low,
      [...above].filter((one) => one > low).sort((a, b) => a - b),
    ]);
    return Buffer.from(
      JSON.stringify({
        catalog: this.catalog.saved(),
        cluster: this.cluster.save(),
        streams,
        audit: this.audit.save(),
      }),
    );
  }

  /** @throws DbError dataCorrupted (XX001), featureNotSupported (of a newer version): the state is as it was */
  restore(bytes: Uint8Array): void {
    const { value, problem } = readSnapshot(bytes);
    if (problem !== undefined) throw errorOf(problem);
    const saved = value as {
      catalog: unknown;
      cluster: unknown;
      streams: [number, number, number, number[]][];
      audit?: readonly SavedAudit[];
    };
    this.cluster.restore(saved.cluster);
    this.catalog.restoreFrom(saved.catalog);
    this.audit.restore(saved.audit ?? []);
    this.#streams.clear();
    for (const [id, boot, low, above] of saved.streams)
      this.#streams.set(id, { boot, low, above: new Set(above) });
  }
}

/** Both halves of a node restore the same snapshot, and again in each start. */
const readSnapshot = sharedByBytes((bytes) => {
  const value = parsed(bytes);
  return { value, problem: snapshotProblem(value) };
});

const nobodys: ErrorRecord = {
  condition: "invalidParameterValue",
  message: "an entry is of no member",
  detail: "WRONG_SENDER: nothing was changed.",
};
