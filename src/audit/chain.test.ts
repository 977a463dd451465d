import { createPublicKey, generateKeyPairSync, sign, verify as verifyWith } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { SimRandom } from "../sim/random.js";
import {
  type AuditEvent,
  appendEvent,
  type ChainHead,
  emptyChain,
  headLine,
  runDigest,
  runLine,
} from "./chain.js";
import { type AuditFault, ChainVerifier, type VerifyOptions } from "./verify.js";

const cluster = "0190a8c0-0000-7000-8000-00000000000c";
const node = "0190a8c0-0000-7000-8000-000000000001";
const certificate = "ab".repeat(32);
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const rawKey = (key: typeof publicKey): Uint8Array =>
  key.export({ format: "der", type: "spki" }).subarray(-32);
const prefix = Buffer.from("302a300506032b6570032100", "hex");
const keys = new Map<string, ReturnType<typeof createPublicKey>>();

function verify(key: Uint8Array, digest: Uint8Array, signature: string): boolean {
  const name = Buffer.from(key).toString("hex");
  let known = keys.get(name);
  if (known === undefined) {
    known = createPublicKey({ key: Buffer.concat([prefix, key]), format: "der", type: "spki" });
    keys.set(name, known);
  }
  return verifyWith(null, digest, known, Buffer.from(signature, "base64"));
}
const options: VerifyOptions = {
  cluster,
  node,
  keyOf: (name) => (name === certificate ? rawKey(publicKey) : undefined),
  verify,
};

function eventOf(sequence: number): AuditEvent {
  return {
    event_uuid: `0190a8c0-0000-7000-8000-${String(sequence).padStart(12, "0")}`,
    event_sequence: sequence,
    event_type: sequence % 3 === 0 ? "LOGIN_FAILURE" : "DDL_EXECUTED",
    severity: "WARNING",
    node_uuid: node,
    user_uuid: sequence % 3 === 0 ? null : "0190a8c0-0000-7000-8000-0000000000aa",
    session_uuid: null,
    timestamp: `2026-11-27T12:00:00.${String(sequence).padStart(6, "0")}Z`,
    payload: { sql_text: `CREATE TABLE t${sequence} (x text DEFAULT 'ä\\"')`, rows: sequence },
  };
}
const signed = (head: ChainHead): string =>
  runLine(head.sequence, certificate, sign(null, runDigest(node, head), privateKey).toString("base64"));

interface Chain {
  readonly lines: string[];
  /** By sequence. */
  readonly hashes: Map<number, Uint8Array>;
}
function chainOf(count: number, run: number): Chain {
  const lines = [headLine(cluster, node)];
  const hashes = new Map<number, Uint8Array>();
  let head = emptyChain;
  for (let sequence = 1; sequence <= count; sequence++) {
    const appended = appendEvent(head, eventOf(sequence));
    lines.push(appended.line);
    head = appended.head;
    hashes.set(sequence, head.hash!);
    if (sequence % run === 0) lines.push(signed(head));
  }
  return { lines, hashes };
}
function faultOf(lines: readonly string[], facts: Partial<VerifyOptions> = {}): AuditFault | undefined {
  const verifier = new ChainVerifier({ ...options, ...facts });
  for (const line of lines) if (!verifier.take(line)) break;
  return verifier.end();
}

describe("a chain", () => {
  it("holds as it was written, from its beginning and from a head in between", () => {
    const { lines, hashes } = chainOf(50, 7);
    expect(faultOf(lines)).toBeUndefined();
    const verifier = new ChainVerifier(options);
    expect(verifier.take(lines.join(""))).toBe(true);
    expect([verifier.head.sequence, verifier.signedTo]).toEqual([50, 49]);
    const from = { sequence: 14, hash: hashes.get(14) };
    expect(
      faultOf(lines.slice(lines.findIndex((line) => line.includes('"event_sequence":15,'))), { from }),
    ).toBeUndefined();
    expect(faultOf(lines.slice(1), { from })).toMatchObject({ kind: "SEQUENCE_GAP", sequence: 15 });
  });

  it("is of one node, one cluster, and signed by that node's keys alone", () => {
    const { lines } = chainOf(10, 5);
    expect(faultOf(lines, { node: cluster })).toMatchObject({ kind: "WRONG_CHAIN" });
    expect(faultOf(lines.slice(1), { node: cluster })).toMatchObject({ kind: "WRONG_CHAIN", sequence: 1 });
    expect(faultOf(lines, { keyOf: () => undefined })).toMatchObject({
      kind: "SIGNATURE_INVALID",
      sequence: 5,
    });
    const other = generateKeyPairSync("ed25519");
    expect(faultOf(lines, { keyOf: () => rawKey(other.publicKey) })).toMatchObject({
      kind: "SIGNATURE_INVALID",
    });
    // Written anew from an event on by somebody who has no key.
    const forged = chainOf(10, 1000).lines;
    const run = lines.find((line) => line.startsWith("S 5 "))!;
    expect(faultOf([...forged.slice(0, 6), run])).toBeUndefined();
    const changed = appendEvent(emptyChain, { ...eventOf(1), severity: "INFO" });
    expect(faultOf([lines[0]!, changed.line, lines[2]!])).toMatchObject({
      kind: "HASH_MISMATCH",
      sequence: 2,
    });
    expect(faultOf([lines[0]!, changed.line, run])).toMatchObject({ kind: "SIGNATURE_INVALID", sequence: 1 });
  });

  it("that was cut, or written anew, differs from what is known of it elsewhere", () => {
    const { lines, hashes } = chainOf(30, 10);
    const known = new Map([[20, hashes.get(20)!]]);
    expect(faultOf(lines, { known })).toBeUndefined();
    const at = lines.findIndex((line) => line.includes('"event_sequence":20,'));
    expect(faultOf(lines.slice(0, at + 1), { known })).toBeUndefined();
    expect(faultOf(lines.slice(0, at), { known })).toMatchObject({ kind: "CUT_OFF", sequence: 20 });
    expect(faultOf(lines, { known: new Map([[20, new Uint8Array(32)]]) })).toMatchObject({
      kind: "HASH_MISMATCH",
      sequence: 20,
    });
  });
});

describe("tampering", () => {
  let chain: Chain;
  /** The verifier's state before each line. */
  let heads: ChainHead[];
  beforeAll(() => {
    chain = chainOf(200, 20);
    const verifier = new ChainVerifier(options);
    heads = chain.lines.map((line) => {
      const { head } = verifier;
      verifier.take(line);
      return head;
    });
  });

  it("with any byte of 200 events is found at the event whose line it is in, or the one behind", () => {
    const kinds = new Map<string, number>();
    for (const [at, line] of chain.lines.entries()) {
      const bytes = Buffer.from(line);
      const from = heads[at]!;
      const behind = chain.lines.slice(at + 1, at + 4).join("");
      for (let place = 0; place < bytes.length; place++) {
        const changed = Buffer.from(bytes);
        changed[place] = changed[place]! ^ (1 << ((place + at) % 8));
        const verifier = new ChainVerifier({ ...options, from });
        // As a file is read: bytes that are no UTF-8 become others.
        const held = verifier.take(changed.toString("utf8") + behind);
        const { fault } = verifier;
        expect(held, `byte ${place} of line ${at}`).toBe(false);
        expect(fault!.sequence - from.sequence).toBeLessThanOrEqual(1);
        kinds.set(fault!.kind, (kinds.get(fault!.kind) ?? 0) + 1);
      }
    }
    expect([...kinds.keys()].sort()).toEqual([
      "HASH_INVALID",
      "HASH_MISMATCH",
      "MALFORMED",
      "SEQUENCE_GAP",
      "SIGNATURE_INVALID",
      "WRONG_CHAIN",
    ]);
  });

  it("by removals, swaps, insertions and cuts is found, back to what is known", () => {
    const random = new SimRandom(9);
    const { lines, hashes } = chain;
    const known = new Map([[200, hashes.get(200)!]]);
    const events = lines.flatMap((line, at) => (line.startsWith("E") ? [at] : []));
    const some = (): number => events[random.below(events.length)]!;
    for (let turn = 0; turn < 400; turn++) {
      const changed = [...lines];
      const [a, b] = [some(), some()];
      const what = turn % 4;
      if (what === 0) changed.splice(a, 1);
      else if (what === 1) {
        if (a === b) continue;
        [changed[a], changed[b]] = [changed[b]!, changed[a]!];
      } else if (what === 2) changed.splice(a, 0, lines[b]!);
      else changed.splice(a);
      expect(faultOf(changed, { known }), `${what} ${a} ${b}`).toBeDefined();
    }
  });
});
