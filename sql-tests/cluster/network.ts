/**
 * A network between the nodes of one machine that can be broken on purpose: each node's control and rpc port is reached
 * through a TCP proxy that passes bytes on as they are. Who has dialled is found by the owner of the socket (/proc), so
 * that every direction between every two nodes can be cut, slowed down or made to flap by itself.
 *
 * A cut loses packets as a network does: bytes and ends of connections wait, nobody is told, and all of it arrives in order
 * once the way is open again. Waiting bytes are bounded: behind them the socket is not read, as with TCP's own window.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type ClusterNode, freePorts, type NodePorts, sleep, TestCluster } from "./nodes.js";

const heldBytesMax = 1 << 20;

interface Way {
  isCut: boolean;
  delayMs: number;
  /** Directions of connections that use it. */
  readonly flows: Set<Flow>;
}

/** Bytes from one socket to another. Without an end yet they wait: a connection is made when something is to arrive. */
class Flow {
  readonly #queue: { readonly due: number; readonly chunk: Buffer | "end" | "reset" }[] = [];
  #held = 0;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(
    readonly way: Way,
    readonly from: Socket,
    readonly to: () => Socket,
    /** There is a socket to bring them to. */
    readonly isBegun: () => boolean,
  ) {
    way.flows.add(this);
    from.on("data", (chunk: Buffer) => {
      this.#held += chunk.length;
      if (this.#held > heldBytesMax) from.pause();
      this.#push(chunk);
    });
    from.on("end", () => this.#push("end"));
    from.on("error", () => this.#push("reset"));
  }

  #push(chunk: Buffer | "end" | "reset"): void {
    if (this.#over) return;
    this.#queue.push({ due: performance.now() + this.way.delayMs, chunk });
    this.pump();
  }

  pump(): void {
    clearTimeout(this.#timer);
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      if (this.way.isCut) return;
      const wait = first.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), wait);
        return;
      }
      this.#queue.shift();
      const to = this.to();
      if (first.chunk === "end") to.end();
      else if (first.chunk === "reset") to.resetAndDestroy();
      else {
        this.#held -= first.chunk.length;
        to.write(first.chunk);
        if (this.#held <= heldBytesMax && this.from.isPaused()) this.from.resume();
      }
    }
    if (this.#over) this.way.flows.delete(this);
  }

  /** What waits is lost, and both ends hear of it. */
  reset(): void {
    this.#queue.length = 0;
    this.from.resetAndDestroy();
    if (this.isBegun()) this.to().resetAndDestroy();
  }

  /** Nothing more comes; what waits is still delivered. */
  close(): void {
    this.#over = true;
    this.pump();
  }
}

/** What the suites do to a network, however it is made. */
export interface Network {
  /** Delays and broken connections can be made as well as cuts. */
  readonly isFull: boolean;
  /** From each of the first to each of the second everything is lost. */
  cut(from: readonly ClusterNode[], to: readonly ClusterNode[]): void;
  restore(from: readonly ClusterNode[], to: readonly ClusterNode[]): void;
  heal(): void;
  delay(ms: number): void;
  reset(some: readonly ClusterNode[], others: readonly ClusterNode[]): void;
  close(): void;
}

/** Both ways. */
export function split(network: Network, some: readonly ClusterNode[], others: readonly ClusterNode[]): void {
  network.cut(some, others);
  network.cut(others, some);
}

/** Cuts and heals in turn, each for half a period, drawn anew from between the two. */
export async function flap(
  network: Network,
  some: readonly ClusterNode[],
  others: readonly ClusterNode[],
  forMs: number,
  periodMs: readonly [least: number, most: number],
  fraction: () => number,
  breaks = false,
): Promise<number> {
  const end = performance.now() + forMs;
  let cuts = 0;
  while (performance.now() < end) {
    const half = (periodMs[0] + (periodMs[1] - periodMs[0]) * fraction()) / 2;
    split(network, some, others);
    if (breaks) network.reset(some, others);
    cuts++;
    await sleep(half);
    network.restore(some, others);
    network.restore(others, some);
    await sleep(half);
  }
  return cuts;
}

export class FaultyNetwork implements Network {
  readonly isFull = true;
  readonly #ways = new Map<string, Way>();
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #forwards = new Map<string, NodePorts>();
  /** Filled while the cluster is founded. */
  readonly nodes: ClusterNode[] = [];
  /** Connections whose dialler was none of the nodes, such as a join before its process is known. */
  strangers = 0;

  way(from: string, to: string): Way {
    const name = `${from} ${to}`;
    let way = this.#ways.get(name);
    if (way === undefined) this.#ways.set(name, (way = { isCut: false, delayMs: 0, flows: new Set() }));
    return way;
  }

  /** Makes the proxies of a node: options with which it tells others to come through them. */
  async options(place: number, ports: NodePorts): Promise<readonly string[]> {
    const name = `node-${place}`;
    const outside = await freePorts();
    this.#forwards.set(name, outside);
    await this.#forward(name, outside.control, ports.control);
    await this.#forward(name, outside.rpc, ports.rpc);
    return [
      ...["--advertise-address", "127.0.0.1", "--advertise-control-port", String(outside.control)],
      ...["--advertise-rpc-port", String(outside.rpc)],
    ];
  }
  controlPort(name: string): number {
    return this.#forwards.get(name)!.control;
  }

  async #forward(owner: string, outside: number, inside: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      this.#track(socket);
      const dialler = this.#diallerOf(socket.remotePort!, outside);
      if (dialler === undefined) this.strangers++;
      const name = dialler?.name ?? "outside";
      let inner: Socket | undefined;
      const target = (): Socket => {
        if (inner !== undefined) return inner;
        inner = connect({ port: inside, host: "127.0.0.1", allowHalfOpen: true });
        inner.setNoDelay(true);
        this.#track(inner);
        const down = new Flow(
          this.way(owner, name),
          inner,
          () => socket,
          () => true,
        );
        inner.on("close", () => down.close());
        return inner;
      };
      socket.setNoDelay(true);
      const up = new Flow(this.way(name, owner), socket, target, () => inner !== undefined);
      socket.on("close", () => up.close());
      socket.resume();
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(outside, "127.0.0.1", resolve);
    });
    this.#servers.push(server);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #diallerOf(port: number, proxyPort: number): ClusterNode | undefined {
    const inode = inodeOf(port, proxyPort);
    if (inode === undefined) return undefined;
    return this.nodes.find((one) => one.isRunning && holds(one.pid, inode));
  }

  #pump(): void {
    for (const way of this.#ways.values()) if (!way.isCut) for (const flow of [...way.flows]) flow.pump();
  }

  cut(from: readonly ClusterNode[], to: readonly ClusterNode[]): void {
    this.#set(from, to, true);
  }
  restore(from: readonly ClusterNode[], to: readonly ClusterNode[]): void {
    this.#set(from, to, false);
  }
  #set(from: readonly ClusterNode[], to: readonly ClusterNode[], isCut: boolean): void {
    for (const a of from) for (const b of to) if (a !== b) this.way(a.name, b.name).isCut = isCut;
    this.#pump();
  }
  heal(): void {
    for (const way of this.#ways.values()) {
      way.isCut = false;
      way.delayMs = 0;
    }
    this.#pump();
  }
  delay(ms: number): void {
    for (const from of this.nodes)
      for (const to of this.nodes) if (from !== to) this.way(from.name, to.name).delayMs = ms;
  }

  /** Connections between the two break, as when a host between them forgets them. */
  reset(some: readonly ClusterNode[], others: readonly ClusterNode[]): void {
    for (const a of some)
      for (const b of others)
        for (const way of [this.way(a.name, b.name), this.way(b.name, a.name)])
          for (const flow of [...way.flows]) flow.reset();
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** A cluster whose nodes reach each other only through the network given back with it. */
export async function foundBehindProxies(parent?: string): Promise<{
  readonly cluster: TestCluster;
  readonly network: FaultyNetwork;
}> {
  const network = new FaultyNetwork();
  try {
    const cluster = await TestCluster.found({
      ...(parent === undefined ? {} : { parent }),
      args: (place, ports) => network.options(place, ports),
      made: (node) => network.nodes.push(node),
      peer: () => `127.0.0.1:${network.controlPort("node-1")}`,
    });
    return { cluster, network };
  } catch (error) {
    network.close();
    throw error;
  }
}

const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, "0");

/** Of the socket at the dialling end of a connection over loopback. */
function inodeOf(port: number, peerPort: number): string | undefined {
  const [own, peer] = [`:${hex(port)}`, `:${hex(peerPort)}`];
  for (const line of readFileSync("/proc/net/tcp", "latin1").split("\n")) {
    const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/);
    if (local?.endsWith(own) === true && remote?.endsWith(peer) === true && inode !== "0") return inode;
  }
  return undefined;
}

function holds(pid: number, inode: string): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`) === `socket:[${inode}]`;
      } catch {
        return false; // closed meanwhile
      }
    });
  } catch {
    return false; // ended meanwhile
  }
}
