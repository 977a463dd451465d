/**
 * Whole nodes in a simulated cluster: storage, engine and sessions over the same control half. The node that founded the
 * cluster holds the data; its sessions make tables and rows in one transaction, those of the others make tables that it has to
 * follow. It is killed while such a transaction waits for its entry, so that its next start finds it in limbo.
 *
 * Invariant: a transaction of both is there whole or not at all, and as it was answered (D8, C4).
 */
import { DbError } from "../base/errors.js";
import { readIdentity } from "../identity.js";
import {
  bootstrapRoleId,
  type CatalogObject,
  informationSchemaId,
  pgCatalogSchemaId,
  publicSchemaId,
  sysSchemaId,
} from "../model/schema.js";
import { type NodeCore, openCore } from "../node.js";
import type { LogFields } from "../observe/index.js";
import type { Platform } from "../platform/index.js";
import type { EngineMemory } from "../wasm/index.js";
import { ControlProcess, counterId, nodeVersion, type SimMember, type World } from "./cluster-process.js";
import { SimClient, simConfig, simMemory } from "./node.js";
import { simTrust } from "./trust.js";

const ownerId = bootstrapRoleId;

/**
 * Who founds a cluster of whole nodes, in its first start: without storage, because a password's verifier is computed by
 * threads of the host, which keep no simulated time.
 */
export class FoundingProcess extends ControlProcess {
  protected override firstObjects(): CatalogObject[] {
    const { clusterUuid } = this.world;
    const schema = (id: number, name: string): CatalogObject => ({
      kind: "schema",
      id,
      name,
      owner: ownerId,
      acl: [
        { grantee: ownerId, grantor: ownerId, privileges: "UC", grantable: "" },
        { grantee: 0, grantor: ownerId, privileges: "U", grantable: "" },
      ],
    });
    return [
      {
        kind: "role",
        id: ownerId,
        name: "admin",
        superuser: true,
        inherit: true,
        createRole: true,
        createDb: true,
        login: true,
        replication: true,
        bypassRls: true,
        connectionLimit: -1,
        password: undefined,
        memberOf: [],
      },
      { kind: "database", id: 5, name: "scratchbird", owner: ownerId },
      { kind: "cluster", id: 6, name: "sim", uuid: clusterUuid, acl: [] },
      schema(counterId, "counter_0"),
      schema(pgCatalogSchemaId, "pg_catalog"),
      schema(informationSchemaId, "information_schema"),
      schema(sysSchemaId, "sys"),
      schema(publicSchemaId, "public"),
    ];
  }
}

/** Lent to one process after the other: a hundred megabytes each. */
const idleMemory: EngineMemory[] = [];

const noNetwork: Platform["network"] = {
  listen: () => Promise.reject(new DbError("featureNotSupported", "a simulated node has no sockets")),
};

export class WholeProcess extends ControlProcess {
  core: NodeCore | undefined;
  #memory: EngineMemory | undefined;

  protected override async open(): Promise<void> {
    const { member, clock, random } = this;
    const config = {
      ...simConfig(),
      host: member.name,
      port: 5433,
      rpcPort: 7433,
      controlPort: member.port,
    };
    const lent = idleMemory.pop() ?? simMemory(config);
    this.#memory = lent;
    const { start, bytes } = lent.frames;
    lent.u8.fill(0xa5, start, start + bytes);
    const platform: Platform = { clock, random, disk: member.disk, network: noNetwork };
    const core = await openCore(config, platform, this.log, {
      lent,
      trust: ({ clusterId, nodeId }) =>
        simTrust(clusterId, nodeId, { disk: member.disk, keepsCa: member.founder }),
      startControl: (given) => this.connect({ ...given, self: { ...given.self, version: nodeVersion } }),
    });
    this.core = core;
    const { control, identity } = core;
    this.plane = control;
    if (core.fencedBy === undefined)
      void core.fenced.then((error) => {
        if (error instanceof DbError) this.over(error);
      });
    this.announce(control, identity);
    if (!identity.established)
      await control.until(() => control.cluster.members.get(member.uuid)?.state !== "JOINING");
    core.establish();
    this.nowReady();
  }

  override async stop(): Promise<void> {
    this.stopping = true;
    this.ready = false;
    const { core } = this;
    if (core === undefined) return;
    try {
      await core.close();
    } catch (error) {
      // Killed as it stopped: its storage says so to whoever waits.
      if (!this.dead) throw error;
    }
  }

  override kill(): void {
    super.kill();
    this.core?.storage.abandon();
    if (this.#memory !== undefined) idleMemory.push(this.#memory);
    this.#memory = undefined;
  }

  protected override said(message: string, { committed }: LogFields): void {
    const { log } = this.world;
    if (message === "a transaction in limbo was resolved") {
      log.note(
        `${this.name} resolved a transaction in limbo: ${committed === true ? "committed" : "aborted"}`,
      );
      log.sometimes(
        committed === true
          ? "whole node: limbo committed at restart"
          : "whole node: limbo aborted at restart",
      );
    } else if (message === "storage of a committed object was made" && this.core !== undefined)
      log.sometimes("whole node: DDL of another node followed");
  }
}

/** Which kind of process a start is. */
export function processOf(world: World, member: SimMember): ControlProcess {
  if (world.swarm.level === "control") return new ControlProcess(world, member);
  const founds = member.founder && readIdentity(member.disk)?.established === false;
  return founds ? new FoundingProcess(world, member) : new WholeProcess(world, member);
}

/** A transaction that made a table and noted it in the ledger, or a table alone. */
interface Made {
  readonly number: number;
  readonly withRows: boolean;
  outcome: "open" | "done" | "refused";
}

/** COMMIT was refused for good: nothing of it is there. */
const definite = new Set(["40001", "57P03"]);
const waitMs = 20_000;

/** Sessions on whole nodes, and what they have been told. */
export class Sessions {
  readonly #world: World;
  /** Kills the process, and starts it again after a while. */
  readonly #killSoon: (member: SimMember) => void;
  readonly #made: Made[] = [];
  #stopped = false;

  constructor(world: World, killSoon: (member: SimMember) => void) {
    this.#world = world;
    this.#killSoon = killSoon;
  }

  pause(): void {
    this.#stopped = true;
  }
  resume(): void {
    this.#stopped = false;
  }

  async serve(process: ControlProcess): Promise<void> {
    if (!(process instanceof WholeProcess)) return;
    const { random, clock, member } = process;
    let under = 0;
    for (;;) {
      await new Promise<void>((resolve) => clock.after(-Math.log(1 - random.fraction()) * 800, resolve));
      if (!process.ready) {
        if (process.dead || process.fault !== undefined || process.stopping) return;
        continue;
      }
      if (this.#stopped || process.stalled || under >= 3) continue;
      under++;
      void this.#make(process, process.core!, member.founder).then(() => {
        under--;
      });
    }
  }

  async #make(process: WholeProcess, core: NodeCore, withRows: boolean): Promise<void> {
    const { log } = this.#world;
    const made: Made = { number: this.#made.length + 1, withRows, outcome: "open" };
    this.#made.push(made);
    const table = `w_${made.number}`;
    const client = new SimClient(core);
    let committing = false;
    log.note(`${process.name} makes ${table}`);
    try {
      if (withRows) {
        await client.query("CREATE TABLE IF NOT EXISTS ledger (number integer PRIMARY KEY)");
        await client.query("BEGIN");
        await client.query(`CREATE TABLE ${table} (number integer PRIMARY KEY)`);
        await client.query(`INSERT INTO ${table} VALUES (1), (2), (3)`);
        await client.query(`INSERT INTO ledger VALUES (${made.number})`);
        committing = true;
        if (process.random.below(3) === 0)
          process.world.clock.after(process.random.fraction() * 12, () => this.#kill(process));
        await client.query("COMMIT");
        log.sometimes("whole node: DDL with rows committed");
      } else {
        committing = true;
        await client.query(`CREATE TABLE ${table} (number integer)`);
      }
      if (process.dead) return;
      made.outcome = "done";
      log.note(`${process.name} has made ${table}`);
    } catch (error) {
      if (!(error instanceof DbError)) {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        log.violated("no broken invariant", `${table} of ${process.name}: ${text}`);
        return;
      }
      if (process.dead) return;
      log.note(`${process.name} has not made ${table}: ${error.sqlstate} ${error.message}`);
      if (!committing || definite.has(error.sqlstate)) made.outcome = "refused";
      if (withRows && client.status !== "I") await client.query("ROLLBACK").catch(() => {});
    }
    client.close();
  }

  #kill(process: WholeProcess): void {
    if (!this.#stopped && !process.dead && !process.stopping) this.#killSoon(process.member);
  }

  /** The cluster is whole and equal: all that was answered is there, and everything is there whole. */
  async check(home: ControlProcess | undefined): Promise<void> {
    const { log, clock } = this.#world;
    if (!(home instanceof WholeProcess) || home.core === undefined)
      return log.violated("the node with the data is up", home?.name ?? "none");
    let { core } = home;
    let client = new SimClient(core);
    /** It may have ended as the cluster became equal, and be started again. */
    const follow = (): void => {
      const now = home.member.process;
      if (!(now instanceof WholeProcess) || now.core === undefined || now.core === core) return;
      core = now.core;
      client = new SimClient(core);
    };
    const until = clock.monotonic() + waitMs;
    const rowsOf = async (text: string): Promise<number[] | undefined> => {
      for (;;) {
        follow();
        try {
          return (await client.query(text)).rows.map(([value]) => Number(value));
        } catch (error) {
          if (!(error instanceof DbError)) throw error;
          if (error.sqlstate === "42P01") return undefined;
          // Until the last life's transactions are settled.
          if (error.sqlstate !== "57P03" || clock.monotonic() > until) {
            log.violated("a whole node serves", `${text}: ${error.sqlstate} ${error.message}`);
            return undefined;
          }
          await new Promise<void>((resolve) => clock.after(100, resolve));
        }
      }
    };
    const ledger = new Set((await rowsOf("SELECT number FROM ledger")) ?? []);
    for (const { number, withRows, outcome } of this.#made) {
      if (log.violation !== undefined) return;
      const rows = await rowsOf(`SELECT number FROM w_${number} ORDER BY number`);
      const isThere = rows !== undefined;
      const text = `w_${number}, answered ${outcome}, has ${rows?.length ?? "no table"}, the ledger ${ledger.has(number)}`;
      if (withRows && (isThere !== ledger.has(number) || (isThere && rows.join() !== "1,2,3")))
        log.violated("DDL and rows are one transaction (D8)", text);
      else if ((outcome === "done" && !isThere) || (outcome === "refused" && isThere))
        log.violated("DDL is as it was answered", text);
    }
    client.close();
  }
}
