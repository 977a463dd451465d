/**
 * Groups and accumulators in the arena: what `findGroups` and the accumulating kernels work on, grown as groups come.
 *
 * Invariants: group numbers are given in order of first appearance; accumulators of all groups below `capacity` exist and
 * those of unused ones are zero. Whatever does not fit (arena, half of the statement's memory) throws NotVector, and the
 * caller starts over with the row operators.
 */
import { assert } from "../base/errors.js";
import {
  decodeVariable,
  readFixed,
  readWide,
  StorageKind,
  storageClassOf,
  writeWide,
} from "../model/codec-column.js";
import { divideNumeric } from "../model/numeric.js";
import type { TypeRef } from "../model/schema.js";
import { Numeric, type Value, type Wide, wide } from "../model/value.js";
import type { AggregateCall } from "../sql/plan.js";
import { accumulatorBytes, GroupKey, GroupTable, type Kernels, keyKind, orderBits } from "../wasm/index.js";
import type { MemoryBudget } from "./contract.js";
import { Account } from "./memory.js";
import { type ColumnView, isText, NotVector, slotOf } from "./vector-filter.js";
import type { VectorEngine } from "./vector-memory.js";

/** Blocks of the arena charged to a statement. */
export class VectorBlocks {
  readonly #account = new Account();
  readonly #blocks = new Map<number, number>();
  #budget: MemoryBudget | undefined;
  #engine: VectorEngine | undefined;

  open(budget: MemoryBudget): void {
    this.release();
    this.#budget = budget;
    this.#account.open(budget);
  }
  use(engine: VectorEngine): void {
    this.#engine = engine;
  }
  take(bytes: number): number {
    const budget = this.#budget!;
    if (budget.usedBytes + bytes > (budget.spillBytes ?? budget.limitBytes / 2)) throw new NotVector();
    const block = this.#engine!.arena.allocate(bytes);
    if (block === 0) throw new NotVector();
    this.#account.take(bytes);
    this.#blocks.set(block, bytes);
    return block;
  }
  takeZeroed(bytes: number): number {
    const block = this.take(bytes);
    this.#engine!.memory.u8.fill(0, block, block + bytes);
    return block;
  }
  give(block: number): void {
    const bytes = this.#blocks.get(block);
    assert(bytes !== undefined, "a block is given back that was not taken");
    this.#blocks.delete(block);
    this.#engine!.arena.free(block);
    this.#account.give(bytes);
  }
  release(): void {
    for (const block of this.#blocks.keys()) this.#engine!.arena.free(block);
    this.#blocks.clear();
    if (this.#budget !== undefined) this.#account.release();
  }
}

/** How a key column is read by `findGroups`; undefined when it cannot be. */
export function keyKindOf(type: TypeRef): number | undefined {
  switch (storageClassOf(type).kind) {
    case StorageKind.int4:
    case StorageKind.date:
      return keyKind.i32;
    case StorageKind.int8:
    case StorageKind.time:
    case StorageKind.timestamp:
    case StorageKind.numeric:
      return keyKind.i64;
    case StorageKind.float8:
      return keyKind.f64;
    case StorageKind.bool:
      return keyKind.u8;
    case StorageKind.int2:
      return keyKind.i16;
    case StorageKind.text:
      return isText(type.oid) ? keyKind.text : undefined;
    default:
      return undefined;
  }
}

export interface KeyColumn {
  readonly slot: number;
  readonly type: TypeRef;
}

const groupsAtFirst = 512;
const textAtFirst = 16_384;
const textChunkMax = 1 << 20;

/** Distinct keys and their numbers. */
export class GroupKeys {
  readonly #kinds: number[];
  readonly #storage: { readonly kind: number; readonly scale: number }[];
  #engine!: VectorEngine;
  #blocks!: VectorBlocks;
  #table = 0;
  #arrays = 0;
  #textChunk = 0;
  capacity = 0;

  constructor(readonly keys: readonly KeyColumn[]) {
    this.#kinds = keys.map(({ type }) => {
      const kind = keyKindOf(type);
      assert(kind !== undefined, "a group key has no kernel");
      return kind;
    });
    this.#storage = keys.map(({ type }) => storageClassOf(type));
  }
  open(engine: VectorEngine, blocks: VectorBlocks): void {
    this.#engine = engine;
    this.#blocks = blocks;
    this.#table = blocks.takeZeroed(GroupTable.size);
    this.#arrays = 0;
    this.#textChunk = textAtFirst;
    this.capacity = 0;
    this.#set(GroupTable.keys, this.keys.length);
    if (this.#kinds.includes(keyKind.text)) this.#addText();
    this.#grow(groupsAtFirst);
  }
  get size(): number {
    return this.#get(GroupTable.groups);
  }
  #get(field: number): number {
    return this.#engine.memory.u32[(this.#table + field) >>> 2]!;
  }
  #set(field: number, value: number): void {
    this.#engine.memory.u32[(this.#table + field) >>> 2] = value;
  }
  #addText(): void {
    const chunk = this.#blocks.take(this.#textChunk);
    this.#set(GroupTable.textNext, chunk);
    this.#set(GroupTable.textEnd, chunk + this.#textChunk);
    this.#textChunk = Math.min(textChunkMax, this.#textChunk * 4);
  }
  /** Room for `capacity` groups: the arrays move to larger ones. */
  #grow(capacity: number): void {
    const { u8 } = this.#engine.memory;
    const groups = this.size;
    const keyBytes = 8 * this.keys.length;
    const slots = 2 * capacity;
    const block = this.#blocks.take(4 * slots + capacity * (8 + keyBytes));
    const hashes = block + 4 * slots;
    const nulls = hashes + 4 * capacity;
    const keys = nulls + 4 * capacity;
    u8.fill(0, block, hashes);
    if (this.#arrays !== 0) {
      const move = (to: number, field: number, bytes: number): void => {
        const from = this.#get(field);
        u8.copyWithin(to, from, from + bytes);
      };
      move(hashes, GroupTable.hashArea, 4 * groups);
      move(nulls, GroupTable.nullArea, 4 * groups);
      move(keys, GroupTable.keyArea, keyBytes * groups);
      this.#blocks.give(this.#arrays);
    }
    this.#arrays = block;
    this.capacity = capacity;
    this.#set(GroupTable.slots, slots);
    this.#set(GroupTable.groupsMax, capacity);
    this.#set(GroupTable.slotArea, block);
    this.#set(GroupTable.hashArea, hashes);
    this.#set(GroupTable.nullArea, nulls);
    this.#set(GroupTable.keyArea, keys);
    this.#engine.kernels.rehashGroups(this.#table);
  }
  #describe(view: ColumnView, slots: readonly number[] | undefined): void {
    const { u32 } = this.#engine.memory;
    let at = this.#engine.keys >>> 2;
    for (let key = 0; key < this.keys.length; key++) {
      const slot = slots === undefined ? this.keys[key]!.slot : slots[key]!;
      u32[at + GroupKey.kind / 4] = this.#kinds[key]!;
      u32[at + GroupKey.values / 4] = view.addresses[slot]!;
      u32[at + GroupKey.nulls / 4] = view.nulls[slot]!;
      u32[at + GroupKey.page / 4] = view.page;
      u32[at + GroupKey.shift / 4] = view.shift;
      at += GroupKey.size / 4;
    }
  }
  /** Numbers of the listed rows' groups into the engine's `groups`. */
  find(view: ColumnView, list: number, count: number): void {
    const { kernels, keys, groups } = this.#engine;
    this.#describe(view, undefined);
    let done = 0;
    for (;;) {
      done += kernels.findGroups(this.#table, keys, list + 2 * done, count - done, groups + 4 * done);
      if (done === count) return;
      if (this.size >= this.capacity) this.#grow(this.capacity * 4);
      else this.#addText();
    }
  }
  /** Keeps the listed rows whose key is known, in `outList` and `groups`; NULL keys never are. */
  lookup(
    view: ColumnView,
    kinds: readonly number[],
    slots: readonly number[],
    list: number,
    count: number,
  ): number {
    const { kernels, keys, groups, outList, memory } = this.#engine;
    this.#describe(view, slots);
    for (let key = 0; key < kinds.length; key++) {
      memory.u32[(keys + GroupKey.size * key + GroupKey.kind) >>> 2] = kinds[key]!;
    }
    return kernels.lookupGroups(this.#table, keys, list, count, outList, groups);
  }
  /** Key values of groups [from, from + count). */
  read(key: number, from: number, count: number, into: Value[]): void {
    const { memory, bytes } = this.#engine;
    const { u32 } = memory;
    const stride = 8 * this.keys.length;
    const nulls = this.#get(GroupTable.nullArea) >>> 2;
    const first = this.#get(GroupTable.keyArea) + 8 * key;
    const { kind, scale } = this.#storage[key]!;
    for (let i = 0; i < count; i++) {
      const group = from + i;
      const at = first + stride * group;
      if (((u32[nulls + group]! >>> key) & 1) !== 0) into[i] = null;
      else if (kind === StorageKind.text)
        into[i] = decodeVariable(kind, bytes, u32[at >>> 2]!, u32[(at >>> 2) + 1]!);
      else into[i] = readFixed(memory, at, kind, scale);
    }
  }
}

type AccumulatorForm = "count" | "sumInteger" | "sumDouble" | "least" | "greatest";
const formBytes: Record<AccumulatorForm, number> = {
  count: accumulatorBytes.count,
  sumInteger: accumulatorBytes.sumInteger,
  sumDouble: accumulatorBytes.sumDouble,
  least: accumulatorBytes.extreme,
  greatest: accumulatorBytes.extreme,
};
/** Where each form keeps the number of values it has seen. */
const countOffset: Record<AccumulatorForm, number> = {
  count: 0,
  sumInteger: 16,
  sumDouble: 8,
  least: 8,
  greatest: 8,
};

interface Accumulated {
  readonly form: AccumulatorForm;
  /** -1: rows. */
  readonly slot: number;
  readonly kind: number;
  readonly scale: number;
  /** The lowest number stands for NaN. */
  readonly mayBeNaN: boolean;
}

interface Result {
  readonly form: "count" | "sum" | "average" | "value";
  readonly accumulator: number;
  /** Extremes of what is averaged, when squares of it could overflow. */
  readonly least: number;
  readonly greatest: number;
  /** int8 for sums of narrower integers, else numeric. */
  readonly toInteger: boolean;
}

/** What the calls of an aggregate node accumulate; calls on one column share. */
export class AccumulatorPlan {
  readonly accumulated: Accumulated[] = [];
  readonly results: Result[] = [];

  /** Index of the accumulator that counts rows, added when there is none. */
  countRows(): number {
    return this.#put("count", -1, 0, 0);
  }
  #put(form: AccumulatorForm, slot: number, kind: number, scale: number): number {
    const known = this.accumulated.findIndex((other) => other.form === form && other.slot === slot);
    if (known >= 0) return known;
    const mayBeNaN = kind === StorageKind.numeric && form !== "count";
    return this.accumulated.push({ form, slot, kind, scale, mayBeNaN }) - 1;
  }
  get slots(): number[] {
    return this.accumulated.filter(({ slot }) => slot >= 0).map(({ slot }) => slot);
  }

  /** False when the call has no kernels. `place` maps its input's slots to those of the scan, -1: not there. */
  add(call: AggregateCall, place: (slot: number) => number): boolean {
    const { fn } = call;
    if (call.filter !== undefined || call.distinct || call.directArgs.length > 0 || fn.orderedSet === true)
      return false;
    const result = (form: Result["form"], accumulator: number, rest: Partial<Result> = {}): boolean => {
      this.results.push({ form, accumulator, least: -1, greatest: -1, toInteger: false, ...rest });
      return true;
    };
    if (call.star) return fn.name === "count" && result("count", this.countRows());
    if (call.args.length !== 1) return false;
    const column = slotOf(call.args[0]!);
    if (column === undefined) return false;
    const slot = place(column.slot);
    if (slot < 0) return false;
    const { type } = column;
    const { kind, scale } = storageClassOf(type);
    if (fn.oid === 2147) return result("count", this.#put("count", slot, kind, scale));
    // The argument as the aggregate takes it: a relabelled column may be another type to it.
    if (call.args[0]!.type.oid !== type.oid || fn.args[0] !== type.oid) return false;
    const isInteger = kind === StorageKind.int2 || kind === StorageKind.int4 || kind === StorageKind.int8;
    switch (fn.name) {
      case "sum":
        if (isInteger || kind === StorageKind.numeric)
          return result("sum", this.#put("sumInteger", slot, kind, scale), { toInteger: fn.returns === 20 });
        return kind === StorageKind.float8 && result("sum", this.#put("sumDouble", slot, kind, scale));
      case "avg":
        if (isInteger || kind === StorageKind.numeric)
          return result("average", this.#put("sumInteger", slot, kind, scale));
        return (
          kind === StorageKind.float8 &&
          result("average", this.#put("sumDouble", slot, kind, scale), {
            least: this.#put("least", slot, kind, scale),
            greatest: this.#put("greatest", slot, kind, scale),
          })
        );
      case "min":
      case "max":
        switch (kind) {
          case StorageKind.int2:
          case StorageKind.int4:
          case StorageKind.int8:
          case StorageKind.date:
          case StorageKind.time:
          case StorageKind.timestamp:
          case StorageKind.numeric:
          case StorageKind.float4:
          case StorageKind.float8:
            return result("value", this.#put(fn.name === "min" ? "least" : "greatest", slot, kind, scale));
          default:
            return false;
        }
      default:
        return false;
    }
  }
}

/** Beyond this the sum of squares that avg(float8) watches could overflow: the row operator decides. */
const averageLimit = 1e100;

/** The accumulators of all groups. */
export class GroupAccumulators {
  readonly #blocks: number[] = [];
  #arena!: VectorBlocks;
  #engine!: VectorEngine;
  #capacity = 0;
  readonly #counts: Float64Array;
  readonly #starts: number[] = [];

  constructor(readonly plan: AccumulatorPlan) {
    this.#counts = new Float64Array(plan.accumulated.length);
  }
  open(engine: VectorEngine, blocks: VectorBlocks): void {
    this.#engine = engine;
    this.#arena = blocks;
    this.#blocks.length = 0;
    this.#capacity = 0;
    this.#counts.fill(0);
  }
  /** Room for groups below `capacity`. */
  ensure(capacity: number): void {
    if (capacity <= this.#capacity) return;
    const { u8 } = this.#engine.memory;
    const { accumulated } = this.plan;
    for (let a = 0; a < accumulated.length; a++) {
      const bytes = formBytes[accumulated[a]!.form];
      const block = this.#arena.takeZeroed(bytes * capacity);
      const old = this.#blocks[a];
      if (old !== undefined) {
        u8.copyWithin(block, old, old + bytes * this.#capacity);
        this.#arena.give(old);
      }
      this.#blocks[a] = block;
    }
    this.#capacity = capacity;
  }
  /** A scaled numeric that is NaN has no place in these sums. */
  #checkNaN(kernels: Kernels, view: ColumnView): void {
    for (const { mayBeNaN, slot } of this.plan.accumulated) {
      if (mayBeNaN && kernels.anyLowestI64(view.addresses[slot]!, view.rows)) throw new NotVector();
    }
  }

  /** The listed rows, each to its group. */
  add(view: ColumnView, list: number, groups: number, count: number): void {
    const { kernels } = this.#engine;
    this.#checkNaN(kernels, view);
    const { accumulated } = this.plan;
    for (let a = 0; a < accumulated.length; a++) {
      const { form, slot, kind } = accumulated[a]!;
      const into = this.#blocks[a]!;
      if (form === "count") {
        if (slot < 0 || view.nulls[slot] === 0) kernels.groupCount(groups, count, into);
        else kernels.groupCountNotNull(list, groups, count, view.nulls[slot]!, into);
        continue;
      }
      const values = view.addresses[slot]!;
      const nulls = view.nulls[slot]!;
      if (form === "sumInteger") {
        if (kind === StorageKind.int2) kernels.groupSumI16(values, nulls, list, groups, count, into);
        else if (kind === StorageKind.int4) kernels.groupSumI32(values, nulls, list, groups, count, into);
        else kernels.groupSumI64(values, nulls, list, groups, count, into);
      } else if (form === "sumDouble") kernels.groupSumF64(values, nulls, list, groups, count, into);
      else {
        const sign = form === "least" ? orderBits.less : orderBits.greater;
        groupExtreme(kernels, kind)(values, nulls, list, groups, count, sign, into);
      }
    }
  }

  /** All rows of the bitmap (0: all of the view) to group 0, which is the only one. */
  addPlain(view: ColumnView, bitmap: number, count: number): void {
    const { kernels, spare, memory } = this.#engine;
    this.#checkNaN(kernels, view);
    const { accumulated } = this.plan;
    const { rows } = view;
    const bitmapSize = ((rows + 63) >>> 6) * 8;
    let filled = bitmap;
    for (let a = 0; a < accumulated.length; a++) {
      const { form, slot, kind } = accumulated[a]!;
      if (slot < 0 || (form === "count" && view.nulls[slot] === 0)) {
        this.#counts[a]! += count;
        continue;
      }
      if (filled === 0) {
        filled = this.#engine.bitmap;
        kernels.bitmapFill(filled, rows);
      }
      let chosen = filled;
      let values = count;
      if (view.nulls[slot] !== 0) {
        chosen = spare;
        memory.u8.copyWithin(spare, filled, filled + bitmapSize);
        kernels.bitmapAndNot(spare, view.nulls[slot]!, rows);
        values = kernels.bitmapCount(spare, rows);
      }
      const started = this.#counts[a]! > 0 ? 1 : 0;
      this.#counts[a]! += values;
      if (form === "count" || values === 0) continue;
      const address = view.addresses[slot]!;
      const into = this.#plainBlock(a);
      if (form === "sumInteger") {
        if (kind === StorageKind.int2) kernels.sumI16(address, rows, chosen, into);
        else if (kind === StorageKind.int4) kernels.sumI32(address, rows, chosen, into);
        else kernels.sumI64(address, rows, chosen, into);
      } else if (form === "sumDouble") kernels.sumF64(address, rows, chosen, into);
      else extremes(kernels, kind)(address, rows, chosen, started, into);
    }
  }
  #plainBlock(a: number): number {
    let start = this.#starts[a];
    if (start === undefined) {
      start = this.#arena.takeZeroed(32);
      this.#starts[a] = start;
    }
    return start;
  }
  /** After the last `addPlain`: the results stand as those of group 0. */
  finishPlain(): void {
    this.ensure(1);
    const { memory } = this.#engine;
    const { accumulated } = this.plan;
    for (let a = 0; a < accumulated.length; a++) {
      const { form } = accumulated[a]!;
      const into = this.#blocks[a]!;
      const from = this.#starts[a];
      if (from !== undefined) {
        const value = form === "greatest" ? from + 8 : from;
        memory.u8.copyWithin(into, value, value + (form === "sumInteger" ? 16 : 8));
      }
      writeWide(memory, into + countOffset[form], this.#counts[a]!);
    }
  }
  forgetPlain(): void {
    this.#starts.length = 0;
  }

  count(accumulator: number, group: number): number {
    const { form } = this.plan.accumulated[accumulator]!;
    const at = this.#blocks[accumulator]! + formBytes[form] * group + countOffset[form];
    return Number(readWide(this.#engine.memory, at));
  }
  /**
   * Throws NotVector where a row operator must decide about a sum of doubles: overflow of finite values is an error, a sum
   * with an infinity is not, and avg watches the sum of squares.
   */
  check(groups: number): void {
    const { f64 } = this.#engine.memory;
    const { accumulated, results } = this.plan;
    const value = (accumulator: number, group: number): number => {
      const bytes = formBytes[accumulated[accumulator]!.form];
      return f64[(this.#blocks[accumulator]! + bytes * group) >>> 3]!;
    };
    for (const { accumulator, least, greatest } of results) {
      if (accumulated[accumulator]!.form !== "sumDouble") continue;
      for (let group = 0; group < groups; group++) {
        if (!Number.isFinite(value(accumulator, group))) throw new NotVector();
        if (least < 0) continue;
        if (value(least, group) < -averageLimit || value(greatest, group) > averageLimit)
          throw new NotVector();
      }
    }
  }
  /** The result of call `call` for a group that `check` has passed. */
  result(call: number, group: number): Value {
    const { form, accumulator, toInteger } = this.plan.results[call]!;
    const { form: how, kind, scale } = this.plan.accumulated[accumulator]!;
    const { memory } = this.#engine;
    const count = this.count(accumulator, group);
    if (form === "count") return count;
    if (count === 0) return null;
    const at = this.#blocks[accumulator]! + formBytes[how] * group;
    if (form === "value") return extremeValue(memory, at, kind, scale);
    if (how === "sumDouble") {
      const sum = memory.f64[at >>> 3]!;
      return form === "sum" ? sum : sum / count;
    }
    const sum = this.#wideSum(at);
    if (form === "average") return divideNumeric(new Numeric(sum, scale), new Numeric(count, 0));
    return toInteger ? sum : new Numeric(sum, scale);
  }
  /** The 128-bit sum at `at`. */
  #wideSum(at: number): Wide {
    const { memory } = this.#engine;
    const low = readWide(memory, at);
    const high = memory.i32[(at + 8) >>> 2]!;
    // The upper half only repeats the sign: the lower one is the number.
    if (high === memory.i32[(at + 12) >>> 2]! && high === (low < 0 ? -1 : 0)) return low;
    return wide((memory.view.getBigInt64(at + 8, true) << 64n) + memory.view.getBigUint64(at, true));
  }
}

function extremeValue(memory: VectorEngine["memory"], at: number, kind: number, scale: number): Value {
  switch (kind) {
    case StorageKind.float4:
    case StorageKind.float8:
      return memory.f64[at >>> 3]!;
    case StorageKind.int2:
      return memory.i32[at >>> 2]!;
    default:
      return readFixed(memory, at, kind, scale);
  }
}

function groupExtreme(kernels: Kernels, kind: number): Kernels["groupExtremeI64"] {
  switch (kind) {
    case StorageKind.int2:
      return kernels.groupExtremeI16;
    case StorageKind.int4:
    case StorageKind.date:
      return kernels.groupExtremeI32;
    case StorageKind.float4:
      return kernels.groupExtremeF32;
    case StorageKind.float8:
      return kernels.groupExtremeF64;
    default:
      return kernels.groupExtremeI64;
  }
}
function extremes(kernels: Kernels, kind: number): Kernels["extremesI64"] {
  switch (kind) {
    case StorageKind.int2:
      return kernels.extremesI16;
    case StorageKind.int4:
    case StorageKind.date:
      return kernels.extremesI32;
    case StorageKind.float4:
      return kernels.extremesF32;
    case StorageKind.float8:
      return kernels.extremesF64;
    default:
      return kernels.extremesI64;
  }
}
