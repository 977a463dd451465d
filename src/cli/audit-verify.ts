/**
 * `scratchbird audit verify FILE`: verifies an exported audit chain, knowing nothing of the server but the format that is
 * written below. It shares no code with it on purpose: its own parser, its own canonical JSON, its own hashes
 * (@noble/hashes), and Ed25519 from Node. A mistake of the one is not the mistake of the other.
 *
 *     X 1 CLUSTER NODE              begin of an export
 *     K CERTIFICATE KEY             raw Ed25519 key, base64, that the node had with the certificate of this SHA-256
 *     C {...}                       checkpoint: node, first, last, count, firstHash, lastHash, merkleRoot, at,
 *                                   certFingerprint, signature; keys sorted, no space
 *     H SEQUENCE HASH               newest event that the cluster was told of
 *     A 1 CLUSTER NODE              begin of a segment
 *     E PREVIOUS HASH {...}         HASH = SHA-256({...} ‖ 32 bytes of PREVIOUS); PREVIOUS of the first is "-", no bytes
 *     S SEQUENCE CERTIFICATE SIG    over SHA-256(["scratchbird audit run",NODE,SEQUENCE,HASH])
 *
 * A checkpoint is signed over SHA-256(["scratchbird audit checkpoint",CLUSTER,NODE,first,last,count,firstHash,lastHash,
 * merkleRoot,at,certFingerprint]); its root is RFC 6962's over the events' hashes.
 *
 * What the file says of keys and checkpoints is as good as the file: whoever has a merkle root or a key from elsewhere gives it
 * as an anchor, and it must be met.
 */
import { createPublicKey, type KeyObject, verify as verifyEd25519 } from "node:crypto";
import { sha256 } from "@noble/hashes/sha2.js";

export interface Anchors {
  readonly cluster?: string | undefined;
  readonly node?: string | undefined;
  /** Merkle root, or hash of the last event, of a checkpoint that must be there. */
  readonly checkpoint?: string | undefined;
  /** Base64 or SHA-256 of the certificate: the only keys that count. */
  readonly key?: string | undefined;
}

export interface Verdict {
  readonly cluster: string;
  readonly node: string;
  readonly events: number;
  /** All events up to this one are signed. */
  readonly signed: number;
  readonly checkpoints: number;
  readonly fault: { readonly sequence: number; readonly kind: string; readonly reason: string } | undefined;
}

interface Checkpoint {
  readonly node: string;
  readonly first: number;
  readonly last: number;
  readonly count: number;
  readonly firstHash: string;
  readonly lastHash: string;
  readonly merkleRoot: string;
  readonly at: number;
  readonly certFingerprint: string;
  readonly signature: string;
}

class Fault extends Error {
  constructor(
    readonly sequence: number,
    readonly kind: string,
    reason: string,
  ) {
    super(reason);
  }
}

const utf8 = new TextEncoder();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const sha = (...parts: readonly Uint8Array[]): Uint8Array => {
  const digest = sha256.create();
  for (const part of parts) digest.update(part);
  return digest.digest();
};

/** Text of a JSON value with sorted keys and nothing that could be written in another way. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${fields.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** RFC 6962: roots of whole subtrees, as the binary digits of the count. */
class Tree {
  #roots: { readonly size: number; readonly hash: Uint8Array }[] = [];

  add(leaf: Uint8Array): void {
    let node = { size: 1, hash: sha(Uint8Array.of(0), leaf) };
    for (let last = this.#roots.at(-1); last?.size === node.size; last = this.#roots.at(-1)) {
      this.#roots.pop();
      node = { size: 2 * node.size, hash: sha(Uint8Array.of(1), last.hash, node.hash) };
    }
    this.#roots.push(node);
  }
  root(): string {
    let right: Uint8Array | undefined;
    for (const { hash } of this.#roots.reverse())
      right = right === undefined ? hash : sha(Uint8Array.of(1), hash, right);
    return hex(right ?? sha());
  }
}

const hashText = /^[0-9a-f]{64}$/;
const uuidText = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** An object in one line. */
const objectText = /^\{.*\}$/;
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");

/** Verifies an export line by line; a chain from its begin. */
export class ExportVerifier {
  readonly #anchors: Anchors;
  readonly #keys = new Map<string, KeyObject>();
  readonly #checkpoints: Checkpoint[] = [];
  readonly #known = new Map<number, string>();
  #cluster = "";
  #node = "";
  #sequence = 0;
  #hash: Uint8Array | undefined;
  #signed = 0;
  #tree = new Tree();
  #next = 0;
  #anchorMet = false;
  #inChain = false;
  #fault: Fault | undefined;
  /** Of what comes first of a chain that is verified from a checkpoint on. */
  readonly #from: number;

  /** `from`: the chain begins behind this event, which a checkpoint of the file ends with. */
  constructor(anchors: Anchors = {}, from = 0) {
    this.#anchors = anchors;
    this.#from = from;
  }

  get failed(): boolean {
    return this.#fault !== undefined;
  }

  /** One line, without its end. */
  line(text: string): void {
    if (this.#fault !== undefined) return;
    this.#guarded(() => this.#line(text));
  }

  /** Lines with their ends. */
  text(text: string): void {
    let at = 0;
    while (at < text.length && this.#fault === undefined) {
      const end = text.indexOf("\n", at);
      if (end < 0)
        this.#guarded(() => {
          throw new Fault(this.#sequence + 1, "MALFORMED", "the last line has no end");
        });
      else this.line(text.slice(at, end));
      at = end + 1;
    }
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#fault = error;
    }
  }

  end(): Verdict {
    this.#guarded(() => {
      if (this.#fault !== undefined) return;
      if (!this.#inChain) this.#startChain();
      for (const [sequence] of this.#known)
        if (sequence > this.#sequence)
          throw new Fault(
            this.#sequence + 1,
            "CUT_OFF",
            `the chain ends with event ${this.#sequence}, and event ${sequence} is known to have been there`,
          );
      if (this.#anchors.checkpoint !== undefined && !this.#anchorMet)
        throw new Fault(this.#sequence + 1, "CUT_OFF", "no checkpoint is the one that was given");
    });
    const fault = this.#fault;
    return {
      cluster: this.#cluster,
      node: this.#node,
      events: this.#sequence,
      signed: this.#signed,
      checkpoints: this.#checkpoints.length,
      fault: fault && { sequence: fault.sequence, kind: fault.kind, reason: fault.message },
    };
  }

  #fail(kind: string, reason: string, sequence = this.#sequence + 1): never {
    throw new Fault(sequence, kind, reason);
  }

  #line(text: string): void {
    const words = text.split(" ");
    // Whatever else stands where the chain should begin is its first line.
    if (!this.#inChain && this.#cluster !== "" && !["K", "C", "H"].includes(words[0]!)) this.#startChain();
    switch (words[0]) {
      case "X":
        this.#exportHead(words);
        return;
      case "K":
        this.#key(words);
        return;
      case "C":
        this.#checkpoint(text.slice(2));
        return;
      case "H": {
        const [, sequence = "", hash = ""] = words;
        if (this.#inChain || !/^[1-9]\d{0,15}$/.test(sequence) || !hashText.test(hash) || words.length !== 3)
          this.#fail("MALFORMED", "a line that tells of the newest event cannot be read");
        this.#known.set(Number(sequence), hash);
        return;
      }
      case "A":
        if (!this.#inChain) this.#startChain();
        if (words[1] !== "1" || words.length !== 4 || !words.slice(2).every((one) => uuidText.test(one)))
          this.#fail("MALFORMED", "the head of a segment cannot be read");
        if (words[2] !== this.#cluster || words[3] !== this.#node)
          this.#fail("WRONG_CHAIN", `a segment of node ${words[3]} of cluster ${words[2]}`);
        return;
      case "E":
        this.#event(text);
        return;
      case "S":
        this.#run(words);
        return;
      default:
        this.#fail("MALFORMED", "a line that no export has");
    }
  }

  #exportHead(words: readonly string[]): void {
    const [, format, cluster = "", node = ""] = words;
    if (format !== "1" || words.length !== 4 || this.#cluster !== "")
      this.#fail("MALFORMED", "the head of the export cannot be read");
    this.#cluster = cluster;
    this.#node = node;
    if ((this.#anchors.cluster ?? cluster) !== cluster || (this.#anchors.node ?? node) !== node)
      this.#fail("WRONG_CHAIN", `it is the chain of node ${node} of cluster ${cluster}`);
  }

  #key([, certificate = "", text = "", ...rest]: readonly string[]): void {
    const raw = Buffer.from(text, "base64");
    if (this.#inChain || rest.length > 0 || !hashText.test(certificate) || raw.length !== 32)
      this.#fail("MALFORMED", "a key cannot be read");
    const { key } = this.#anchors;
    if (key !== undefined && key !== certificate && key !== text) return;
    const der = Buffer.concat([spkiPrefix, raw]);
    this.#keys.set(certificate, createPublicKey({ key: der, format: "der", type: "spki" }));
  }

  #checkpoint(text: string): void {
    let one: Checkpoint | undefined;
    try {
      one = JSON.parse(text) as Checkpoint;
    } catch {
      one = undefined;
    }
    if (one === undefined || canonical(one) !== text || this.#inChain)
      this.#fail("MALFORMED", "a checkpoint cannot be read");
    const { node, first, last, count, firstHash, lastHash, merkleRoot, at, certFingerprint, signature } = one;
    const before = this.#checkpoints.at(-1);
    if (first !== (before?.last ?? 0) + 1 && before !== undefined)
      this.#fail("SEQUENCE_GAP", `a checkpoint begins with event ${first}`, first);
    if (node !== this.#node || count !== last - first + 1 || last < first)
      this.#fail("WRONG_CHAIN", "a checkpoint is of another chain", first);
    const words = [
      this.#cluster,
      node,
      first,
      last,
      count,
      firstHash,
      lastHash,
      merkleRoot,
      at,
      certFingerprint,
    ];
    this.#verify(
      certFingerprint,
      ["scratchbird audit checkpoint", ...words],
      signature,
      last,
      "a checkpoint",
    );
    this.#checkpoints.push(one);
    this.#known.set(last, lastHash);
    const { checkpoint } = this.#anchors;
    if (checkpoint === merkleRoot || checkpoint === lastHash) this.#anchorMet = true;
  }

  #verify(certificate: string, words: readonly unknown[], signature: string, at: number, what: string): void {
    const key = this.#keys.get(certificate);
    if (key === undefined)
      this.#fail("SIGNATURE_INVALID", `${what} is signed with a certificate that the node never had`, at);
    const bytes = Buffer.from(signature, "base64");
    const digest = sha(utf8.encode(canonical(words)));
    if (bytes.toString("base64") !== signature || !verifyEd25519(null, digest, key, bytes))
      this.#fail("SIGNATURE_INVALID", `the signature of ${what} does not verify`, at);
  }

  #startChain(): void {
    this.#inChain = true;
    if (this.#cluster === "") this.#fail("MALFORMED", "the export has no head");
    if (this.#from === 0) return;
    const at = this.#checkpoints.findIndex((one) => one.last === this.#from);
    if (at < 0) this.#fail("CUT_OFF", `no checkpoint ends with event ${this.#from}`);
    this.#sequence = this.#signed = this.#from;
    this.#hash = Buffer.from(this.#checkpoints[at]!.lastHash, "hex");
    this.#next = at + 1;
  }

  #event(line: string): void {
    if (!this.#inChain) this.#startChain();
    const next = this.#sequence + 1;
    const open = line.indexOf("{");
    const [mark, previous = "", claimed = "", ...none] = line
      .slice(0, Math.max(open, 0))
      .trimEnd()
      .split(" ");
    const json = line.slice(open);
    if (
      open < 0 ||
      mark !== "E" ||
      none.length > 0 ||
      !(previous === "-" || hashText.test(previous)) ||
      !hashText.test(claimed) ||
      line !== `E ${previous} ${claimed} ${json}` ||
      !objectText.test(json)
    )
      this.#fail("MALFORMED", `what stands in place of event ${next} cannot be read`);
    let event: Readonly<Record<string, unknown>>;
    try {
      event = JSON.parse(json) as Readonly<Record<string, unknown>>;
    } catch {
      this.#fail("HASH_INVALID", `what stands in place of event ${next} is none`);
    }
    if (
      typeof event["event_sequence"] !== "number" ||
      !Number.isSafeInteger(event["event_sequence"]) ||
      event["event_sequence"] < 1
    )
      this.#fail("HASH_INVALID", `what stands in place of event ${next} has no sequence`);
    if (event["event_sequence"] !== next)
      this.#fail("SEQUENCE_GAP", `event ${event["event_sequence"]} follows event ${next - 1}`);
    if (previous !== (this.#hash === undefined ? "-" : hex(this.#hash)))
      this.#fail("HASH_MISMATCH", `event ${next} does not name the hash of event ${next - 1}`);
    const bytes = utf8.encode(json);
    const hash = this.#hash === undefined ? sha(bytes) : sha(bytes, this.#hash);
    if (hex(hash) !== claimed) this.#fail("HASH_INVALID", `event ${next} is not what its hash says`);
    if (canonical(event) !== json) this.#fail("MALFORMED", `event ${next} is not in its canonical form`);
    if (event["node_uuid"] !== this.#node) this.#fail("WRONG_CHAIN", `event ${next} is of another node`);
    const known = this.#known.get(next);
    if (known !== undefined && known !== claimed)
      this.#fail("HASH_MISMATCH", `event ${next} is another one than the cluster was told of`);
    this.#sequence = next;
    this.#hash = hash;
    this.#checkTree(next, hash);
  }

  #checkTree(sequence: number, hash: Uint8Array): void {
    const checkpoint = this.#checkpoints[this.#next];
    if (checkpoint === undefined || sequence < checkpoint.first) return;
    if (sequence === checkpoint.first && checkpoint.firstHash !== hex(hash))
      this.#fail(
        "HASH_MISMATCH",
        `event ${sequence} is another one than the checkpoint begins with`,
        sequence,
      );
    this.#tree.add(hash);
    if (sequence < checkpoint.last) return;
    if (this.#tree.root() !== checkpoint.merkleRoot)
      this.#fail("HASH_MISMATCH", `the checkpoint up to event ${sequence} has another root`, sequence);
    this.#tree = new Tree();
    this.#next++;
  }

  #run([, sequence = "", certificate = "", signature = "", ...rest]: readonly string[]): void {
    if (
      !/^[1-9]\d{0,15}$/.test(sequence) ||
      !hashText.test(certificate) ||
      rest.length > 0 ||
      signature.length !== 88
    )
      this.#fail("MALFORMED", "a signature cannot be read");
    const bytes = Buffer.from(signature, "base64");
    if (bytes.length !== 64 || bytes.toString("base64") !== signature)
      this.#fail("MALFORMED", "a signature cannot be read");
    const last = this.#sequence;
    if (Number(sequence) !== last || this.#hash === undefined)
      this.#fail(
        "SIGNATURE_INVALID",
        `a signature of events up to ${sequence} stands behind event ${last}`,
        last,
      );
    const words = ["scratchbird audit run", this.#node, last, hex(this.#hash)];
    this.#verify(certificate, words, signature, last, `the events up to ${last}`);
    this.#signed = last;
  }
}
