/** Ends of transactions when the journal is full, and what they may drop. */
import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { CatalogDraft, ControlPlane } from "../cluster/index.js";
import { hostClock } from "../platform/host.js";
import type { Shard } from "../shard/index.js";
import { SessionTransaction, type TransactionHooks } from "./transaction.js";

/** An engine whose calls first wait, each as often as told, and which notes what is done. */
function made(options: { waits: number; refuseResolve?: boolean; readerFails?: boolean }): {
  transaction: SessionTransaction;
  done: string[];
  ended: boolean[];
} {
  const done: string[] = [];
  const ended: boolean[] = [];
  const left = new Map<string, number>();
  const waitFirst = (what: string): void => {
    const count = left.get(what) ?? options.waits;
    left.set(what, count - 1);
    if (count > 0) throw new Wait("journal", Promise.resolve());
    done.push(what);
  };
  const rows = { id: 9, state: "active", options: { lockTimeoutMs: 0 } };
  if (options.readerFails === true) rows.id = 0;
  const engine = {
    shard: 1,
    begin: () => rows,
    commit: async () => undefined,
    prepare: async () => undefined,
    resolve: () => {
      waitFirst("resolve");
      if (options.refuseResolve === true) throw new DbError("ioError", "the page cannot be read");
      rows.state = "committed";
    },
    rollback: () => {
      done.push("rollback");
      rows.state = "aborted";
    },
    dropObject: (storage: number) => done.push(`drop ${storage}`),
  };
  Object.assign(engine, {
    commit: () => {
      waitFirst("commit");
      if (options.readerFails === true) throw new DbError("serializationFailure", "cannot be placed");
      rows.state = "committed";
      return Promise.resolve();
    },
    prepare: () => {
      waitFirst("prepare");
      rows.state = "limbo";
      return Promise.resolve();
    },
  });
  const shard = {
    engine,
    isHere: true,
    store: { durable: async () => undefined },
    locks: { releaseAll: () => undefined },
  };
  const control = {
    state: { outcomeOf: () => (done.includes("propose") ? true : undefined) },
    propose: async () => {
      done.push("propose");
    },
    noteResolved: () => undefined,
    draft: () =>
      ({ isEmpty: false, differences: () => [], toCommand: () => ({}) }) as unknown as CatalogDraft,
  };
  const hooks: TransactionHooks = {
    settingsBegin: () => undefined,
    settingsEnd: () => undefined,
    settingsMark: () => undefined,
    settingsRollbackTo: () => undefined,
    portalsMark: () => undefined,
    portalsRollbackTo: () => undefined,
    advisoryMark: () => undefined,
    advisoryRollbackTo: () => undefined,
    defaults: () => ({ isolation: "readCommitted", readOnly: false, deferrable: false }),
    lockTimeoutMs: () => 0,
    waitFor: (ready) => ready,
    deadlockTimeoutMs: () => 1000,
    trace: () => undefined,
    auditCatalog: async () => ({ sequence: 1, hash: "" }),
    auditUndone: () => undefined,
    auditMark: () => 0,
    auditRollbackTo: () => undefined,
    ended: (committed) => ended.push(committed),
  };
  const transaction = new SessionTransaction(
    control as unknown as ControlPlane,
    shard as unknown as Shard,
    hostClock,
    hooks,
    1,
  );
  transaction.begin("block", 0);
  transaction.rows();
  return { transaction, done, ended };
}

describe("a commit that has to wait for the journal", () => {
  it("goes on afterwards instead of rolling back", async () => {
    const { transaction, done, ended } = made({ waits: 3 });
    const committed = transaction.commit();
    // A connection that ends meanwhile leaves the end to the commit.
    transaction.rollback();
    await committed;
    expect(done).toEqual(["commit"]);
    expect(ended).toEqual([true]);
    expect(transaction.state).toBe("none");
  });

  it("waits at each step of a commit with the catalog", async () => {
    const { transaction, done, ended } = made({ waits: 2 });
    transaction.draft();
    transaction.storageCreated(77);
    await transaction.commit();
    expect(done).toEqual(["prepare", "propose", "resolve"]);
    expect(ended).toEqual([true]);
  });
});

describe("storage made by a transaction", () => {
  it("stays once the entry that names it is committed, whatever fails then", async () => {
    const { transaction, done } = made({ waits: 0, refuseResolve: true });
    transaction.draft();
    transaction.storageCreated(77);
    await expect(transaction.commit()).rejects.toThrow("cannot be read");
    expect(done).not.toContain("drop 77");
    expect(transaction.state).toBe("none");
  });

  it("is dropped when the reading part fails, before anything is proposed", async () => {
    const { transaction, done, ended } = made({ waits: 0, readerFails: true });
    transaction.draft();
    transaction.storageCreated(77);
    await expect(transaction.commit()).rejects.toThrow("cannot be placed");
    expect(done).not.toContain("propose");
    expect(done).toContain("drop 77");
    expect(ended).toEqual([false]);
  });
});
