/**
 * The consensus log of a stopped node, rewritten by somebody who has its disk and our code: every checksum is right, and one
 * byte of one epoch is another. What must notice is the epoch's own chain and signature.
 */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import xxhash from "xxhash-wasm";
import { assert } from "../../src/base/errors.js";
import { decodeProposal, encodeProposal } from "../../src/cluster/control-state.js";
import { ControlState } from "../../src/cluster/index.js";
import { hostPki } from "../../src/node-trust.js";
import { HostDisk } from "../../src/platform/host.js";
import { RaftStorage, type Recovered } from "../../src/raft/index.js";

export interface EpochPlace {
  /** Of the entry in the log. */
  readonly index: number;
  /** The entry's data as it was written. */
  readonly data: Uint8Array;
  /** Bytes of the epoch. */
  readonly length: number;
}

async function open(folder: string, name: string): Promise<RaftStorage> {
  return new RaftStorage({ disk: new HostDisk(folder), hash: await xxhash(), folder: name });
}

async function readLog(folder: string): Promise<Recovered> {
  const storage = await open(folder, "raft");
  const { recovered } = storage;
  assert(recovered !== undefined, "a node that ran has a log");
  await storage.close();
  return recovered;
}

const epochsOf = (data: Uint8Array) => {
  const { command, origin } = decodeProposal(data);
  return command.type === "epochs" ? { command, origin } : undefined;
};

/** Where the last committed epoch but one lies: something is built on it. @throws Error when there are too few */
export async function findEpoch(folder: string): Promise<EpochPlace> {
  const { entries, commit } = await readLog(folder);
  const places = entries.flatMap((entry) => {
    if (entry.kind !== "command" || entry.index > commit) return [];
    const { data } = entry;
    const found = epochsOf(data);
    const first = found?.command.entries[0];
    return first === undefined
      ? []
      : [{ index: entry.index, data, length: Buffer.from(first.epoch, "base64").length }];
  });
  const place = places.at(-2);
  if (place === undefined) throw new Error(`the log in ${folder} holds ${places.length} epochs`);
  return place;
}

/** The entry's data with one byte of its first epoch changed. */
function tampered(data: Uint8Array, at: number, mask: number): Uint8Array {
  const found = epochsOf(data);
  assert(found !== undefined, "the entry holds epochs");
  const [first, ...rest] = found.command.entries;
  const bytes = Buffer.from(first!.epoch, "base64");
  bytes[at]! ^= mask;
  return encodeProposal(
    { type: "epochs", entries: [{ ...first!, epoch: bytes.toString("base64") }, ...rest] },
    found.origin,
  );
}

/**
 * Writes the log as it is now anew, with byte `at` of the epoch changed; without `change` with the epoch as it was. The rest of
 * the folder stays: one that is put back is refused for that.
 */
export async function tamperLog(
  folder: string,
  place: EpochPlace,
  change?: { readonly at: number; readonly mask: number },
): Promise<void> {
  const { id, base, hard, commit, entries, snapshot } = await readLog(folder);
  assert(snapshot === undefined, "a short log has no snapshot");
  const draft = await open(folder, "raft-tampered");
  draft.create(id, base);
  const append = entries.map((entry) =>
    entry.kind === "command" && entry.index === place.index
      ? { ...entry, data: change === undefined ? place.data : tampered(place.data, change.at, change.mask) }
      : entry,
  );
  await draft.write([{ hard, append, commit }]);
  await draft.close();
  rmSync(join(folder, "raft"), { recursive: true });
  renameSync(join(folder, "raft-tampered"), join(folder, "raft"));
}

export interface TamperReport {
  /** How many bytes were changed, one at a time. */
  readonly tried: number;
  /** With how many of them for each condition. */
  readonly conditions: ReadonlyMap<string, number>;
  readonly problems: readonly string[];
}

/** Applies the node's own log with each byte of the epoch changed in turn, as a node does when it starts. */
export async function tamperEach(folder: string, place: EpochPlace): Promise<TamperReport> {
  const { entries } = await readLog(folder);
  const conditions = new Map<string, number>();
  const problems: string[] = [];
  const state = new ControlState([], hostPki);
  for (const entry of entries)
    if (entry.kind === "command" && entry.index < place.index) state.apply(entry.data);
  const before = state.save();
  const epochs = state.cluster.epochs.length;
  for (let at = 0; at < place.length; at++) {
    const refusedBefore = state.cluster.refusedEpochs;
    state.apply(tampered(place.data, at, 1 << (at % 8)));
    const refused = state.cluster.refusedEpochs.filter((one) => !refusedBefore.includes(one));
    if (state.cluster.epochs.length !== epochs || refused.length === 0)
      problems.push(`byte ${at} of an epoch was changed, and the epoch was taken`);
    for (const { condition } of refused) conditions.set(condition, (conditions.get(condition) ?? 0) + 1);
    state.restore(before);
  }
  // As it is it is taken: what was refused was refused for the byte.
  state.apply(place.data);
  if (state.cluster.epochs.length === epochs)
    problems.push("the epoch as it was written is not taken either");
  return { tried: place.length, conditions, problems };
}
