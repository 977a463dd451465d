/**
 * The log in memory: the entries behind the last snapshot, over what is durable. Who changes it reports the change as an
 * effect; this file does no I/O.
 *
 * Invariants: entries lie back to back behind `base`, terms never fall; `members` is the set of the last members entry, or
 * of the snapshot when there is none.
 */
import { assert } from "../base/errors.js";
import type { Entry, MemberSet, Snapshot } from "./contract.js";

export class RaftLog {
  /** Index and term of the entry before the first one held. */
  baseIndex: number;
  baseTerm: number;
  /** The newest snapshot: at `baseIndex` or, where entries before it were kept for the slow, behind it. */
  snapshot: Snapshot | undefined;
  entries: Entry[];
  /** Members of the log as it stands, committed or not. */
  members: MemberSet;
  /** Where `members` was appended; at most the snapshot's index when it came with that. */
  membersIndex: number;
  /** Members as of `baseIndex`. */
  baseMembers: MemberSet;

  constructor(base: { index: number; term: number; members: MemberSet }, entries: readonly Entry[] = []) {
    this.baseIndex = base.index;
    this.baseTerm = base.term;
    this.baseMembers = base.members;
    this.members = base.members;
    this.membersIndex = base.index;
    this.entries = [];
    for (const entry of entries) this.append(entry);
  }

  clone(): RaftLog {
    const copy = Object.create(RaftLog.prototype) as RaftLog;
    copy.baseIndex = this.baseIndex;
    copy.baseTerm = this.baseTerm;
    copy.snapshot = this.snapshot;
    copy.entries = this.entries.slice();
    copy.members = this.members;
    copy.membersIndex = this.membersIndex;
    copy.baseMembers = this.baseMembers;
    return copy;
  }

  get lastIndex(): number {
    return this.baseIndex + this.entries.length;
  }
  get lastTerm(): number {
    const { length } = this.entries;
    return length === 0 ? this.baseTerm : this.entries[length - 1]!.term;
  }

  /** Term of the entry at `index`; undefined: not held here (beyond the end, or gone with a snapshot). */
  termAt(index: number): number | undefined {
    if (index === this.baseIndex) return this.baseTerm;
    return this.entries[index - this.baseIndex - 1]?.term;
  }

  at(index: number): Entry | undefined {
    return this.entries[index - this.baseIndex - 1];
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, `entry ${entry.index} does not follow ${this.lastIndex}`);
    assert(entry.term >= this.lastTerm, "terms never fall");
    this.entries.push(entry);
    if (entry.kind === "members") {
      this.members = entry.members;
      this.membersIndex = entry.index;
    }
  }

  /** Drops the entries from `index` on. */
  truncate(index: number): void {
    assert(index > this.baseIndex && index <= this.lastIndex, `cannot cut the log at ${index}`);
    this.entries.length = index - this.baseIndex - 1;
    if (this.membersIndex < index) return;
    [this.members, this.membersIndex] = this.membersAsOf(index - 1);
  }

  private membersAsOf(index: number): [MemberSet, number] {
    for (let at = index - this.baseIndex - 1; at >= 0; at--) {
      const entry = this.entries[at]!;
      if (entry.kind === "members") return [entry.members, entry.index];
    }
    return [this.baseMembers, this.baseIndex];
  }

  membersAt(index: number): MemberSet {
    assert(index >= this.baseIndex && index <= this.lastIndex, `entry ${index} is not held`);
    return this.membersAsOf(index)[0];
  }

  /** Where a log begins that holds only what is behind `index`. */
  baseAt(index: number): { index: number; term: number; members: MemberSet } {
    const term = this.termAt(index);
    assert(term !== undefined, `entry ${index} is not held`);
    return { index, term, members: this.membersAt(index) };
  }

  /** Entries behind `index`. */
  behind(index: number): Entry[] {
    return this.entries.slice(index - this.baseIndex);
  }

  /** Entries from `from` on, at least one when there is one, as many as fit into `bytesMax`. */
  slice(from: number, bytesMax: number): Entry[] {
    assert(from > this.baseIndex, `entry ${from} is gone with the snapshot`);
    const taken: Entry[] = [];
    let bytes = 0;
    for (let at = from - this.baseIndex - 1; at < this.entries.length; at++) {
      const entry = this.entries[at]!;
      bytes += entryBytes(entry);
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(entry);
    }
    return taken;
  }

  /** The last index, at most `index`, whose term is at most `term`: where two logs may agree at the latest. */
  lastAtMost(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex);
    while (at > this.baseIndex && this.termAt(at)! > term) at--;
    return at;
  }

  /** Entries up to `index` are no longer needed. */
  compact(index: number): void {
    if (index <= this.baseIndex) return;
    assert(index <= this.lastIndex, "a snapshot is of entries that are held");
    const base = this.baseAt(index);
    this.entries = this.behind(index);
    this.baseIndex = index;
    this.baseTerm = base.term;
    this.baseMembers = base.members;
  }

  /** Everything is replaced by what a leader sent. */
  install(snapshot: Snapshot): void {
    this.entries = [];
    this.baseIndex = snapshot.index;
    this.baseTerm = snapshot.term;
    this.baseMembers = snapshot.members;
    this.members = snapshot.members;
    this.membersIndex = snapshot.index;
    this.snapshot = snapshot;
  }
}

/** What an entry counts for in limits: its bytes and what stands around them. */
export function entryBytes(entry: Entry): number {
  return entry.kind === "command" ? entry.data.length + 32 : 128;
}
