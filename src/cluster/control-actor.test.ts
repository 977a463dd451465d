/**
 * Control workers over a simulated wire, among them faulty ones: what a peer may say, what is believed of it, and what a member
 * may ask for in its state.
 */
import { beforeAll, describe, expect, it } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import { ByteWriter } from "../base/bytes.js";
import { DbError } from "../base/errors.js";
import { type ControlHalf, startControl } from "../control-host.js";
import type { Log, LogFields } from "../observe/index.js";
import { encodeMessage } from "../raft/index.js";
import { PeerLinks } from "../rpc/index.js";
import { ProcessClock, SimClock } from "../sim/clock.js";
import { SimDisk } from "../sim/disk.js";
import { SimWire } from "../sim/peers.js";
import { SimRandom } from "../sim/random.js";
import { simTrust } from "../sim/trust.js";
import type { FromControl } from "./channel.js";
import type { ClusterChange, FirstPeer, NewMember } from "./contract.js";
import { inTerm, leaseMs } from "./control-actor.js";
import { encodeProposal } from "./control-state.js";
import { attestationDigest } from "./epochs.js";
import { messageKind, method, roleBits, secretHashOf } from "./index.js";

let hash: XXHashAPI;
beforeAll(async () => {
  hash = await xxhash();
});

const clusterUuid = "01900000-0000-7000-8000-0000000000cc";
const names = ["a", "b", "c", "d"] as const;
type Name = (typeof names)[number];
const uuidOf = (name: string): string => `01900000-0000-7000-8000-00000000000${name}`;
const raftIdOf = (name: Name): number => names.indexOf(name) + 1;
const voter = roleBits.VOTER | roleBits.SHARD_OWNER | roleBits.COORDINATOR;
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

function memberOf(name: string): NewMember {
  const { certFingerprint, publicKey } = simTrust(clusterUuid, uuidOf(name)).signer;
  const addresses = { control: `${name}:1`, rpc: `${name}:2`, pg: `${name}:3` };
  const facts = { addresses, hostLabel: name, roles: voter, version: 1000 };
  return { uuid: uuidOf(name), name, certFingerprint, publicKey, ...facts };
}
function pinOf(name: Name, facts: Partial<FirstPeer> = {}): FirstPeer {
  const { uuid, addresses, certFingerprint } = memberOf(name);
  return { uuid, address: addresses.control, certFingerprint, raftId: raftIdOf(name), ...facts };
}

/** A start of a node's control half. Main is played: it applies at once. */
interface Process {
  readonly name: Name;
  readonly half: ControlHalf;
  readonly clock: ProcessClock;
  /** Why it has ended itself. */
  fault: FromControl | undefined;
  leaseUntil: number;
  /** Milliseconds that a lease had left when it was published. */
  longestLease: number;
  readonly refused: Map<number, DbError["condition"]>;
  numbers: number;
  readonly boot: number;
}

class World {
  readonly clock = new SimClock();
  readonly wire = new SimWire({ clock: this.clock, seed: 7, latencyMs: 0.1, spikeChance: 0 });
  readonly disks = new Map<Name, SimDisk>();
  readonly boots = new Map<Name, string[]>();
  readonly lines: string[] = [];
  readonly processes: Process[] = [];

  #logOf(name: string): Log {
    const note = (message: string, { error, ...rest }: LogFields = {}): void => {
      const why = error instanceof Error ? error.message : "";
      this.lines.push(`${name} ${message} ${why} ${JSON.stringify(rest)}`);
    };
    const log: Log = { debug: () => {}, info: note, warn: note, error: note, child: () => log };
    return log;
  }

  async start(name: Name, firstPeers: readonly FirstPeer[] = [pinOf("a")]): Promise<Process> {
    const clock = new ProcessClock(this.clock);
    const disk = this.disks.get(name) ?? new SimDisk({ clock: this.clock, seed: raftIdOf(name) });
    this.disks.set(name, disk);
    const earlier = this.boots.get(name) ?? [];
    const count = earlier.length + 1;
    const nonce = `${name}${count}`;
    this.boots.set(name, [...earlier, nonce]);
    const trust = simTrust(clusterUuid, uuidOf(name), { disk, keepsCa: name === "a" });
    const member = memberOf(name);
    let process: Process;
    let begin = (): void => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const toMain = (message: FromControl): void =>
      void begun.then(() => {
        if (message.kind === "fault") process.fault = message;
        if (message.kind === "refused") process.refused.set(message.number, message.error.condition);
        const last =
          message.kind === "apply"
            ? message.entries.at(-1)!.index
            : message.kind === "restore"
              ? message.index
              : undefined;
        if (last === undefined) return;
        const epoch = process.half.actor.state.cluster.latest?.epoch.number ?? 0;
        process.half.receive({ kind: "applied", index: last, epoch });
      });
    const half = await startControl(
      {
        self: {
          uuid: member.uuid,
          name,
          raftId: raftIdOf(name),
          boot: { count, nonce, ...{ earlier } },
          version: 1000,
        },
        clusterUuid,
        host: name,
        port: 1,
        anyPort: false,
        founds: name === "a" && count === 1 ? { clusterName: "c", member, crl: undefined } : undefined,
        established: count > 1,
        firstPeers: name === "a" ? [] : firstPeers,
        joinFacts: { a: 1 },
      },
      {
        clock,
        random: new SimRandom(raftIdOf(name) * 100 + count),
        disk,
        hash,
        log: this.#logOf(name),
        trust,
        network: this.wire.network(name),
        toMain,
        publishLease: (until) => {
          process.leaseUntil = until;
          process.longestLease = Math.max(process.longestLease, until - clock.monotonic());
        },
      },
    );
    process = {
      name,
      half,
      clock,
      fault: undefined,
      leaseUntil: Number.NEGATIVE_INFINITY,
      longestLease: 0,
      refused: new Map(),
      numbers: 0,
      boot: count,
    };
    this.processes.push(process);
    begin();
    half.receive({ kind: "open", seen: 0 });
    return process;
  }

  kill(process: Process): void {
    process.clock.stop();
    this.wire.kill(process.name);
    this.processes.splice(this.processes.indexOf(process), 1);
  }
  end(): void {
    for (const one of [...this.processes]) this.kill(one);
  }

  /** In simulated time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve));
  }
  async until(what: string, holds: () => boolean, ms = 20_000): Promise<void> {
    const deadline = this.clock.monotonic() + ms;
    while (!holds()) {
      if (this.clock.monotonic() > deadline)
        throw new Error(`not within ${ms} ms: ${what}\n${this.lines.slice(-20).join("\n")}`);
      await this.sleep(20);
    }
  }

  /** Applied where it was asked, or the condition with which it was refused. */
  async change(process: Process, change: ClusterChange, trace?: string): Promise<string> {
    const number = ++process.numbers;
    process.half.receive({ kind: "change", number, change, by: "admin", trace });
    const origin = { stream: raftIdOf(process.name) * 2, boot: process.boot, number };
    const { state } = process.half.actor;
    await this.until(
      `the change ${change.kind} is answered`,
      () => process.refused.has(number) || state.knows(origin),
    );
    return process.refused.get(number) ?? "made";
  }

  add(process: Process, name: Name): Promise<string> {
    return this.change(process, { kind: "addMember", member: memberOf(name) });
  }
  stateOf(process: Process, name: string): string | undefined {
    return process.half.actor.state.cluster.members.get(uuidOf(name))?.state;
  }
  async enabled(process: Process, ...all: readonly Name[]): Promise<void> {
    await this.until(`${all.join(", ")} enabled`, () =>
      all.every((name) => this.stateOf(process, name) === "ENABLED"),
    );
    await this.until("all of them vote", () => process.half.actor.group.voters.length === all.length);
  }
  move(process: Process, name: Name, to: "ENABLED" | "DISABLED" | "FAILED"): Promise<string> {
    return this.change(process, { kind: "moveMember", node: uuidOf(name), to, reason: "test" });
  }

  /** A and b, and c as a member that has no process: what it says the test says. */
  async withStranger(): Promise<{ a: Process; b: Process; c: Puppet }> {
    const a = await this.start("a");
    await this.until("a is founded", () => a.half.actor.state.cluster.latest !== undefined);
    await this.add(a, "b");
    const b = await this.start("b");
    await this.enabled(a, "a", "b");
    await this.add(a, "c");
    const c = await Puppet.start(this, "c", a);
    return { a, b, c };
  }
  async three(): Promise<[Process, Process, Process]> {
    const a = await this.start("a");
    await this.until("a is founded", () => a.half.actor.state.cluster.latest !== undefined);
    await this.add(a, "b");
    const b = await this.start("b");
    await this.enabled(a, "a", "b");
    await this.add(a, "c");
    const c = await this.start("c");
    for (const one of [a, b, c]) await this.enabled(one, "a", "b", "c");
    return [a, b, c];
  }
}

/** A member as its links alone: it has the certificate, and says what it likes. */
class Puppet {
  readonly #boot = 1;
  /** What it answers to greetings. */
  greeted: () => Uint8Array = () => json({});
  private constructor(
    readonly world: World,
    readonly name: Name,
    readonly links: PeerLinks,
  ) {}

  static async start(world: World, name: Name, to: Process): Promise<Puppet> {
    const network = world.wire.network(name);
    const { state } = to.half.actor;
    const trust = simTrust(clusterUuid, uuidOf(name));
    network.use(trust.credentials(state.cluster, { leaving: new Map(), told: new Map() }));
    const random = new SimRandom(5);
    const links = new PeerLinks({ network, clock: world.clock, random, hash });
    const puppet = new Puppet(world, name, links);
    links.onRequest(method.hello, async () => puppet.greeted());
    await links.listen(name, 1, false);
    links.setPeers(new Map([[uuidOf(to.name), `${to.name}:1`]]));
    await world.until("the puppet is connected", () => links.isConnected(uuidOf(to.name)));
    return puppet;
  }
  ask(to: Process, number: number, payload: Uint8Array): Promise<string> {
    return this.links.request(uuidOf(to.name), number, payload, 30_000).then(
      () => "done",
      (error: DbError) => `${error.sqlstate} ${error.fields.detail?.split(":")[0] ?? ""}`.trim(),
    );
  }
  hello(to: Process, facts: Record<string, unknown> = {}): Promise<string> {
    const boot = { count: this.#boot, nonce: "puppet" };
    return this.ask(to, method.hello, json({ boot, version: 1000, lastIndex: 0, term: 0, ...facts }));
  }
  say(to: Process, kind: number, body: Uint8Array): void {
    const payload = new ByteWriter(body.length + 4).u32(this.#boot).raw(body).take();
    this.links.send(uuidOf(to.name), kind, payload);
  }
  status(to: Process, facts: Record<string, unknown> = {}): void {
    const { term } = to.half.actor.status();
    const known = {
      boot: this.#boot,
      epoch: 1,
      applied: 1,
      version: 1000,
      sentAt: 1,
      heard: 0,
      term,
      lease: 0,
    };
    this.say(to, messageKind.status, json({ ...known, ...facts }));
  }
  /** For the leader of a term; of the one that is, when none is given. */
  propose(to: Process, command: Parameters<typeof encodeProposal>[0], number: number): Promise<string> {
    const origin = { stream: raftIdOf(this.name) * 2, boot: this.#boot, number };
    return this.ask(
      to,
      method.propose,
      inTerm(to.half.actor.status().term, undefined, encodeProposal(command, origin)),
    );
  }
  change(
    to: Process,
    change: ClusterChange,
    number: number,
    term = to.half.actor.status().term,
  ): Promise<string> {
    const origin = { stream: raftIdOf(this.name) * 2, boot: this.#boot, number };
    return this.ask(to, method.change, inTerm(term, undefined, json({ origin, change, by: "puppet" })));
  }
}

const setting = (value: string): ClusterChange => ({ kind: "set", key: "degraded_mode.max_duration", value });
const settingOf = ({ half }: Process): string | undefined =>
  half.actor.state.cluster.settings.get("degraded_mode.max_duration");

function inWorld(what: string, body: (world: World) => Promise<void>): void {
  it(what, { timeout: 60_000 }, async () => {
    const world = new World();
    try {
      await body(world);
    } finally {
      world.end();
    }
  });
}

describe("a vote", () => {
  inWorld(
    "is given to nobody who is away: not by the group, and by no epoch that would end the quorum",
    async (world) => {
      const [a, b, c] = await world.three();
      const leader = (): Process => world.processes.find(({ half }) => half.actor.group.voters.includes(1))!;
      expect(await world.move(a, "c", "DISABLED")).toBe("made");
      world.kill(c);
      await world.sleep(3000);
      // Two of three would still decide; and do, for it has no vote before it is back.
      expect(await world.move(a, "c", "ENABLED")).toBe("made");
      await world.sleep(2000);
      expect(leader().half.actor.group.voters).toEqual([1, 2]);
      expect(await world.move(a, "c", "DISABLED")).toBe("made");
      expect(await world.move(a, "b", "DISABLED")).toBe("made");
      world.kill(b);
      await world.sleep(3000);
      for (const name of ["b", "c"] as const)
        expect(await world.move(a, name, "ENABLED")).toBe("objectNotInPrerequisiteState");
      await world.start("b");
      await world.until("b is heard", () => a.half.actor.status().peers[0]?.connected === true);
      await world.sleep(1000);
      expect(await world.move(a, "b", "ENABLED")).toBe("made");
      await world.until("b votes", () => a.half.actor.group.voters.length === 2);
    },
  );

  inWorld("that was given and is taken at once does not stay with one that was removed", async (world) => {
    const [a, , c] = await world.three();
    const node = uuidOf("c");
    const learner = roleBits.LEARNER | roleBits.COORDINATOR;
    expect(await world.change(a, { kind: "setRoles", node, roles: learner })).toBe("made");
    await world.until("c only learns", () => a.half.actor.group.voters.length === 2);
    const removal = { kind: "removeMember", node, reason: "t", force: true, allowDataLoss: true } as const;
    const answers = [world.change(a, { kind: "setRoles", node, roles: voter }), world.change(a, removal)];
    expect(await Promise.all(answers)).toEqual(["made", "made"]);
    await world.until("c has heard of it", () => c.fault?.kind === "fault");
    await world.until("the group is without c", () => {
      const { voters, learners } = a.half.actor.group;
      return ![...voters, ...learners].includes(3);
    });
    expect(await world.change(a, setting("7min"))).toBe("made");
  });
});

describe("trace context", () => {
  inWorld("goes along with a change to whoever leads, and into its log", async (world) => {
    const [a, b] = await world.three();
    const follower = a.half.actor.status().role === "leader" ? b : a;
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await world.change(follower, { kind: "set", key: "no.such", value: "1" }, trace);
    const told = world.lines.filter((line) => line.includes("0af7651916cd43dd8448eb211c80319c"));
    expect(told.map((line) => line.split(" ", 7).join(" "))).toEqual([
      `${follower === a ? "b" : "a"} a change of the cluster was`,
    ]);
  });
});

describe("a message that is none", () => {
  inWorld("is refused as a greeting, a barrier, a proposal or a join, and ends nobody", async (world) => {
    const { a, c } = await world.withStranger();
    const boot = { count: 1, nonce: "x" };
    for (const bytes of [
      Buffer.from("{"),
      Buffer.from("null"),
      json([]),
      json({}),
      json({ boot, version: 1000, lastIndex: -1, term: 0 }),
      json({ boot, version: 1000, lastIndex: 0, term: 1e300 }),
      json({ boot: { count: 1.5, nonce: "x" }, version: 1000, lastIndex: 0, term: 0 }),
      json({ boot: { count: 1, nonce: "x", earlier: [7] }, version: 1000, lastIndex: 0, term: 0 }),
      json({ boot: { count: 1, nonce: "x".repeat(200) }, version: 1000, lastIndex: 0, term: 0 }),
    ])
      expect(await c.ask(a, method.hello, bytes)).toBe("08P01");
    // A newer version may say more.
    expect(await c.hello(a, { more: true })).toBe("done");
    for (const bytes of [Buffer.from(""), json({ index: "1" }), json({ index: 1e9 }), json({ index: null })])
      expect(await c.ask(a, method.barrier, bytes)).toBe("08P01");
    expect(await c.ask(a, method.propose, new Uint8Array(3))).toBe("08P01");
    const { term } = a.half.actor.status();
    expect(await c.ask(a, method.change, inTerm(term, undefined, Buffer.from("{")))).toBe("22023 MALFORMED");
    const longTrace = inTerm(term, "00-".repeat(20), json({}));
    expect(await c.ask(a, method.change, longTrace)).toBe("08P01");
    for (const bytes of [Buffer.from("["), json({ token: "x" }), json({ token: uuidOf("d"), secret: 7 })])
      expect(await c.ask(a, method.join, bytes)).toBe("08P01");
    expect(await world.change(a, setting("7min"))).toBe("made");
    expect(world.processes.map((one) => one.fault)).toEqual([undefined, undefined]);
  });

  inWorld("is dropped as a status or one of Raft's, and told of once", async (world) => {
    const { a, c } = await world.withStranger();
    expect(await c.hello(a)).toBe("done");
    for (const facts of [
      { epoch: "1" },
      { applied: -1 },
      { applied: 1.5 },
      { heard: null },
      { sentAt: -1 },
      { lease: 1e12 },
      { control: "nowhere" },
      { control: 5 },
      { version: {} },
    ])
      c.status(a, facts);
    c.say(a, messageKind.status, Buffer.from("}"));
    c.say(a, messageKind.raft, new Uint8Array([255, 1]));
    const from = raftIdOf("c");
    const { term } = a.half.actor.status();
    const vote = { kind: "vote", from, to: 1, lastIndex: 1e6, lastTerm: term, transfer: true } as const;
    c.say(a, messageKind.raft, encodeMessage({ ...vote, term: 2 ** 51 }));
    await world.sleep(100);
    expect(a.half.actor.status()).toMatchObject({ term, role: "leader" });
    expect(world.lines.filter((line) => /malformed message/.test(line))).toHaveLength(1);
    const { peers } = a.half.actor.status();
    expect(peers.find((one) => one.node === uuidOf("c"))).toMatchObject({ epoch: 0, appliedIndex: 0 });
    c.status(a);
    await world.sleep(100);
    expect(a.half.actor.status().peers.find((one) => one.node === uuidOf("c"))).toMatchObject({ epoch: 1 });
  });

  inWorld("cannot make a lease longer: nobody has heard what is not said yet", async (world) => {
    const { a, b } = await world.withStranger();
    await world.until("b has a lease", () => b.leaseUntil > world.clock.monotonic());
    const { term, lastIndex } = a.half.actor.status();
    const heard = world.clock.monotonic() + 1e9;
    const body = json({
      boot: 1,
      epoch: 1,
      applied: lastIndex,
      version: 1000,
      sentAt: 1,
      heard,
      term,
      lease: 900,
    });
    // As from the leader, whose lease it is.
    b.half.actor.message(uuidOf("a"), messageKind.status, new ByteWriter(99).u32(1).raw(body).take());
    await world.sleep(1000);
    expect(b.leaseUntil).toBeGreaterThan(world.clock.monotonic());
    expect(b.longestLease).toBeLessThanOrEqual(leaseMs);
  });
});

describe("a lease", () => {
  inWorld("ends with the member that has it, whatever is left of it", async (world) => {
    const [, b, c] = await world.three();
    for (const one of [b, c])
      await world.until("it has a lease", () => one.leaseUntil > world.clock.monotonic() + 500);
    b.half.receive({ kind: "stop" });
    await world.sleep(50);
    expect(b.leaseUntil).toBe(Number.NEGATIVE_INFINITY);
    expect(c.leaseUntil).toBeGreaterThan(world.clock.monotonic());
  });
});

describe("a member that is not enabled", () => {
  inWorld("may say what it is, and changes nothing", async (world) => {
    const { a, c } = await world.withStranger();
    expect(await c.hello(a)).toBe("done");
    const node = uuidOf("c");
    expect(world.stateOf(a, "c")).toBe("JOINING");
    const boot = { count: 1, nonce: "puppet" };
    expect(await c.propose(a, { type: "boot", node, boot, version: 1000 }, 1)).toBe("done");
    const epoch = a.half.actor.state.cluster.latest!.epoch.number;
    const content = { node, epoch, activatedAt: 1, observations: [] };
    const signature = simTrust(clusterUuid, node).signer.sign(attestationDigest(content));
    expect(await c.propose(a, { type: "attest", attestation: { ...content, signature } }, 2)).toBe("done");
    expect(a.half.actor.state.cluster.readyEpochOf(node)).toBe(epoch);
    const addresses = { control: "c:1", rpc: "c:7", pg: "c:8" };
    expect(await c.change(a, { kind: "setAddresses", node, addresses }, 3)).toBe("done");
    expect(a.half.actor.state.cluster.members.get(node)?.addresses).toEqual(addresses);

    const others = { kind: "setAddresses", node: uuidOf("b"), addresses } as const;
    for (const change of [setting("3min"), others, { kind: "setRoles", node, roles: voter } as const])
      expect(await c.change(a, change, 4)).toBe("55000 NOT_ENABLED");
    const token = { id: uuidOf("d"), secretHash: "0".repeat(64), expiresAt: 9e12, by: "x", roles: voter };
    expect(await c.propose(a, { type: "token", token, at: 1 }, 4)).toBe("55000 NOT_ENABLED");
    expect(a.half.actor.state.cluster.tokens.size).toBe(0);
    expect(settingOf(a)).toBeUndefined();
    // What was made is not refused when it is asked for again.
    expect(await c.change(a, setting("3min"), 3)).toBe("done");
    expect(settingOf(a)).toBeUndefined();
  });

  inWorld(
    "is refused when it is disabled, through its own main too; enabled again it is heard",
    async (world) => {
      const [a, b] = await world.three();
      expect(await world.move(a, "b", "DISABLED")).toBe("made");
      await world.until("b knows", () => world.stateOf(b, "b") === "DISABLED");
      expect(await world.change(b, setting("3min"))).toBe("objectNotInPrerequisiteState");
      expect(await world.move(b, "b", "ENABLED")).toBe("objectNotInPrerequisiteState");
      await world.until(
        "b is ready",
        () => a.half.actor.state.cluster.readyEpochOf(uuidOf("b")) !== undefined,
      );
      expect(await world.move(a, "b", "ENABLED")).toBe("made");
      await world.until("b knows", () => world.stateOf(b, "b") === "ENABLED");
      expect(await world.change(b, setting("3min"))).toBe("made");
    },
  );

  inWorld("leads and is FAILED: it enables itself", async (world) => {
    const [a, b, c] = await world.three();
    expect(await world.move(a, "c", "FAILED")).toBe("made");
    await world.until("c is back", () => world.stateOf(a, "c") === "ENABLED");
    a.half.receive({ kind: "stop" });
    await world.until("b leads", () => b.half.actor.status().role === "leader");
    world.kill(a);
    // Nobody else leads, so nobody else could bring it back.
    expect(await world.move(c, "b", "FAILED")).toBe("made");
    await world.until("b is back", () => world.stateOf(c, "b") === "ENABLED");
    expect(b.half.actor.status().role).toBe("leader");
  });
});

describe("joining", () => {
  const secret = "a secret that the token has".replaceAll(" ", "_");
  const token = {
    id: uuidOf("e"),
    secretHash: secretHashOf(secret),
    expiresAt: 9e12,
    by: "admin",
    roles: voter,
  };
  async function withToken(world: World): Promise<Process> {
    const a = await world.start("a");
    await world.until("a is founded", () => a.half.actor.state.cluster.latest !== undefined);
    a.half.receive({
      kind: "propose",
      number: 77,
      command: encodeProposal({ type: "token", token, at: 1 }, { stream: 2, boot: 1, number: 77 }),
    });
    await world.until("the token is known", () => a.half.actor.state.cluster.tokens.size === 1);
    return a;
  }
  const { uuid, name, addresses, hostLabel, version } = memberOf("d");
  const request = { token: token.id, secret, uuid, name, requestPem: "x", addresses, hostLabel, version };

  inWorld("asks for the secret itself, which the log does not hold", async (world) => {
    const a = await withToken(world);
    const refused = { condition: "invalidAuthorizationSpecification" };
    for (const shown of [token.secretHash, "x", secretHashOf(token.secretHash)])
      await expect(a.half.actor.join(json({ ...request, secret: shown }))).rejects.toMatchObject(refused);
    await expect(a.half.actor.join(json({ ...request, token: uuidOf("d") }))).rejects.toMatchObject(refused);
    expect(world.stateOf(a, "d")).toBeUndefined();
    expect(Buffer.from(a.half.actor.state.save()).includes(secret)).toBe(false);
    expect(world.lines.filter((line) => /was not admitted/.test(line))).toHaveLength(4);
    const answer = JSON.parse(Buffer.from(await a.half.actor.join(json(request))).toString()) as {
      raftId: number;
      peers: unknown;
    };
    expect(answer).toMatchObject({ raftId: 2, peers: [pinOf("a")], facts: { a: 1 } });
    expect(world.stateOf(a, "d")).toBe("JOINING");
    await expect(a.half.actor.join(json(request))).rejects.toMatchObject(refused);
  });

  inWorld("a newcomer takes the certificate that it was told of, and no other of that CA", async (world) => {
    const a = await world.start("a");
    await world.until("a is founded", () => a.half.actor.state.cluster.latest !== undefined);
    await world.add(a, "b");
    const wrong = await world.start("b", [pinOf("a", { certFingerprint: "0".repeat(64) })]);
    await world.sleep(5_000);
    expect(wrong.half.actor.state.cluster.members.size).toBe(0);
    expect(world.lines.some((line) => /^b .*NOT_PINNED/.test(line))).toBe(true);
    world.kill(wrong);
    await world.start("b");
    await world.enabled(a, "a", "b");
  });

  inWorld("that was broken off is given up after ten minutes; who has started stays", async (world) => {
    const { a, c } = await world.withStranger();
    expect(await c.hello(a)).toBe("done");
    const boot = { count: 1, nonce: "puppet" };
    expect(await c.propose(a, { type: "boot", node: uuidOf("c"), boot, version: 1000 }, 1)).toBe("done");
    c.links.close();
    await world.add(a, "d");
    await world.sleep(9 * 60_000);
    expect([world.stateOf(a, "c"), world.stateOf(a, "d")]).toEqual(["JOINING", "JOINING"]);
    await world.sleep(90_000);
    expect([world.stateOf(a, "c"), world.stateOf(a, "d")]).toEqual(["JOINING", "REMOVED"]);
    expect(a.half.actor.state.cluster.members.get(uuidOf("d"))?.stateReason).toBe("its join was broken off");
  });
});

describe("a refusal", () => {
  const stale = (): never => {
    throw new DbError("invalidAuthorizationSpecification", "node was refused: so I say", {
      detail: "STALE_NODE: so.",
    });
  };

  inWorld("by one peer ends nobody; it is asked again", async (world) => {
    const { a, b, c } = await world.withStranger();
    expect(await c.hello(a)).toBe("done");
    let asked = 0;
    c.greeted = () => {
      asked++;
      return stale();
    };
    // Connected anew, they greet it.
    c.links.close();
    world.wire.kill("c");
    const again = await Puppet.start(world, "c", a);
    again.greeted = c.greeted;
    await world.sleep(10_000);
    expect(asked).toBeGreaterThan(10);
    expect([a.fault, b.fault]).toEqual([undefined, undefined]);
    expect(world.lines.filter((line) => /a peer refuses this node/.test(line)).length).toBeGreaterThan(0);
    again.greeted = () => json({});
    expect(await world.change(a, setting("7min"))).toBe("made");
  });

  inWorld("that one voter of three has made up is not believed, and a second one's is", async (world) => {
    const [, b, c] = await world.three();
    const says = (by: Name): void => c.half.actor.peerSaysRemoved(uuidOf(by));
    says("b");
    expect(c.fault).toBeUndefined();
    await world.sleep(1000);
    expect(await world.change(c, setting("7min"))).toBe("made");
    says("b");
    says("a");
    await world.until("c has ended", () => c.fault !== undefined);
    expect(c.fault).toMatchObject({ error: { detail: "REMOVED: node a says so." } });
    expect(b.fault).toBeUndefined();
  });

  inWorld("by the leader is believed", async (world) => {
    const [a, b] = await world.three();
    expect(a.half.actor.status().role).toBe("leader");
    b.half.actor.peerSaysRemoved(uuidOf("a"));
    await world.until("b has ended", () => b.fault !== undefined);
  });

  inWorld("is heard by one that was removed while it was down, within seconds", async (world) => {
    const [a, b, c] = await world.three();
    world.kill(c);
    const change = {
      kind: "removeMember",
      node: uuidOf("c"),
      reason: "old",
      force: true,
      allowDataLoss: false,
    } as const;
    expect(await world.change(a, change)).toBe("made");
    await world.sleep(5_000);
    const again = await world.start("c");
    await world.until("c has ended", () => again.fault !== undefined, 5_000);
    expect(again.fault).toMatchObject({ error: { condition: "adminShutdown" } });
    // Where one of the others is gone for good, it takes a while.
    world.kill(b);
    world.kill(again);
    const late = await world.start("c");
    await world.sleep(20_000);
    expect(late.fault).toBeUndefined();
    await world.until("c has ended", () => late.fault !== undefined, 40_000);
  });

  inWorld("of a folder that was put back comes from all, and ends it", async (world) => {
    const [a, , c] = await world.three();
    world.kill(c);
    const again = await world.start("c");
    const noted = (): number | undefined => a.half.actor.state.cluster.members.get(uuidOf("c"))?.boot.count;
    await world.until("its start is known", () => noted() === 2);
    world.kill(again);
    // Counted on from an older folder: it does not know the start that the others have seen.
    world.boots.set("c", ["c1", "unknown"]);
    const stale = await world.start("c");
    await world.until("c has ended", () => stale.fault !== undefined, 5_000);
    expect(stale.fault).toMatchObject({ error: { condition: "invalidAuthorizationSpecification" } });
  });
});

describe("what was asked of an earlier leader", () => {
  inWorld("is not taken in another term", async (world) => {
    const { a, c } = await world.withStranger();
    expect(await c.hello(a)).toBe("done");
    const { term } = a.half.actor.status();
    const addresses = { control: "c:1", rpc: "c:7", pg: "c:8" };
    const change = { kind: "setAddresses", node: uuidOf("c"), addresses } as const;
    expect(await c.change(a, change, 1, term - 1)).toBe("57P03");
    expect(await c.change(a, change, 1, term + 1)).toBe("57P03");
    expect(await c.change(a, change, 1, term)).toBe("done");
  });

  inWorld("and waited behind another change is dropped when it leads again", async (world) => {
    const { a, b, c } = await world.withStranger();
    expect(await c.hello(a)).toBe("done");
    const { term } = a.half.actor.status();
    const node = uuidOf("c");
    const to = (rpc: string): ClusterChange => ({
      kind: "setAddresses",
      node,
      addresses: { control: "c:1", rpc, pg: "c:8" },
    });
    world.kill(b);
    const first = c.change(a, to("c:71"), 1);
    await world.sleep(50);
    const second = c.change(a, to("c:72"), 2);
    await world.until("a has lost the lead", () => a.half.actor.status().role !== "leader");
    const again = await world.start("b");
    // Its log is the longest.
    await world.until("a leads again", () => a.half.actor.status().role === "leader");
    expect(a.half.actor.status().term).toBeGreaterThan(term);
    expect(await second).toBe("57P03");
    await first;
    const now = (): string | undefined => again.half.actor.state.cluster.members.get(node)?.addresses.rpc;
    await world.until("the first was made", () => now() === "c:71");
    await world.sleep(2_000);
    expect(now()).toBe("c:71");
  });
});
