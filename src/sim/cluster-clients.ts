/**
 * Clients of the control plane: on every node they ask for changes of settings, catalog, members and policies, and note what
 * they are told.
 */
import { DbError } from "../base/errors.js";
import type { BundleSource, ClusterChange } from "../cluster/contract.js";
import { encodeProposal } from "../cluster/control-state.js";
import type { ControlPlane, Member } from "../cluster/index.js";
import { roleBits } from "../cluster/index.js";
import type { SchemaDesc } from "../model/schema.js";
import { uuidFromBytes } from "../model/uuid.js";
import type { Asked } from "./cluster-model.js";
import { type ControlProcess, counterId, type World } from "./cluster-process.js";
import { type Operation, takesVotes } from "./cluster-swarm.js";
import { simTrust } from "./trust.js";

/** What a change may be answered with; anything else is a fault of ours. */
const answers = new Set([
  "22023",
  "28000",
  "40001",
  "42704",
  "42710",
  "53400",
  "55000",
  "55006",
  "57P01",
  "57P03",
  "58030",
  "08007",
  "XX001",
]);
const askedAtOnce = 6;
const simRoleUuid = "00000000-0000-4000-8000-00000000000a";

export class Clients {
  readonly #world: World;
  /** Of counters: how many were answered. */
  counted = 0;
  #stopped = false;
  #rivals = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** They go on until the process ends, or `pause`. */
  async serve(process: ControlProcess): Promise<void> {
    const { swarm } = this.#world;
    let under = 0;
    for (;;) {
      const { random, clock } = process;
      const wait = -Math.log(1 - random.fraction()) * swarm.operationEveryMs * swarm.nodes;
      await new Promise<void>((resolve) => clock.after(wait, resolve));
      if (!process.ready) {
        if (process.dead || process.fault !== undefined || process.stopping) return;
        continue;
      }
      if (this.#stopped || process.stalled || under >= askedAtOnce) continue;
      under++;
      const operation = swarm.operations[random.below(swarm.operations.length)]!;
      void this.#perform(process, process.plane!, operation).then(() => {
        under--;
      });
    }
  }
  pause(): void {
    this.#stopped = true;
  }
  resume(): void {
    this.#stopped = false;
  }

  /** Resolves with what was answered; never where the process ends before. */
  async ask(process: ControlProcess, what: string, submit: () => Promise<unknown>): Promise<Asked> {
    const { model, log } = this.#world;
    const asked = model.ask(process.name, what);
    process.lastSubmitted = undefined;
    const answered = submit();
    asked.origin = process.lastSubmitted;
    log.note(`${process.name} asks ${asked.id}: ${what}`);
    try {
      await answered;
      if (process.dead) return asked;
      log.note(`${process.name} done ${asked.id}`);
      model.done(asked);
    } catch (error) {
      if (!(error instanceof DbError)) {
        log.violated(
          "no broken invariant",
          `${what}: ${error instanceof Error ? error.stack : String(error)}`,
        );
        return asked;
      }
      if (process.dead) return asked;
      // What it had proposed before its folder was put back may have had the same numbers.
      if (process.member.putBack !== undefined) asked.origin = undefined;
      const { sqlstate, condition, message } = error;
      asked.sqlstate = sqlstate;
      asked.outcome = condition === "transactionResolutionUnknown" ? "unknown" : "refused";
      log.note(`${process.name} answers ${asked.id}: ${sqlstate} ${message}`);
      if (sqlstate === "57P03") log.sometimes("57P03 answered");
      if (sqlstate === "08007") log.sometimes("08007 answered");
      if (sqlstate === "40001") log.sometimes("40001 answered");
      if (!answers.has(sqlstate))
        log.violated("only expected answers", `${what} of ${process.name}: ${sqlstate} ${message}`);
    }
    return asked;
  }

  change(process: ControlProcess, change: ClusterChange): Promise<Asked> {
    const what = "node" in change ? `${change.kind} ${this.#nameOf(process, change.node)}` : change.kind;
    return this.ask(process, what, () => process.plane!.change(change, "admin"));
  }
  #nameOf({ plane }: ControlProcess, uuid: string): string {
    return plane?.cluster.members.get(uuid)?.name ?? uuid;
  }

  setting(process: ControlProcess): Promise<Asked> {
    const value = `${this.#world.model.asked.length + 1}s`;
    return this.change(process, { kind: "set", key: "degraded_mode.max_duration", value });
  }

  async #perform(process: ControlProcess, plane: ControlPlane, operation: Operation): Promise<unknown> {
    const { random } = process;
    const { model } = this.#world;
    const number = model.asked.length + 1;
    if (takesVotes.has(operation) && this.#world.clock.monotonic() < this.#world.quietUntil)
      return this.setting(process);
    const pick = (matches: (member: Member) => boolean): Member | undefined => {
      const fitting = [...plane.cluster.members.values()].filter(matches);
      return fitting[random.below(fitting.length)];
    };
    switch (operation) {
      case "set":
        return this.setting(process);
      case "schema": {
        const draft = plane.draft();
        draft.put({ kind: "schema", id: draft.draw(), name: `s_${number}`, owner: 10 });
        return this.ask(process, `schema s_${number}`, () => plane.propose(draft.toCommand()));
      }
      case "counter": {
        const draft = plane.draft();
        const known = plane.state.get(counterId) as SchemaDesc;
        const next = Number(known.name.slice("counter_".length)) + 1;
        draft.put({ ...known, name: `counter_${next}` });
        return this.ask(process, `counter ${next}`, () => plane.propose(draft.toCommand()));
      }
      case "token":
        return this.ask(process, "token", () =>
          plane.createJoinToken({ by: "admin", ttlMs: 20_000, roles: roleBits.VOTER }),
        );
      case "policy":
        return this.#publish(process, plane, number);
      case "rotate": {
        if (random.below(3) > 0) return this.setting(process);
        const windowMs = random.below(4) * 1000;
        return this.ask(process, "rotate", () => plane.authority({ kind: "rotate", windowMs, by: "admin" }));
      }
      case "emergency":
        return random.below(3) > 0 ? this.setting(process) : this.#emergency(process, plane);
      case "cutover": {
        const { latest } = plane.cluster;
        if (latest?.state !== "CONVERGING") return this.setting(process);
        const disabling = [...plane.cluster.missing().keys()];
        return this.change(process, { kind: "forceCutover", epoch: latest.epoch.number, disabling });
      }
      case "disable": {
        const member = pick(
          (one) => one.state === "ENABLED" && (!isHome(plane, one) || random.below(5) === 0),
        );
        if (member === undefined) return undefined;
        return this.#move(process, member, "DISABLED", number);
      }
      case "enable": {
        const member = pick((one) => one.state === "DISABLED");
        if (member === undefined) return undefined;
        return this.#move(process, member, "ENABLED", number);
      }
      case "remove": {
        if (random.below(3) > 0) return this.setting(process);
        const member = pick((one) => one.state !== "REMOVED" && !isHome(plane, one));
        return member === undefined ? undefined : this.remove(process, member, number);
      }
      case "roles": {
        const member = pick((one) => one.state !== "REMOVED" && !isHome(plane, one));
        if (member === undefined) return undefined;
        const votes = (member.roles & roleBits.VOTER) !== 0;
        const roles = (votes ? roleBits.LEARNER : roleBits.VOTER) | roleBits.COORDINATOR;
        return this.change(process, { kind: "setRoles", node: member.uuid, roles });
      }
      case "rival":
        return this.#rival(process, plane);
      case "read":
        return this.#read(process, plane);
      case "nonsense":
        return this.#nonsense(process, plane, random.below(4));
    }
  }

  /** A security bundle, of a draft or of an older version. */
  async #publish(process: ControlProcess, plane: ControlPlane, number: number): Promise<Asked | undefined> {
    const { cluster } = plane;
    const interval = "security_bundle.publish_interval";
    if (cluster.setting(interval) !== "0")
      return this.change(process, { kind: "set", key: interval, value: "0" });
    const { random } = process;
    const publish = (from: BundleSource): Promise<Asked> =>
      this.ask(process, "publish", () =>
        plane.authority({ kind: "publishBundle", from, by: "admin", creator: simRoleUuid }),
      );
    const older = cluster.pastBundles[random.below(cluster.pastBundles.length + 1)];
    if (older !== undefined && random.below(3) === 0)
      return publish({ kind: "version", version: older.version });
    let draft = cluster.bundleDraft?.id;
    if (draft === undefined) {
      const bytes = new Uint8Array(16);
      random.fill(bytes);
      const id = uuidFromBytes(bytes);
      draft = id;
      const from = cluster.bundle.version;
      const opened = await this.ask(process, "draft", () =>
        plane.draftBundle(
          { kind: "open", draft: id, version: undefined, description: `bundle ${number}`, from },
          "admin",
        ),
      );
      if (opened.outcome !== "done" || !process.isUp || process.stopping) return opened;
    }
    return publish({ kind: "draft", draft });
  }

  /** The CA is believed no more: a new one takes its place, or the one that is on its way already; or what is under way ends now. */
  async #emergency(process: ControlProcess, plane: ControlPlane): Promise<Asked> {
    const { authorities, rotation } = plane.cluster;
    const by = "admin";
    const primary = authorities.find((one) => one.primary)!;
    if (rotation !== undefined && process.random.below(3) > 0) {
      const { certificatePem } = primary;
      const immediate = process.random.below(2) === 0;
      return this.ask(process, "emergency", () =>
        plane.authority({ kind: "emergency", authority: rotation.from, certificatePem, immediate, by }),
      );
    }
    let certificatePem = "";
    const made = await this.ask(process, "emergency", async () => {
      certificatePem = (await plane.authority({ kind: "createCa", by })).authorityPem!;
    });
    if (made.outcome !== "done") return made;
    const authority = primary.fingerprint;
    return this.ask(process, "emergency", () =>
      plane.authority({ kind: "emergency", authority, certificatePem, immediate: false, by }),
    );
  }

  #move(
    process: ControlProcess,
    { uuid }: Member,
    to: "ENABLED" | "DISABLED",
    number: number,
  ): Promise<Asked> {
    return this.change(process, { kind: "moveMember", node: uuid, to, reason: `reason ${number}` });
  }
  remove(process: ControlProcess, { uuid }: Pick<Member, "uuid">, number: number): Promise<Asked> {
    return this.change(process, {
      kind: "removeMember",
      node: uuid,
      reason: `reason ${number}`,
      force: true,
      allowDataLoss: false,
    });
  }

  #nonsense(process: ControlProcess, plane: ControlPlane, kind: number): Promise<Asked> {
    switch (kind) {
      case 0:
        return this.change(process, { kind: "set", key: "no.such", value: "1" });
      case 1:
        return this.change(process, { kind: "set", key: "replication.factor", value: "many" });
      case 2:
        return this.remove(process, { uuid: plane.cluster.home }, 0);
      default:
        return this.change(process, { kind: "forceCutover", epoch: 1, disabling: [] });
    }
  }

  /** Everything that was answered before it began is to be seen by it. */
  async #read(process: ControlProcess, plane: ControlPlane): Promise<void> {
    const { model, log } = this.#world;
    const before = model.lastIndex;
    // What is in the log and applied by somebody was committed.
    try {
      await plane.catchUp();
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      return;
    }
    if (
      process.isUp &&
      !process.stopping &&
      plane.appliedIndex < before &&
      model.lastAt(plane.appliedIndex) < before
    )
      log.violated(
        "a read sees what was committed",
        `${process.name} is at ${plane.appliedIndex}, not ${before}`,
      );
  }

  /** An epoch that was built on a state which is not the newest any more, as of a leader that does not know of another. */
  async #rival(process: ControlProcess, plane: ControlPlane): Promise<void> {
    if (process.role !== "leader" || plane.cluster.latest === undefined) return;
    const { clusterUuid, log } = this.#world;
    const { member, boot, clock } = process;
    const number = 5000 + ++this.#rivals;
    const made = plane.cluster.draftEpochs(
      [
        {
          origin: { stream: member.raftId * 2 + 1, boot, number },
          change: { kind: "set", key: "degraded_mode.max_duration", value: `${100_000 + number}s` },
          by: "rival",
        },
      ],
      member.uuid,
      simTrust(clusterUuid, member.uuid, { disk: member.disk }).signer,
      Math.floor(clock.now()),
    );
    const [entry] = made;
    if (entry === undefined || "condition" in entry) return;
    const at = plane.cluster.latest.epoch.number;
    for (let turn = 0; turn < 40 && plane.cluster.latest.epoch.number === at; turn++)
      await new Promise<void>((resolve) => clock.after(50, resolve));
    if (process.role !== "leader" || process.half === undefined) return;
    log.note(`${process.name} publishes a rival of epoch ${at + 1}`);
    process.half.receive({
      kind: "propose",
      number: 900_000 + number,
      command: encodeProposal({ type: "epochs", entries: [entry] }),
    });
  }
}

function isHome(plane: ControlPlane, { uuid }: Member): boolean {
  return uuid === plane.cluster.home;
}
