/**
 * Sequences: outside transactions, advanced in blocks, so that a crash skips values and never repeats them.
 *
 * | page | field                                                                 |
 * |------|-----------------------------------------------------------------------|
 * | 128  | last value i64: the end of the block taken                            |
 * | 136  | is called u8                                                          |
 *
 * Invariant: no value is given that the page, as changed, would give again; a commit that showed a value to a client
 * waits for the page (engine.ts, `sequencesAhead`).
 */
import { DbError } from "../base/errors.js";
import { type PageStore, PageType } from "../storage/contract.js";
import type { SequenceState } from "./contract.js";
import type { EngineCore } from "./engine.js";

const lastValueAt = 128;
const isCalledAt = 136;
const blockValues = 32n;

export function sequenceRoot(store: PageStore, storageId: number, start: bigint): number {
  const page = store.allocate(PageType.sequence, storageId);
  const address = store.page(page, PageType.sequence);
  store.pool.view.setBigInt64(address + lastValueAt, start, true);
  store.changed(address, lastValueAt, 9);
  return page;
}

type Step = Parameters<SequenceState["next"]>[0];

export class EngineSequence implements SequenceState {
  readonly #core: EngineCore;
  readonly #page: number;
  #last = 0n;
  #isCalled = false;
  /** Values after `#last` that the page counts as given. */
  #ahead = 0n;
  #increment = 0n;
  #loaded = false;

  constructor(core: EngineCore, page: number) {
    this.#core = core;
    this.#page = page;
  }

  #address(): number {
    const { store } = this.#core;
    store.beginOperation();
    const address = store.page(this.#page, PageType.sequence);
    if (!this.#loaded) {
      this.#last = store.pool.view.getBigInt64(address + lastValueAt, true);
      this.#isCalled = store.pool.u8[address + isCalledAt] === 1;
      this.#loaded = true;
    }
    return address;
  }

  #write(address: number, last: bigint, isCalled: boolean): void {
    const { store } = this.#core;
    store.pool.view.setBigInt64(address + lastValueAt, last, true);
    store.pool.u8[address + isCalledAt] = isCalled ? 1 : 0;
    store.changed(address, lastValueAt, 9);
    this.#core.sequencesAhead = true;
  }

  next(step: Step): bigint {
    if (this.#loaded && this.#ahead > 0n && this.#increment === step.increment) {
      const value = this.#last + step.increment;
      if (value >= step.minimum && value <= step.maximum) {
        this.#ahead--;
        this.#last = value;
        return value;
      }
    }
    const address = this.#address();
    let value = this.#isCalled ? this.#last + step.increment : this.#last;
    if (value > step.maximum || value < step.minimum) {
      const up = step.increment > 0n;
      if (!step.cycle) {
        throw new DbError(
          "sequenceGeneratorLimitExceeded",
          up
            ? `nextval: reached maximum value of sequence "${step.name}" (${step.maximum})`
            : `nextval: reached minimum value of sequence "${step.name}" (${step.minimum})`,
        );
      }
      value = up ? step.minimum : step.maximum;
    }
    this.#core.store.reserve(1);
    // The page names the end of the block, kept within the bounds so that a restart does not run into them early.
    let ahead = blockValues;
    const limit = step.increment > 0n ? step.maximum : step.minimum;
    const left = (limit - value) / step.increment;
    if (left < ahead) ahead = left < 0n ? 0n : left;
    this.#write(address, value + step.increment * ahead, true);
    this.#last = value;
    this.#isCalled = true;
    this.#ahead = ahead;
    this.#increment = step.increment;
    return value;
  }

  set(value: bigint, isCalled: boolean): void {
    const address = this.#address();
    this.#core.store.reserve(1);
    this.#write(address, value, isCalled);
    this.#last = value;
    this.#isCalled = isCalled;
    this.#ahead = 0n;
  }

  read(): { readonly lastValue: bigint; readonly isCalled: boolean } {
    if (!this.#loaded) this.#address();
    return { lastValue: this.#last, isCalled: this.#isCalled };
  }
}
