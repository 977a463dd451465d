/**
 * Checkpoints of this node's chain (AUD-14): each hour, and each thousand administrative events, the stretch since the last
 * one is read back, verified, put into a Merkle tree, signed and proposed to the cluster, which keeps it where this node
 * cannot change it.
 *
 * Invariants: a checkpoint is made of what is on the disk, not of what is remembered: so each one is a check of the chain,
 * and a chain that is not whole takes no more events. Only durable events are in one; where nothing is new there is none.
 */
import {
  type AuditLog,
  ChainVerifier,
  emptyChain,
  MerkleRoot,
  placeOf,
  type RunSigner,
  readPiece,
} from "../audit/index.js";
import { DbError } from "../base/errors.js";
import type { AuditCheckpoint } from "../cluster/contract.js";
import { type ControlPlane, checkpointDigest } from "../cluster/index.js";
import { durationMs } from "../cluster/settings.js";
import type { Clock, Disk, Timer } from "../platform/index.js";
import type { Audit } from "./audit.js";

const eventsPerCheckpoint = 1000;
const lookMs = 5_000;
/** After one that could not be made. */
const retryMs = 60_000;

export interface AuditCheckpointsOptions {
  readonly audit: Audit;
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly node: string;
  readonly signer: () => RunSigner;
  /** A checkpoint could not be made; the next look tries again. */
  readonly onTrouble: (what: string, error: unknown) => void;
}

export class AuditCheckpoints {
  readonly #options: AuditCheckpointsOptions;
  #timer: Timer | undefined;
  #stopped = false;
  #administrative = 0;
  #running = false;
  /** `clock.monotonic` before which nothing is tried again. */
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(options: AuditCheckpointsOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    this.#timer = this.#options.clock.after(lookMs, () => {
      void this.#look().finally(() => this.start());
    });
  }
  /** One that is under way is given up: nobody waits for a quorum to stop. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  get isDue(): boolean {
    const { audit, control, clock, node } = this.#options;
    const last = control.audit.lastOf(node);
    // Of itself a checkpoint makes an event; that alone is no reason for the next one.
    const fresh = audit.log.durableSequence - (last?.last ?? 0);
    if (fresh <= 1 || audit.log.problem !== undefined) return false;
    if (audit.administrative - this.#administrative >= eventsPerCheckpoint) return true;
    return clock.now() - (last?.at ?? 0) >= durationMs(control.cluster.setting("audit.checkpoint_interval"));
  }

  async #look(): Promise<void> {
    const { clock } = this.#options;
    if (this.#stopped || clock.monotonic() < this.#notBefore || !this.isDue) return;
    try {
      await this.run();
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      this.#notBefore = clock.monotonic() + retryMs;
      if (!this.#stopped) this.#options.onTrouble("an audit checkpoint was not made", error);
    }
  }

  /** One now, over all that is durable. @throws DbError XX001 (the chain is broken), or as `ControlPlane.propose` */
  async run(): Promise<AuditCheckpoint | undefined> {
    if (this.#running) return undefined;
    this.#running = true;
    try {
      return await this.#make();
    } finally {
      this.#running = false;
    }
  }

  async #make(): Promise<AuditCheckpoint | undefined> {
    const { audit, control, clock, node, signer } = this.#options;
    const { administrative } = audit;
    const { log } = audit;
    const before = control.audit.lastOf(node);
    const first = (before?.last ?? 0) + 1;
    const last = log.durableSequence;
    if (last < first) return undefined;
    log.sign();
    log.flush();
    const facts = await this.#read(log, first, last, before?.lastHash);
    const { certFingerprint, sign } = signer();
    const content = {
      node,
      first,
      last,
      count: last - first + 1,
      ...facts,
      at: Math.floor(clock.now()),
      certFingerprint,
    };
    const digest = checkpointDigest(control.cluster.clusterUuid, content);
    const checkpoint: AuditCheckpoint = { ...content, signature: sign(digest) };
    await control.propose({ type: "auditCheckpoint", checkpoint });
    this.#administrative = administrative;
    audit.note("CHECKPOINT_CREATED", {
      first_sequence: first,
      last_sequence: last,
      merkle_root: facts.merkleRoot,
    });
    return checkpoint;
  }

  async #read(
    log: AuditLog,
    first: number,
    last: number,
    before: string | undefined,
  ): Promise<Pick<AuditCheckpoint, "firstHash" | "lastHash" | "merkleRoot">> {
    const { control, clock, disk, node, audit } = this.#options;
    const tree = new MerkleRoot();
    let firstHash = "";
    let lastHash = "";
    const verifier = new ChainVerifier({
      cluster: control.cluster.clusterUuid,
      node,
      from: before === undefined ? emptyChain : { sequence: first - 1, hash: Buffer.from(before, "hex") },
      keyOf: (certificate) => control.cluster.nodeKey(node, certificate),
      verify: audit.verify,
      onEvent: ({ event_sequence }, hash) => {
        if (event_sequence > last) return;
        tree.add(hash);
        lastHash = Buffer.from(hash).toString("hex");
        if (event_sequence === first) firstHash = lastHash;
      },
    });
    for (let place = placeOf(disk, first); place !== undefined && verifier.head.sequence < last; ) {
      const { text, next } = readPiece(disk, place);
      const skipped = verifier.head.sequence === first - 1 ? startOf(text, first) : 0;
      if (skipped >= 0 && !verifier.take(text.slice(skipped))) break;
      place = next;
      await (clock.turn?.() ?? clock.yield());
      if (this.#stopped) throw new DbError("adminShutdown", "the node is stopping");
    }
    const { fault } = verifier;
    if (fault === undefined && verifier.head.sequence >= last)
      return { firstHash, lastHash, merkleRoot: Buffer.from(tree.root()).toString("hex") };
    const reason =
      fault === undefined ? `it ends with event ${verifier.head.sequence}` : `${fault.kind}: ${fault.reason}`;
    log.refuse(`it was changed on the disk: ${reason}`);
    throw new DbError("dataCorrupted", "the audit chain on the disk is not what was written", {
      detail: reason,
    });
  }
}

/** Where the line of that event begins; -1: it does not. */
function startOf(text: string, sequence: number): number {
  const at = text.indexOf(`{"event_sequence":${sequence},`);
  if (at < 0) return sequence === 1 ? 0 : -1;
  return sequence === 1 ? 0 : text.lastIndexOf("\n", at) + 1;
}
