/**
 * Checks a history of list-append transactions against an isolation level (after Kingsbury and Alvaro, "Elle", 2020;
 * phenomena after Adya, 1999, and Cerone and Gotsman, 2016, for snapshot isolation).
 *
 * Every append adds a number that no other append uses, to a list under a key; reads return whole lists. So a list tells
 * the order of the versions of its key, and from the orders follow the dependencies between transactions: ww (next
 * version), wr (read it), rw (read the version before it). No look into the node is needed.
 *
 * | level           | refused                                                                                    |
 * |-----------------|--------------------------------------------------------------------------------------------|
 * | all             | G0, aborted and intermediate reads, G1c, lost or doubled writes, reads behind an answer       |
 * | REPEATABLE READ | also cycles without two rw in a row (G-SI: lost update, long fork, read skew), changed reads   |
 * | SERIALIZABLE    | also every other cycle (write skew)                                                          |
 */
import type { Isolation } from "../mga/contract.js";

export type Operation =
  | { readonly kind: "append"; readonly key: number; readonly value: number; undone: boolean }
  | { readonly kind: "read"; readonly key: number; readonly list: readonly number[]; readonly at: number };

export interface HistoryTransaction {
  readonly connection: number;
  readonly operations: Operation[];
  /** Order of events: when its first statement was sent, when its end was answered. */
  readonly began: number;
  ended: number;
  /** `unknown`: COMMIT was sent and never answered. */
  status: "open" | "committing" | "committed" | "aborted" | "unknown";
}

export interface Anomaly {
  readonly name:
    | "G0"
    | "G1a aborted read"
    | "G1b intermediate read"
    | "G1c"
    | "G-SI"
    | "lost update"
    | "write skew (G2)"
    | "lost write"
    | "doubled row or value"
    | "incompatible order"
    | "changed read"
    | "stale read";
  readonly what: string;
}

interface Writer {
  readonly transaction: number;
  /** Not the transaction's last append to the key. */
  intermediate: boolean;
  readonly aborted: boolean;
}

const anomaliesMax = 20;

export class HistoryCheck {
  readonly anomalies: Anomaly[] = [];
  readonly #writers = new Map<number, Writer>();
  readonly #places = new Map<number, number>();
  /** Edges by kind: from -> to. */
  readonly #depends: Set<number>[] = [];
  readonly #precedes: Set<number>[] = [];
  readonly #ww: Set<number>[] = [];

  /** `final`: every key's list, read when all had ended. */
  constructor(
    readonly history: readonly HistoryTransaction[],
    readonly final: ReadonlyMap<number, readonly number[]>,
    readonly isolation: Isolation,
  ) {}

  get edges(): number {
    let sum = 0;
    for (const list of [this.#depends, this.#precedes]) for (const targets of list) sum += targets.size;
    return sum;
  }

  #found(name: Anomaly["name"], what: string): void {
    if (this.anomalies.length < anomaliesMax) this.anomalies.push({ name, what });
  }

  #name(transaction: number): string {
    const { connection, operations } = this.history[transaction]!;
    const shown = operations.map((one) =>
      one.kind === "append"
        ? `${one.key}+=${one.value}${one.undone ? " undone" : ""}`
        : `${one.key}=[${one.list.length > 4 ? "…," : ""}${one.list.slice(-4).join(",")}]`,
    );
    return `T${transaction} (connection ${connection}: ${shown.join(" ")})`;
  }

  run(): readonly Anomaly[] {
    this.#orders();
    this.#writes();
    this.#reads();
    this.#cycles();
    return this.anomalies;
  }

  /** Version orders: place of each value in its key's final list. */
  #orders(): void {
    for (const [key, list] of this.final) {
      list.forEach((value, place) => {
        if (this.#places.has(value))
          this.#found("doubled row or value", `key ${key} holds ${value} twice at the end`);
        this.#places.set(value, place);
      });
    }
    this.history.forEach((transaction, at) => {
      this.#depends.push(new Set());
      this.#precedes.push(new Set());
      this.#ww.push(new Set());
      const last = new Map<number, Writer>();
      for (const one of transaction.operations) {
        if (one.kind !== "append") continue;
        // Who sent COMMIT and got no answer is committed exactly if his value is there.
        const isAborted =
          one.undone ||
          (transaction.status !== "committed" &&
            !(transaction.status === "unknown" && this.#places.has(one.value)));
        const writer: Writer = { transaction: at, intermediate: false, aborted: isAborted };
        this.#writers.set(one.value, writer);
        if (one.undone) continue;
        const before = last.get(one.key);
        if (before !== undefined) before.intermediate = true;
        last.set(one.key, writer);
      }
    });
  }

  #isCommitted(transaction: HistoryTransaction): boolean {
    if (transaction.status === "committed") return true;
    return (
      transaction.status === "unknown" &&
      transaction.operations.some(
        (one) => one.kind === "append" && !one.undone && this.#places.has(one.value),
      )
    );
  }

  #writes(): void {
    this.history.forEach((transaction, at) => {
      if (!this.#isCommitted(transaction)) return;
      for (const one of transaction.operations) {
        if (one.kind === "append" && !one.undone && !this.#places.has(one.value))
          this.#found("lost write", `${one.value} of ${this.#name(at)} is not in the list at the end`);
      }
    });
    for (const [key, list] of this.final) {
      for (let place = 0; place < list.length; place++) {
        const writer = this.#writers.get(list[place]!);
        if (writer === undefined)
          this.#found("G1a aborted read", `key ${key} holds ${list[place]}, which nobody wrote`);
        else if (writer.aborted)
          this.#found(
            "G1a aborted read",
            `key ${key} holds ${list[place]} of ${this.#name(writer.transaction)} at the end`,
          );
        const before = place === 0 ? undefined : this.#writers.get(list[place - 1]!);
        if (writer === undefined || before === undefined || before.transaction === writer.transaction)
          continue;
        this.#ww[before.transaction]!.add(writer.transaction);
        this.#depends[before.transaction]!.add(writer.transaction);
      }
    }
  }

  #reads(): void {
    const answered = this.#answeredVersions();
    this.history.forEach((transaction, at) => {
      // Reads of transactions that failed later were answers all the same; only cycles ask for committed ones.
      const isCommitted = this.#isCommitted(transaction);
      const own = new Map<number, number[]>();
      const seen = new Map<number, number>();
      for (const one of transaction.operations) {
        if (one.kind === "append") {
          if (one.undone) continue;
          const list = own.get(one.key) ?? [];
          list.push(one.value);
          own.set(one.key, list);
          continue;
        }
        const mine = own.get(one.key) ?? [];
        const foreign = one.list.slice(0, Math.max(0, one.list.length - mine.length));
        const tail = one.list.slice(foreign.length);
        if (mine.length > 0 && tail.join() !== mine.join()) {
          this.#found("changed read", `${this.#name(at)} does not see its own appends to key ${one.key}`);
          continue;
        }
        if (!this.#readsOrder(at, one.key, foreign)) continue;
        const length = foreign.length;
        const before = seen.get(one.key);
        if (this.isolation !== "readCommitted" && before !== undefined && before !== length)
          this.#found(
            "changed read",
            `${this.#name(at)} sees ${before} and ${length} values of key ${one.key}`,
          );
        seen.set(one.key, length);
        const start = this.isolation === "readCommitted" ? one.at : transaction.began;
        const least = answered(one.key, start);
        if (length < least)
          this.#found(
            "stale read",
            `${this.#name(at)} sees ${length} values of key ${one.key} though ${least} had been answered before it began`,
          );
        if (!isCommitted) continue;
        const order = this.final.get(one.key) ?? [];
        const last = length === 0 ? undefined : this.#writers.get(foreign[length - 1]!);
        if (last !== undefined && last.transaction !== at) this.#depends[last.transaction]!.add(at);
        const next = order[length];
        const overwriter = next === undefined ? undefined : this.#writers.get(next);
        if (overwriter !== undefined && overwriter.transaction !== at) {
          this.#precedes[at]!.add(overwriter.transaction);
          if (
            this.isolation !== "readCommitted" &&
            transaction.operations.some(
              (other) => other.kind === "append" && !other.undone && other.key === one.key,
            )
          )
            this.#found(
              "lost update",
              `${this.#name(at)} read key ${one.key} and appended to it, but ${this.#name(overwriter.transaction)} came between`,
            );
        }
      }
    });
  }

  /** False when the list cannot be a state of the key. */
  #readsOrder(at: number, key: number, list: readonly number[]): boolean {
    const order = this.final.get(key) ?? [];
    for (let place = 0; place < list.length; place++) {
      const value = list[place]!;
      const writer = this.#writers.get(value);
      if (writer === undefined || writer.aborted) {
        this.#found(
          "G1a aborted read",
          `${this.#name(at)} read ${value} of key ${key}, which ${writer === undefined ? "nobody wrote" : `${this.#name(writer.transaction)} did not commit`}`,
        );
        return false;
      }
      if (list.indexOf(value) !== place) {
        this.#found("doubled row or value", `${this.#name(at)} read ${value} of key ${key} twice`);
        return false;
      }
      if (order[place] !== value) {
        this.#found(
          "incompatible order",
          `${this.#name(at)} read [${list.slice(-4).join(",")}] of key ${key}, which is no prefix of its final list`,
        );
        return false;
      }
    }
    const last = list.length === 0 ? undefined : this.#writers.get(list[list.length - 1]!);
    if (last?.intermediate === true && last.transaction !== at) {
      this.#found(
        "G1b intermediate read",
        `${this.#name(at)} read key ${key} in the middle of ${this.#name(last.transaction)}`,
      );
      return false;
    }
    return true;
  }

  /** How long a key's list was, at least, by the answers given before an instant. */
  #answeredVersions(): (key: number, instant: number) => number {
    const times = new Map<number, { readonly at: number; length: number }[]>();
    for (const transaction of this.history) {
      if (transaction.status !== "committed") continue;
      for (const one of transaction.operations) {
        if (one.kind !== "append" || one.undone) continue;
        const place = this.#places.get(one.value);
        if (place === undefined) continue;
        const list = times.get(one.key) ?? [];
        list.push({ at: transaction.ended, length: place + 1 });
        times.set(one.key, list);
      }
    }
    for (const list of times.values()) {
      list.sort((left, right) => left.at - right.at);
      let most = 0;
      for (const entry of list) entry.length = most = Math.max(most, entry.length);
    }
    return (key, instant) => {
      const list = times.get(key) ?? [];
      let low = 0;
      let high = list.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (list[middle]!.at < instant) low = middle + 1;
        else high = middle;
      }
      return low === 0 ? 0 : list[low - 1]!.length;
    };
  }

  #cycles(): void {
    const count = this.history.length;
    const plain = (edges: readonly Set<number>[]) => (from: number) => edges[from]!;
    this.#cycle("G0", count, plain(this.#ww));
    this.#cycle("G1c", count, plain(this.#depends));
    if (this.isolation === "readCommitted") return;
    // Under snapshot isolation every cycle has two rw edges in a row: none is left when each rw needs a dependency before.
    this.#cycle("G-SI", count, (from) => {
      const targets = new Set(this.#depends[from]!);
      for (const middle of this.#depends[from]!) for (const to of this.#precedes[middle]!) targets.add(to);
      return targets;
    });
    if (this.isolation !== "serializable") return;
    this.#cycle("write skew (G2)", count, (from) => [...this.#depends[from]!, ...this.#precedes[from]!]);
  }

  #cycle(name: Anomaly["name"], count: number, edges: (from: number) => Iterable<number>): void {
    const cycle = findCycle(count, edges);
    if (cycle !== undefined) this.#found(name, cycle.map((one) => this.#name(one)).join(" -> "));
  }
}

/** Nodes of one cycle of the graph, in order, or undefined. A node that leads to itself is a cycle. */
export function findCycle(count: number, edges: (from: number) => Iterable<number>): number[] | undefined {
  /** 0: not seen, 1: on the path, 2: done. */
  const state = new Uint8Array(count);
  const path: { readonly node: number; readonly rest: Iterator<number> }[] = [];
  for (let root = 0; root < count; root++) {
    if (state[root] !== 0) continue;
    state[root] = 1;
    path.push({ node: root, rest: edges(root)[Symbol.iterator]() });
    while (path.length > 0) {
      const top = path[path.length - 1]!;
      const { value: next, done } = top.rest.next() as IteratorResult<number, undefined>;
      if (done === true || next === undefined) {
        state[top.node] = 2;
        path.pop();
      } else if (state[next] === 1) {
        const nodes = path.map(({ node }) => node);
        return nodes.slice(nodes.indexOf(next));
      } else if (state[next] === 0) {
        state[next] = 1;
        path.push({ node: next, rest: edges(next)[Symbol.iterator]() });
      }
    }
  }
  return undefined;
}
