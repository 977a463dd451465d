/** What goes wrong beside an entry that is applied, and what is forgotten when. */
import { beforeAll, expect, test } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import { controlInLoop } from "../control-host.js";
import type { SchemaDesc } from "../model/schema.js";
import { silentLog } from "../observe/index.js";
import { SimClock } from "../sim/clock.js";
import { SimDisk } from "../sim/disk.js";
import { SimRandom } from "../sim/random.js";
import { simTrust } from "../sim/trust.js";
import { ControlPlane, roleBits } from "./index.js";

let hash: XXHashAPI;
beforeAll(async () => {
  hash = await xxhash();
});

const clusterUuid = "01900000-0000-7000-8000-000000000001";
const uuid = "01900000-0000-7000-8000-000000000002";
const addresses = { control: "h:1", rpc: "h:2", pg: "h:3" };

async function open(disk: SimDisk, boot = 1, snapshotAfterBytes?: number): Promise<ControlPlane> {
  const { clock } = disk;
  const random = new SimRandom(boot);
  const trust = simTrust(clusterUuid, uuid);
  const { certFingerprint, publicKey } = trust.signer;
  const member = { uuid, name: "n", certFingerprint, publicKey, addresses, hostLabel: "", version: 1000 };
  const { channel } = controlInLoop(
    {
      self: { uuid, name: "n", raftId: 1, boot: { count: boot, nonce: `n${boot}` }, version: 1000 },
      clusterUuid,
      host: "h",
      port: 1,
      anyPort: false,
      founds:
        boot > 1
          ? undefined
          : { clusterName: "c", member: { ...member, roles: roleBits.VOTER }, crl: undefined },
      established: boot > 1,
      firstPeers: [],
      joinFacts: {},
    },
    { clock, random, disk, hash, log: silentLog, trust, network: undefined, snapshotAfterBytes },
  );
  const control = new ControlPlane({
    channel,
    virtuals: [],
    pki: trust.pki,
    clock,
    random,
    self: { uuid, raftId: 1, boot },
  });
  await control.open(0);
  await control.until(() => control.cluster.latest !== undefined);
  return control;
}

function putSchema(control: ControlPlane, name: string): Promise<void> {
  const draft = control.draft();
  const schema: SchemaDesc = { kind: "schema", id: draft.draw(), name, owner: 10 };
  draft.put(schema);
  return control.propose(draft.toCommand());
}

const names = (control: ControlPlane): string[] =>
  [...control.state.objects()].map((object) => ("name" in object ? object.name : ""));

test("what was answered is there again, from the log and from a snapshot", async () => {
  for (const snapshotAfterBytes of [undefined, 3000]) {
    const disk = new SimDisk({ clock: new SimClock(), seed: 3 });
    const control = await open(disk, 1, snapshotAfterBytes);
    for (let at = 0; at < 40; at++) await putSchema(control, `s${at}`);
    const wanted = JSON.stringify(control.state.saved());
    const { epochs } = control.cluster;
    await control.close();
    expect(disk.listSync("raft").some((name) => name.startsWith("snapshot"))).toBe(
      snapshotAfterBytes !== undefined,
    );
    const again = await open(disk, 2, snapshotAfterBytes);
    expect(JSON.stringify(again.state.saved())).toBe(wanted);
    expect(again.cluster.epochs).toEqual(epochs);
    await putSchema(again, "behind");
    expect(names(again)).toHaveLength(41);
    await again.close();
  }
});

test("a change of the cluster is an epoch, or is refused with the reason", async () => {
  const control = await open(new SimDisk({ clock: new SimClock(), seed: 4 }));
  await control.change({ kind: "set", key: "membership.failure_timeout", value: "45s" }, "admin");
  expect(control.view.setting("membership.failure_timeout")).not.toBe("");
  expect(control.view.epochs.map((one) => one.state)).toEqual(["SUPERSEDED", "EFFECTIVE"]);
  expect(control.cluster.historyProblems()).toEqual([]);
  await expect(
    control.change({ kind: "set", key: "nobody.knows", value: "1" }, "admin"),
  ).rejects.toMatchObject({
    condition: "undefinedObject",
  });
  const removed = { kind: "removeMember", node: uuid, reason: "", force: true, allowDataLoss: true } as const;
  await expect(control.change(removed, "admin")).rejects.toMatchObject({
    condition: "objectNotInPrerequisiteState",
  });
  await control.close();
});

test("an entry is answered once storage has noted it, and not before", async () => {
  const control = await open(new SimDisk({ clock: new SimClock(), seed: 5 }));
  const noted: number[] = [];
  let release = (): void => {};
  control.noteDurably = (index) => {
    noted.push(index);
    return new Promise((resolve) => {
      release = resolve;
    });
  };
  let answered = false;
  const before = control.appliedIndex;
  const proposed = putSchema(control, "one").then(() => {
    answered = true;
  });
  while (noted.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(answered).toBe(false);
  release();
  await proposed;
  expect(noted).toEqual([before + 1]);
});

test("an outcome goes with the entry after the one behind which its end was durable", async () => {
  const disk = new SimDisk({ clock: new SimClock(), seed: 6 });
  const control = await open(disk);
  control.noteDurably = async () => {};
  const outcomes = (): number => [...control.state.decided()].length;
  for (let id = 1; id <= 20; id++) {
    const draft = control.draft();
    draft.put({ kind: "schema", id: draft.draw(), name: `s${id}`, owner: 10 });
    const transaction = { shard: 1, id };
    await control.propose(draft.toCommand(transaction));
    expect(control.state.outcomeOf(1, id)).toBe(true);
    control.noteResolved(transaction);
    expect(outcomes()).toBeLessThanOrEqual(3);
  }
  // Not durable as far as the catalog knows: kept.
  expect(control.state.outcomeOf(1, 20)).toBe(true);
  await control.close();
  expect([...(await open(disk, 2)).state.decided()].length).toBeLessThanOrEqual(3);
});
