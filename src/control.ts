/**
 * Entry of the control worker (D2): the control half of a node on a real machine. Raft, leases and the control port live
 * here, so that a heavy query or a collector's pause in the main thread is never a false failover.
 *
 * Invariants: the worker ends with the node, never before it but by telling main why; it stops renewing leases when main
 * has shown no life for `mainSilenceMs` (C3).
 */
import { writeSync } from "node:fs";
import xxhash from "xxhash-wasm";
import { DbError } from "./base/errors.js";
import { recordOf, type ToControl } from "./cluster/index.js";
import { type ControlHalf, type ControlStart, startControl } from "./control-host.js";
import { hostTrust } from "./node-trust.js";
import { createLog, type LogLevel } from "./observe/index.js";
import { HostDisk, hostClock, hostRandom } from "./platform/host.js";
import { HostPeerNetwork } from "./platform/peers.js";
import { hostMilliseconds, SharedClocks, workerEnd } from "./platform/worker.js";
import { CaStore, caStoreOptions, passphraseFrom, passphraseVariable } from "./security/index.js";

export interface ControlWorkerData {
  readonly start: ControlStart;
  readonly root: string;
  readonly clocks: SharedArrayBuffer;
  readonly log: { readonly format: "json" | "pretty"; readonly level: LogLevel };
}

/** Rule C3. */
const mainSilenceMs = 5_000;

const end = workerEnd();
const { start, root, clocks: buffer, log: logOptions } = end.data as ControlWorkerData;
const clocks = new SharedClocks(buffer);
const log = createLog({
  ...logOptions,
  clock: hostClock,
  source: { node: start.self.name, component: "control" },
  write: (line) => writeSync(2, line),
});

async function run(): Promise<ControlHalf> {
  const disk = new HostDisk(root);
  const kept = { disk, random: hostRandom };
  const passphrase = passphraseFrom({ variable: process.env[passphraseVariable], kept });
  const caStore = new CaStore(disk, hostRandom, passphrase, caStoreOptions);
  if ((await caStore.adoptPlain(disk)) !== undefined)
    log.info("the key of the CA, which lay in the clear, is sealed");
  const subject = {
    clusterUuid: start.clusterUuid,
    nodeUuid: start.self.uuid,
    nodeName: start.self.name,
  };
  const trust = hostTrust({ disk, clock: hostClock, random: hostRandom, subject, writes: true, caStore });
  return startControl(start, {
    clock: hostClock,
    random: hostRandom,
    disk,
    hash: await xxhash(),
    log,
    trust,
    network: new HostPeerNetwork(),
    toMain: (message) => {
      end.post(message);
      if (message.kind === "stopped") finish();
    },
    publishLease: (until) => {
      clocks.leaseUntil = until - hostClock.monotonic() + hostMilliseconds();
    },
    mainIsAlive: () => hostMilliseconds() - clocks.beatAt < mainSilenceMs,
  });
}

/** With its sockets and its port closed nothing keeps the thread alive. */
function finish(): void {
  void running.then((half) => {
    half.close();
    end.close();
  });
}

const running = run();
running.catch((error: unknown) => {
  if (!(error instanceof DbError)) throw error;
  end.post({ kind: "fault", error: recordOf(error) });
});
end.onMessage((message) => {
  void running.then(
    (half) => half.receive(message as ToControl),
    () => undefined,
  );
});
