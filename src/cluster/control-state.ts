/**
 * Everything that the consensus log makes: catalog, members, epochs, settings; and which proposals have been applied. The
 * control worker and the main thread each hold one, and apply the same entries to it.
 *
 * A proposer that has lost its leader hands the same proposal to the next one, and both copies may reach the log. So every
 * proposal has a number in its proposer's stream (Ongaro 2014, 6.3), and the second copy does nothing.
 *
 * Invariants: the same entries make the same state, byte for byte in `save`; a proposal is applied once; one of an earlier
 * start of its node is not applied behind one of a later start.
 */
import type { DbError } from "../base/errors.js";
import type { VirtualTableDesc } from "../model/schema.js";
import { firstUserObjectId } from "../model/schema.js";
import { ClusterState, errorOf } from "./cluster-state.js";
import type { ClusterCommand, ErrorRecord, Origin, VerifySignature } from "./contract.js";
import { CatalogState, type Command as CatalogCommand } from "./state.js";

export type ControlCommand = CatalogCommand | ClusterCommand;

/** What an entry of the log holds. `epochs` has an origin for each of its epochs. */
interface Envelope {
  readonly o?: readonly [stream: number, boot: number, number: number] | undefined;
  readonly c: ControlCommand;
}

export function encodeProposal(command: ControlCommand, origin?: Origin): Uint8Array {
  const envelope: Envelope =
    origin === undefined ? { c: command } : { o: [origin.stream, origin.boot, origin.number], c: command };
  return Buffer.from(JSON.stringify(envelope));
}

export function decodeProposal(bytes: Uint8Array): { command: ControlCommand; origin: Origin | undefined } {
  const { o, c } = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()) as Envelope;
  return { command: c, origin: o === undefined ? undefined : { stream: o[0], boot: o[1], number: o[2] } };
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
  readonly #streams = new Map<number, Stream>();

  constructor(virtuals: Iterable<VirtualTableDesc>, verify: VerifySignature) {
    this.catalog = new CatalogState(virtuals, firstUserObjectId);
    this.cluster = new ClusterState(verify);
  }

  /** Applies an entry; one outcome for each of its proposals, none for those that were applied before. */
  apply(bytes: Uint8Array): Outcome[] {
    const { command, origin } = decodeProposal(bytes);
    return this.applyCommand(command, origin);
  }

  applyCommand(command: ControlCommand, origin: Origin | undefined): Outcome[] {
    if (command.type === "epochs") {
      const outcomes: Outcome[] = [];
      for (const entry of command.entries) {
        if (!this.#isNew(entry.origin)) continue;
        outcomes.push({ origin: entry.origin, error: made(this.cluster.applyEpoch(entry).error) });
      }
      return outcomes;
    }
    if (origin !== undefined && !this.#isNew(origin)) return [];
    switch (command.type) {
      case "catalog":
      case "abort":
      case "resolved":
        return [{ origin, error: this.catalog.apply(command).error }];
      default:
        return [{ origin, error: made(this.cluster.apply(command).error) }];
    }
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
    if (stream.above.size > window) for (const one of stream.above) if (one <= stream.low) stream.above.delete(one);
    return true;
  }

  save(): Uint8Array {
    const streams = [...this.#streams].map(([id, { boot, low, above }]) => [
      id,
      boot,
      low,
      [...above].filter((one) => one > low).sort((a, b) => a - b),
    ]);
    return Buffer.from(
      JSON.stringify({ catalog: this.catalog.saved(), cluster: this.cluster.save(), streams }),
    );
  }

  restore(bytes: Uint8Array): void {
    const saved = JSON.parse(Buffer.from(bytes).toString()) as {
      catalog: unknown;
      cluster: unknown;
      streams: [number, number, number, number[]][];
    };
    this.catalog.restoreFrom(saved.catalog);
    this.cluster.restore(saved.cluster);
    this.#streams.clear();
    for (const [id, boot, low, above] of saved.streams)
      this.#streams.set(id, { boot, low, above: new Set(above) });
  }
}

function made(error: ErrorRecord | undefined): DbError | undefined {
  return error === undefined ? undefined : errorOf(error);
}
