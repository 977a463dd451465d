/**
 * Whole-file check of a shard: every allocated page as it is on disk (checksum, identity, type, owner), and that what the
 * layers above can reach agrees with the free map: nothing reachable is free, nothing allocated is unreachable.
 *
 * Reads past the pool, into a scratch page, so that what is checked is the disk and not memory.
 */
import type { Clock } from "../platform/index.js";
import { PageType } from "./contract.js";
import { FixedPage, firstFreePage, PageHead, readNumber } from "./layouts.js";
import type { ShardStore } from "./pager.js";

export interface VerifyProblem {
  readonly shard: number;
  readonly page: number;
  readonly file: string;
  readonly problem: string;
}

export interface VerifyReport {
  /** Pages read. */
  readonly pages: number;
  readonly problems: readonly VerifyProblem[];
}

/** A layer that owns pages: lists those it reaches, with the type each must have, and reports what it finds wrong. */
export interface PageVerifier {
  readonly kind: string;
  readonly pages: (
    store: ShardStore,
    problem: (page: number, what: string) => void,
  ) => Iterable<{ readonly page: number; readonly type: PageType; readonly owner?: number }>;
}

const sliceMs = 1;
const problemsMax = 1000;
const pageTypes: ReadonlySet<number> = new Set(Object.values(PageType));

/** Without verifiers reachability is not judged. */
export async function verifyShard(
  store: ShardStore,
  clock: Clock,
  verifiers: readonly PageVerifier[],
): Promise<VerifyReport> {
  const problems: VerifyProblem[] = [];
  const found = (page: number, problem: string): void => {
    if (problems.length < problemsMax) {
      problems.push({ shard: store.shard, page, file: store.path, problem });
    }
  };
  const { view, u8 } = store.pool;
  const at = store.pool.scratch.start;
  const { file, pageSize } = store;
  const types = new Map<number, number>();
  const owners = new Map<number, number>();
  let pages = 0;
  let started = clock.monotonic();
  for (let page = 0; page < store.pagesTotal; page++) {
    if (!store.map.isAllocated(page) || (page > FixedPage.freeMap && page < firstFreePage)) continue;
    // A page changed since the checkpoint is not yet what it will be; its frame was checked when it came in.
    const got = file.file.readSync(u8.subarray(at, at + pageSize), page * pageSize);
    pages++;
    const flaw = got === pageSize ? file.flaw(page, at) : "lies beyond the end of the file";
    if (flaw !== undefined) {
      if (!store.isBehind(page)) found(page, flaw);
      continue;
    }
    const type = view.getUint16(at + PageHead.type, true);
    if (!pageTypes.has(type)) found(page, `has unknown type ${type}`);
    types.set(page, type);
    owners.set(page, readNumber(view, at + PageHead.owner));
    if (clock.monotonic() - started > sliceMs) {
      await clock.yield();
      started = clock.monotonic();
    }
  }
  if (verifiers.length === 0) return { pages, problems };
  const reached = new Map<number, string>();
  const reach = (kind: string, page: number, type: PageType | undefined, owner: number | undefined): void => {
    const other = reached.get(page);
    if (other !== undefined) found(page, `is reached by both ${other} and ${kind}`);
    reached.set(page, kind);
    if (!store.map.isAllocated(page)) {
      found(page, `is reached by ${kind} but free`);
      return;
    }
    const has = types.get(page);
    if (type !== undefined && has !== undefined && has !== type) {
      found(page, `has type ${has} where ${kind} expects ${type}`);
    }
    const owned = owners.get(page);
    if (owner !== undefined && owned !== undefined && owned !== owner) {
      found(page, `belongs to ${owned} where ${kind} expects ${owner}`);
    }
  };
  for (let page = 0; page < firstFreePage; page++) reach("storage", page, undefined, undefined);
  for (const page of store.directory.pageNumbers()) {
    if (page >= firstFreePage) reach("objects", page, PageType.objects, undefined);
  }
  for (const page of store.map.pageNumbers()) {
    if (page >= firstFreePage) reach("free map", page, PageType.freeMap, undefined);
  }
  for (const { kind, pages: list } of verifiers) {
    for (const { page, type, owner } of list(store, found)) reach(kind, page, type, owner);
  }
  for (const [page] of types) {
    if (!reached.has(page)) found(page, "is allocated but nothing reaches it");
  }
  return { pages, problems };
}
