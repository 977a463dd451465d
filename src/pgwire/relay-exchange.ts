/**
 * What passes between a client and its session at another node, followed message by message: whether the client awaits an
 * answer, how its transaction stands, what it was told, what its session holds. Pure: bytes in, facts out.
 *
 * `MessageCutter` finds where messages begin and end. A message is passed on when it is whole, so that at any moment
 * either side can be spoken to by somebody else; only one larger than `holdBytesMax` passes in pieces.
 *
 * `Exchange` is told of both directions. A request is what the other side answers with ReadyForQuery: a Query, or
 * everything up to a Sync. Of each that is under way it is known
 * - whether it may have committed something: outside a transaction block every statement may, inside one only what has a
 *   word that ends it. The words are looked for in the texts of statements without a parse: COMMIT in a string counts too,
 *   which errs on the side of "may have";
 * - whether it ends the block;
 * - for COPY FROM STDIN, whether the end of the data was sent: before it nothing is committed. Syncs before it are not
 *   answered, so they are no requests.
 *
 * Clients that mix what no driver mixes (a Query behind an unfinished Parse, a statement inside COPY) are relayed all the
 * same, but how many answers they await is not known any more: `isConfused`.
 *
 * Invariant: what is found does not depend on where the stream was cut.
 */

import type { BundleStamp } from "../cluster/contract.js";
import type { TransactionStatus } from "../session/contract.js";
import { readBundle } from "./bundle-gate.js";
import { BodyReader, readInt32 } from "./input.js";
import { announcedBytesMax, backendTag, frontendTag, relayTag } from "./messages.js";
import type { Output } from "./output.js";

export type Settings = readonly (readonly [name: string, value: string])[];

/** Larger messages pass in pieces. */
export const holdBytesMax = 32_768;
const headBytes = 5;
const noBytes = Buffer.alloc(0);

/** What becomes of a message: handed on, kept from the other side, or left where it is with all that follows. */
export enum Fate {
  pass,
  withhold,
  /** As `withhold`, and what follows is given back. */
  last,
}

export interface MessageVisitor {
  /** Before anything is passed on; false: this message and what follows is given back unread. */
  begin(tag: number, bodyBytes: number): boolean;
  /** The body, in one or more pieces; only what is larger than `holdBytesMax` comes in several. */
  body(bytes: Buffer, start: number, end: number): void;
  end(tag: number): Fate;
}

/** Cuts one direction of the stream into messages. */
export class MessageCutter {
  /** A length that no message has was met: the rest is passed on as it is. */
  isBroken = false;
  #held: Buffer = noBytes;
  #tag = 0;
  /** Bytes to come of a message that passes in pieces. */
  #left = 0;

  /** A message has been passed on in part. */
  get isInside(): boolean {
    return this.#left > 0;
  }
  /** Of the message that the visitor is being shown. */
  get tag(): number {
    return this.#tag;
  }

  /**
   * Shows `visitor` the messages and hands `pass` what goes on, in order; both only borrow the bytes. Answers what was
   * given back, empty unless the visitor said so.
   */
  feed(chunk: Buffer, visitor: MessageVisitor, pass: (bytes: Buffer) => void): Buffer {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = noBytes;
    let at = 0;
    let passed = 0;
    const passUpTo = (end: number): void => {
      if (end > passed) pass(bytes.subarray(passed, end));
      passed = end;
    };
    while (at < bytes.length) {
      if (this.isBroken) {
        at = bytes.length;
        break;
      }
      const start = at;
      if (this.#left === 0) {
        if (bytes.length - at < headBytes) break;
        const length = readInt32(bytes, at + 1);
        if (length < 4 || length > announcedBytesMax) {
          this.isBroken = true;
          continue;
        }
        if (bytes.length - at <= length && length < holdBytesMax) break;
        this.#tag = bytes[at]!;
        if (!visitor.begin(this.#tag, length - 4)) {
          passUpTo(start);
          return bytes.subarray(start);
        }
        at += headBytes;
        this.#left = length - 4;
      }
      const end = Math.min(bytes.length, at + this.#left);
      if (end > at) visitor.body(bytes, at, end);
      this.#left -= end - at;
      at = end;
      if (this.#left > 0) continue;
      const fate = visitor.end(this.#tag);
      if (fate === Fate.pass) continue;
      passUpTo(start);
      passed = at;
      if (fate === Fate.last) return bytes.subarray(at);
    }
    passUpTo(at);
    if (at < bytes.length) this.#held = Buffer.from(bytes.subarray(at));
    return noBytes;
  }
}

/** How a text bears on the transaction block that it is run in. */
export enum BlockEffect {
  none,
  /** Rolls it back. */
  rollsBack,
  /** May commit it, or rolls it back and goes on. */
  commits,
}

const wordLettersMax = 8;
const codeOf = (word: string): number =>
  [...word].reduce((code, letter) => code * 32 + letter.charCodeAt(0) - 96, 0);
const commitWords: readonly number[] = [codeOf("commit"), codeOf("end")];
const rollbackWords: readonly number[] = [codeOf("rollback"), codeOf("abort")];

/** Looks for the words that end a block, wherever the text is cut. */
export class BlockWords {
  effect = BlockEffect.none;
  #code = 0;
  #letters = 0;
  /** A statement follows one that rolls back. */
  #follows = false;

  clear(): void {
    this.effect = BlockEffect.none;
    this.#code = this.#letters = 0;
    this.#follows = false;
  }

  /** Up to the byte `end`, or to a zero byte; answers the position after what was read. */
  read(bytes: Buffer, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      const letter = (byte | 0x20) - 96;
      if (letter > 0 && letter <= 26) {
        if (this.#letters < wordLettersMax) this.#code = this.#code * 32 + letter;
        this.#letters++;
      } else if ((byte >= 48 && byte <= 57) || byte === 95 || byte === 36 || byte >= 0x80) {
        this.#letters = wordLettersMax + 1;
      } else {
        if (this.#letters > 0) this.#word();
        if (byte === 0) return at + 1;
        if (byte === 59 && this.effect === BlockEffect.rollsBack) this.#follows = true;
      }
    }
    return end;
  }

  #word(): void {
    const isShort = this.#letters <= wordLettersMax;
    if (this.#follows || (isShort && commitWords.includes(this.#code))) this.effect = BlockEffect.commits;
    else if (isShort && rollbackWords.includes(this.#code) && this.effect === BlockEffect.none)
      this.effect = BlockEffect.rollsBack;
    this.#code = this.#letters = 0;
  }
}

/** A request under way, as bits. */
enum Request {
  none = 0,
  /** Query or FunctionCall; else the messages up to a Sync. */
  query = 1,
  /** Messages of the extended protocol were sent for it. */
  begun = 2,
  mayHaveCommitted = 4,
  /** The transaction block ends with it. */
  endsBlock = 8,
  /** CopyDone or CopyFail was sent behind its Execute. */
  copyEnded = 16,
  /** It makes a named statement. */
  names = 32,
}

export interface PendingRequest {
  readonly mayHaveCommitted: boolean;
  readonly endsBlock: boolean;
}

const nameBytesMax = 64;
const endersMax = 1000;

/** Named statements with such a text, and texts as they pass by. */
class StatementTexts {
  readonly words = new BlockWords();
  /** Effect of what was bound in the request that is being sent. */
  bound = BlockEffect.none;
  /** The Parse that is passing has a name. */
  isNamed = false;
  readonly #enders = new Map<string, BlockEffect>();
  /** There were too many of them: any name may be one. */
  #isFull = false;
  #field = 0;
  #name: number[] = [];

  /** `reads`: the text of a Query matters. If it does not, it counts as one that may commit. */
  begin(tag: number, reads: boolean): void {
    this.words.clear();
    this.#name.length = 0;
    this.#field = 0;
    if (tag !== frontendTag.query) return;
    this.#field = reads ? 1 : 2;
    if (!reads) this.words.effect = BlockEffect.commits;
  }

  parse(bytes: Buffer, start: number, end: number): void {
    let at = start;
    if (this.#field === 0) at = this.#readName(bytes, at, end);
    this.query(bytes, at, end);
  }
  query(bytes: Buffer, start: number, end: number): void {
    if (this.#field !== 1) return;
    const at = this.words.read(bytes, start, end);
    if (at > start && bytes[at - 1] === 0) this.#field = 2;
  }
  /** Portal, then statement; the parameters are not looked at. */
  bind(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end && this.#field === 0) if (bytes[at++] === 0) this.#field = 1;
    if (at < end && this.#field === 1) this.#readName(bytes, at, end);
  }
  /** Up to its zero byte; the field after it is next. */
  #readName(bytes: Buffer, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === 0) {
        this.#field++;
        return at + 1;
      }
      if (this.#name.length <= nameBytesMax) this.#name.push(byte);
    }
    return end;
  }

  parsed(): void {
    this.isNamed = this.#name.length > 0;
    const { effect } = this.words;
    const name = String.fromCharCode(...this.#name);
    if (effect === BlockEffect.none) {
      if (this.#enders.size > 0) this.#enders.delete(name);
    } else if (this.#name.length > nameBytesMax || this.#enders.size >= endersMax) this.#isFull = true;
    else this.#enders.set(name, effect);
  }
  wasBound(): void {
    if (this.#isFull) this.bound = BlockEffect.commits;
    else if (this.#enders.size > 0) {
      const effect = this.#enders.get(String.fromCharCode(...this.#name)) ?? BlockEffect.none;
      this.bound = Math.max(this.bound, effect);
    }
  }
}

export class Exchange {
  readonly client = new MessageCutter();
  readonly server = new MessageCutter();
  /** Of the last ReadyForQuery. */
  status: TransactionStatus = "I";
  /** Settings that a new session needs to stand where this one does; undefined: it holds more than settings. */
  carried: Settings | undefined;
  /** ErrorResponse with severity FATAL has passed: the home node ends the session on purpose. */
  wasEnded = false;
  /** The client has said good-bye. */
  hasLeft = false;
  isConfused = false;
  /** The client has sent what nodes alone say to each other. */
  isForged = false;
  /** Which security bundle the home node has said last that it holds. */
  homeBundle: BundleStamp | undefined;
  readonly #pending: Request[] = [];
  /** What has been sent since the last Query or Sync. */
  #open = Request.none;
  readonly #texts = new StatementTexts();
  /** The home node takes data of a COPY whose end has not been sent. */
  #copying = false;
  #syncsInCopy = 0;
  /** CommandComplete and ParseComplete of the request that is being answered. */
  #commands = 0;
  #parses = 0;
  /** Body of the server's message before its first piece was looked at. */
  #unread = 0;

  /** `told`: values of the settings that the client was told; kept up to date. */
  constructor(private readonly told: Map<string, string>) {}

  /** Requests sent and not answered. */
  get pending(): number {
    return this.#pending.length;
  }
  get isAwaited(): boolean {
    return this.#pending.length > 0 || this.isOpen;
  }
  /** Messages were sent for which a Sync is still to come. */
  get isOpen(): boolean {
    return (this.#open & Request.begun) !== 0;
  }
  /** A part of a message that is to be answered has passed. */
  get isInsideRequest(): boolean {
    return this.client.isInside && this.client.tag !== frontendTag.copyData;
  }
  /** Of the Query or Parse seen last, inside a block. */
  get lastTextEndsBlock(): boolean {
    return this.#texts.words.effect !== BlockEffect.none;
  }
  /** A named statement was made by a request that has not been answered to its end. */
  get hasNewStatements(): boolean {
    return this.#parses > 0 && ((this.#pending[0] ?? this.#open) & Request.names) !== 0;
  }

  /** Requests in their order, as they stand when the home node is lost; what is open comes last. */
  pendingRequests(): PendingRequest[] {
    const requests = this.isOpen ? [...this.#pending, this.#open] : [...this.#pending];
    return requests.map((request, index) => {
      const isUncommittedCopy = index === 0 && this.#copying && this.#commands === 0;
      return {
        mayHaveCommitted: (request & Request.mayHaveCommitted) !== 0 && !isUncommittedCopy,
        endsBlock: (request & Request.endsBlock) !== 0,
      };
    });
  }

  // ---------------------------------------------------------------------------------------------- from the client

  readonly fromClient: MessageVisitor = {
    begin: (tag) => {
      // Not one byte of it goes on, however large it says it is.
      if (tag === relayTag.bundle) {
        this.isForged = true;
        return false;
      }
      this.#texts.begin(tag, this.status !== "I");
      return true;
    },
    body: (bytes, start, end) => {
      switch (this.client.tag) {
        case frontendTag.query:
          this.#texts.query(bytes, start, end);
          return;
        case frontendTag.parse:
          this.#texts.parse(bytes, start, end);
          return;
        case frontendTag.bind:
          this.#texts.bind(bytes, start, end);
          return;
      }
    },
    end: (tag) => {
      this.#sent(tag);
      return Fate.pass;
    },
  };

  #sent(tag: number): void {
    switch (tag) {
      case frontendTag.query:
      case frontendTag.functionCall:
        if (this.isOpen || this.#copying) this.isConfused = true;
        this.#pending.push(
          Request.query | this.#effectOf(this.#texts.words.effect) | (this.#open & Request.copyEnded),
        );
        this.#open = Request.none;
        return;
      case frontendTag.sync:
        if (this.#copying) {
          this.#syncsInCopy++;
          return;
        }
        this.#pending.push(this.#open);
        this.#open = Request.none;
        this.#texts.bound = BlockEffect.none;
        return;
      case frontendTag.parse:
        this.#begun();
        this.#texts.parsed();
        if (this.#texts.isNamed) this.#open |= Request.names;
        return;
      case frontendTag.bind:
        this.#begun();
        this.#texts.wasBound();
        return;
      case frontendTag.execute:
        this.#begun();
        this.#open = (this.#open & ~Request.copyEnded) | this.#effectOf(this.#texts.bound);
        return;
      case frontendTag.describe:
      case frontendTag.close:
        this.#begun();
        return;
      case frontendTag.copyDone:
      case frontendTag.copyFail:
        if (this.#copying) this.#copying = false;
        else this.#open |= Request.copyEnded;
        return;
      case frontendTag.terminate:
        this.hasLeft = true;
        return;
    }
  }

  #begun(): void {
    if (this.#copying) this.isConfused = true;
    this.#open |= Request.begun;
  }

  /** Of a statement: outside a block, or where it is not known to be inside one, it may commit whatever its text. */
  #effectOf(effect: BlockEffect): Request {
    const left = (this.#open & Request.endsBlock) !== 0;
    const isInside = this.status !== "I" && this.#pending.length === 0 && !left;
    const ends = effect === BlockEffect.none ? Request.none : Request.endsBlock;
    return isInside && effect !== BlockEffect.commits ? ends : ends | Request.mayHaveCommitted;
  }

  // ---------------------------------------------------------------------------------------------- from the home node

  readonly fromServer: MessageVisitor = {
    begin: (_tag, bodyBytes) => {
      this.#unread = bodyBytes;
      return true;
    },
    body: (bytes, start, end) => {
      if (this.#unread > 0) this.#receiving(this.server.tag, bytes, start, end);
      this.#unread = 0;
    },
    end: (tag) => {
      if (tag === relayTag.sessionState || tag === relayTag.bundle) return Fate.withhold;
      this.#received(tag);
      return Fate.pass;
    },
  };

  /** Bodies that matter here are small, so they come whole. */
  #receiving(tag: number, bytes: Buffer, start: number, end: number): void {
    switch (tag) {
      case backendTag.readyForQuery:
        this.status = String.fromCharCode(bytes[start]!) as TransactionStatus;
        return;
      case backendTag.errorResponse:
        if (isFatalBody(bytes, start, end)) this.wasEnded = true;
        return;
      case backendTag.parameterStatus: {
        if (end - start < this.#unread) return;
        const body = new BodyReader().over(bytes, start, end);
        const name = body.cstring();
        this.told.set(name, body.cstring());
        return;
      }
      case relayTag.bundle:
        this.homeBundle = readBundle(new BodyReader().over(bytes, start, end));
        return;
      case relayTag.sessionState:
        this.carried = readSessionState(new BodyReader().over(bytes, start, end));
        return;
    }
  }

  #received(tag: number): void {
    switch (tag) {
      case backendTag.readyForQuery:
        if (this.#pending.shift() === undefined) this.isConfused = true;
        this.#commands = this.#parses = this.#syncsInCopy = 0;
        this.#copying = false;
        return;
      case backendTag.commandComplete:
        this.#commands++;
        return;
      case backendTag.parseComplete:
        this.#parses++;
        return;
      case backendTag.copyInResponse:
        this.#copyBegins();
        return;
      case backendTag.errorResponse:
        // Whether the COPY failed before it passed over a Sync, or behind it, cannot be seen from here.
        if (this.#syncsInCopy > 0) this.isConfused = true;
        this.#copying = false;
        return;
    }
  }

  /** Syncs sent behind the COPY are not answered until the end of its data; it may all be on its way already. */
  #copyBegins(): void {
    const pending = this.#pending;
    const own = pending.length > 0 && (pending[0]! & Request.query) !== 0 ? 1 : 0;
    let swallowed = Request.none;
    while (pending.length > own) {
      const next = pending[own]!;
      if ((next & Request.copyEnded) !== 0) {
        pending[own] = next | swallowed;
        return;
      }
      const isOther =
        (next & Request.query) !== 0 || ((next & Request.begun) !== 0 && this.#syncsInCopy + own > 0);
      if (isOther) {
        this.isConfused = true;
        return;
      }
      swallowed |= next;
      pending.splice(own, 1);
      this.#syncsInCopy++;
    }
    if ((own === 1 || this.#syncsInCopy > 0) && this.isOpen) this.isConfused = true;
    this.#copying = (this.#open & Request.copyEnded) === 0;
    this.#open = (this.#open | swallowed) & ~(own === 1 ? Request.copyEnded : Request.none);
  }
}

/** The home node writes the severity first. */
function isFatalBody(bytes: Buffer, start: number, end: number): boolean {
  const field = bytes.toString("latin1", start, Math.min(end, start + 7));
  return field === "SFATAL\0" || field === "SPANIC\0";
}

// -------------------------------------------------------------------------------------------------- session state

/** A session with more than this in its settings counts as one that holds more than settings. */
const stateBytesMax = 16_384;

/** Tells the relaying node what a new session would need; undefined: more than settings. */
export function writeSessionState(output: Output, settings: Settings | undefined): void {
  const bytes = settings?.reduce((sum, [name, value]) => sum + 3 * (name.length + value.length) + 2, 0) ?? 0;
  const known = bytes > stateBytesMax ? undefined : settings;
  output.begin(relayTag.sessionState);
  output.byte(known === undefined ? 0 : 1);
  for (const [name, value] of known ?? []) {
    output.cstring(name);
    output.cstring(value);
  }
  output.byte(0);
  output.end();
}

function readSessionState(body: BodyReader): Settings | undefined {
  const isKnown = body.byte() === 1;
  const settings: (readonly [string, string])[] = [];
  for (let name = body.cstring(); name !== ""; name = body.cstring()) settings.push([name, body.cstring()]);
  body.done();
  return isKnown ? settings : undefined;
}
