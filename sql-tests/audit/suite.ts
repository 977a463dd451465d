/**
 * Chains as a node writes them, and whether two verifiers that share no code notice what is done to them: the server's
 * (`src/audit`), and that of exports (`src/cli/audit-verify.ts`).
 */
import { generateKeyPairSync, sign } from "node:crypto";
import {
  AuditLog,
  ChainVerifier,
  canonicalJson,
  emptyChain,
  MerkleRoot,
  readChain,
} from "../../src/audit/index.js";
import { createVerifierKey, verifyWithRaw } from "../../src/audit/testing.js";
import { ExportVerifier } from "../../src/cli/audit-verify.js";
import { checkpointDigest } from "../../src/cluster/index.js";
import { SimDisk } from "../../src/sim/disk.js";
import { SimRandom } from "../../src/sim/random.js";
import { openTestStorage } from "../../src/storage/testing.js";
import type { Tampered } from "./tamper.js";

const cluster = "0190a8c0-0000-7000-8000-00000000000c";
const node = "0190a8c0-0000-7000-8000-000000000001";
const certificate = "ab".repeat(32);
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const rawKey = createVerifierKey(publicKey);
const signed = (digest: Uint8Array): string => sign(null, digest, privateKey).toString("base64");

export interface Checkpointed {
  readonly first: number;
  readonly last: number;
  readonly firstHash: string;
  readonly lastHash: string;
  readonly merkleRoot: string;
}

export interface WrittenChain {
  readonly text: string;
  readonly checkpoints: readonly Checkpointed[];
  /** Appends alone, milliseconds. */
  readonly appendMs: number;
}

/** A chain of a node's own making, over a simulated disk: signed each `run` events, with a checkpoint each `stretch`. */
export async function writeChain(events: number, run: number, stretch: number): Promise<WrittenChain> {
  const disk = new SimDisk({ seed: 7 });
  const random = new SimRandom(7);
  const log = new AuditLog({ disk, clock: disk.clock, random, cluster, node });
  const storage = openTestStorage({
    disk,
    pageSize: 8192,
    frames: 128,
    storage: {
      platform: { clock: disk.clock, random, disk },
      journalHalfBytes: 4 << 20,
      doublewriteBytes: 4 << 20,
      rider: log,
    },
  });
  log.signWith(() => ({ certFingerprint: certificate, sign: signed }));
  const session = "0190a8c0-0000-4000-8000-0000000000aa";
  const checkpoints: Checkpointed[] = [];
  let tree = new MerkleRoot();
  let first = 1;
  let firstHash = "";
  let appendMs = 0;
  for (let at = 1; at <= events; at++) {
    const payload =
      at % 4 === 0
        ? canonicalJson({ duration_ms: at % 9, query_hash: "cd".repeat(32), rows_affected: at % 100 })
        : canonicalJson({
            user: `user_${at % 7}`,
            sql_text: `INSERT INTO t VALUES (${at}, 'ä')`,
            ip_address: "192.0.2.1",
          });
    const started = performance.now();
    log.append(
      at % 4 === 0 ? "QUERY_EXECUTED" : "DDL_EXECUTED",
      at % 4 === 0 ? "INFO" : "WARNING",
      session,
      at % 5 === 0 ? null : session,
      payload,
    );
    appendMs += performance.now() - started;
    if (firstHash === "") firstHash = log.hashText;
    tree.add(Buffer.from(log.hashText, "hex"));
    if (at % run === 0) log.sign();
    if (at % stretch === 0) {
      checkpoints.push({
        first,
        last: at,
        firstHash,
        lastHash: log.hashText,
        merkleRoot: Buffer.from(tree.root()).toString("hex"),
      });
      tree = new MerkleRoot();
      first = at + 1;
      firstHash = "";
    }
    if (log.isPressed) await log.progress();
  }
  log.stop();
  await storage.close();
  log.close();
  return { text: [...readChain(disk)].join(""), checkpoints, appendMs };
}

/** What an export has before the chain. */
export function exportHead(checkpoints: readonly Checkpointed[]): string {
  let head = `X 1 ${cluster} ${node}\nK ${certificate} ${Buffer.from(rawKey).toString("base64")}\n`;
  for (const one of checkpoints) {
    const content = { node, ...one, count: one.last - one.first + 1, at: 1, certFingerprint: certificate };
    const signature = signed(checkpointDigest(cluster, content));
    head += `C ${canonicalJson({ ...content, signature })}\n`;
  }
  return head;
}

export interface Found {
  readonly sequence: number;
  readonly kind: string;
}

/** What the server's verifier says, from the checkpoint on that ends with `from` (0: from the begin). */
export function byServer(text: string, checkpoints: readonly Checkpointed[], from = 0): Found | undefined {
  const start = checkpoints.find((one) => one.last === from);
  const verifier = new ChainVerifier({
    cluster,
    node,
    from: start === undefined ? emptyChain : { sequence: from, hash: Buffer.from(start.lastHash, "hex") },
    keyOf: (name) => (name === certificate ? rawKey : undefined),
    verify: verifyWithRaw,
    known: new Map(
      checkpoints.filter((one) => one.last > from).map((one) => [one.last, Buffer.from(one.lastHash, "hex")]),
    ),
  });
  verifier.take(text);
  const fault = verifier.end();
  // All that was signed has to stay so.
  if (fault === undefined && verifier.signedTo < verifier.head.sequence)
    return { sequence: verifier.head.sequence, kind: "UNSIGNED" };
  return fault && { sequence: fault.sequence, kind: fault.kind };
}

/** The same of the verifier of exports. */
export function byExport(text: string, head: string, from = 0): Found | undefined {
  const verifier = new ExportVerifier({}, from);
  verifier.text(head);
  verifier.text(text);
  const { fault, signed: signedTo, events } = verifier.end();
  if (fault === undefined && signedTo < events) return { sequence: events, kind: "UNSIGNED" };
  return fault && { sequence: fault.sequence, kind: fault.kind };
}

/** What is wrong with the answers; undefined: both have noticed it, alike, where it is. */
export function problemOf(
  tampered: Tampered,
  server: Found | undefined,
  other: Found | undefined,
): string | undefined {
  const shown = (one: Found | undefined): string =>
    one === undefined ? "nothing" : `${one.kind} at ${one.sequence}`;
  if (server === undefined || other === undefined)
    return `${tampered.what}: the server says ${shown(server)}, the export's verifier ${shown(other)}`;
  if (server.kind !== other.kind || server.sequence !== other.sequence)
    return `${tampered.what}: the server says ${shown(server)}, the export's verifier ${shown(other)}`;
  if (server.sequence < tampered.from || server.sequence > tampered.to)
    return `${tampered.what}: told of as ${shown(server)}, between ${tampered.from} and ${tampered.to} it is`;
  return undefined;
}

/** The part of a chain behind an event, with the head of its file. */
export function tailOf(text: string, from: number): string {
  if (from === 0) return text;
  const at = text.indexOf(`{"event_sequence":${from + 1},`);
  const start = text.lastIndexOf("\n", at) + 1;
  return text.slice(start);
}
