/**
 * The same with the kernel's own network: every node in a network namespace with an address of its own, all on one bridge, the
 * clients beside it. A way is cut by giving the sender a wrong hardware address of the receiver: its packets go out and arrive
 * nowhere, nobody is told, and TCP does what it does when a network loses packets.
 *
 * Invariants: names are of this process, so that runs do not meet; all of it is gone when the process ends; clients reach every
 * node at all times. Needs root on Linux.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import type { Network } from "./network.js";
import { type ClusterNode, type Place, TestCluster } from "./nodes.js";

const subnet = "10.213.77";
const nobody = "02:00:00:00:ff:ff";
const macOf = (place: number): string => `02:00:00:00:00:${place.toString(16).padStart(2, "0")}`;
const addressOf = (place: number): string => `${subnet}.${place}`;

/** @throws Error with what ip(8) said */
function ip(...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync("ip", args, { encoding: "utf8", timeout: 10_000 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
}

/** Whether namespaces and bridges can be made here, and nobody else uses the addresses. */
export function canMakeNamespaces(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const name = `sbt${process.pid}`;
  try {
    const routes = spawnSync("ip", ["route", "show", `${subnet}.0/24`], {
      encoding: "utf8",
      timeout: 10_000,
    });
    if (routes.status !== 0 || routes.stdout.trim() !== "") return false;
    ip("netns", "add", name);
    ip("netns", "delete", name);
    ip("link", "add", name, "type", "bridge");
    ip("link", "delete", name);
    return true;
  } catch {
    return false; // not root enough, or no ip(8)
  }
}

/** A node's page and metrics are on its own loopback alone: bytes go there and back. */
const forwarder = `
const net = require("node:net");
const [host, port] = [process.argv[1], Number(process.argv[2])];
const server = net.createServer((outer) => {
  const inner = net.connect(port, "127.0.0.1");
  for (const [from, to] of [[outer, inner], [inner, outer]]) {
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  }
});
server.listen(port, host, () => console.log("ready"));
`;

class NamespaceNetwork implements Network {
  readonly isFull = false;
  readonly #bridge = `sbb${process.pid}`;
  readonly #places: number[] = [];
  readonly #forwarders: ChildProcess[] = [];
  #closed = false;
  readonly #onExit = (): void => this.close();

  constructor(count: number) {
    process.on("exit", this.#onExit);
    try {
      ip("link", "add", this.#bridge, "type", "bridge");
      ip("address", "add", `${addressOf(254)}/24`, "dev", this.#bridge);
      ip("link", "set", this.#bridge, "up");
      for (let place = 1; place <= count; place++) this.#make(place);
      for (const from of this.#places)
        for (const to of this.#places) if (from !== to) this.#neighbour(from, to, macOf(to));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #name(place: number): string {
    return `sbn${process.pid}-${place}`;
  }

  /** The end of its cable outside. */
  #link(place: number): string {
    return `sbv${process.pid}-${place}`;
  }

  #make(place: number): void {
    const name = this.#name(place);
    const outside = this.#link(place);
    ip("netns", "add", name);
    this.#places.push(place);
    ip(...["link", "add", outside, "type", "veth"], ...["peer", "name", "eth0", "netns", name]);
    ip("link", "set", outside, "master", this.#bridge, "up");
    ip("-n", name, "link", "set", "lo", "up");
    ip("-n", name, "link", "set", "eth0", "address", macOf(place), "up");
    ip("-n", name, "address", "add", `${addressOf(place)}/24`, "dev", "eth0");
  }

  #neighbour(from: number, to: number, mac: string): void {
    const what = ["neighbour", "replace", addressOf(to), "lladdr", mac, "dev", "eth0", "nud", "permanent"];
    ip("-n", this.#name(from), ...what);
  }

  placeOf(place: number): Place {
    return { host: addressOf(place), enter: ["ip", "netns", "exec", this.#name(place)] };
  }

  async forward(place: number, port: number): Promise<void> {
    const { host, enter } = this.placeOf(place);
    const [file, ...args] = [...enter, process.execPath, "-e", forwarder, host, String(port)];
    const child = spawn(file!, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#forwarders.push(child);
    const signal = AbortSignal.timeout(20_000);
    await Promise.race([
      once(child.stdout, "data", { signal }),
      once(child, "exit", { signal }).then(() => {
        throw new Error(`nothing forwards to port ${port} of ${host}`);
      }),
    ]);
  }

  cut(from: readonly ClusterNode[], to: readonly ClusterNode[]): void {
    for (const a of from) for (const b of to) if (a !== b) this.#neighbour(placeIn(a), placeIn(b), nobody);
  }
  restore(from: readonly ClusterNode[], to: readonly ClusterNode[]): void {
    for (const a of from)
      for (const b of to) if (a !== b) this.#neighbour(placeIn(a), placeIn(b), macOf(placeIn(b)));
  }
  heal(): void {
    for (const from of this.#places)
      for (const to of this.#places) if (from !== to) this.#neighbour(from, to, macOf(to));
  }
  delay(): void {
    throw new Error("a network of namespaces has no delays");
  }
  reset(): void {
    throw new Error("a network of namespaces breaks no connections");
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off("exit", this.#onExit);
    for (const child of this.#forwarders) child.kill("SIGKILL");
    for (const place of this.#places) {
      // A namespace lives on while any socket in it does; the cable need not.
      spawnSync("ip", ["link", "delete", this.#link(place)]);
      spawnSync("ip", ["netns", "delete", this.#name(place)]);
    }
    spawnSync("ip", ["link", "delete", this.#bridge]);
  }
}

const placeIn = (node: ClusterNode): number => Number(node.place.host.split(".").at(-1));

/** A cluster with each node in a namespace of its own. */
export async function foundInNamespaces(parent?: string): Promise<{
  readonly cluster: TestCluster;
  readonly network: Network;
}> {
  const network = new NamespaceNetwork(3);
  try {
    const cluster = await TestCluster.found({
      ...(parent === undefined ? {} : { parent }),
      placeOf: (place) => network.placeOf(place),
      args: async (place, ports) => {
        await network.forward(place, ports.http);
        return [];
      },
    });
    return { cluster, network };
  } catch (error) {
    network.close();
    throw error;
  }
}
