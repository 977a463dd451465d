/**
 * A worker thread and the memory it shares with the one that started it: the only place of threads and Atomics (rule C2).
 *
 * Two clocks are shared, in milliseconds of the host's monotonic clock, which is one for all threads: until when the node
 * holds its lease (written by the worker), and when the main thread has last shown life (written by main).
 */
import { parentPort, Worker, workerData } from "node:worker_threads";

const cells = { lease: 0, beat: 1 } as const;

/** Monotonic, the same in every thread of the process. */
export function hostMilliseconds(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** Both clocks of a node, seen from either thread. */
export class SharedClocks {
  readonly #cells: Float64Array;
  constructor(readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(16)) {
    this.#cells = new Float64Array(buffer);
  }
  get leaseUntil(): number {
    return this.#cells[cells.lease]!;
  }
  set leaseUntil(until: number) {
    this.#cells[cells.lease] = until;
  }
  get beatAt(): number {
    return this.#cells[cells.beat]!;
  }
  beat(): void {
    this.#cells[cells.beat] = hostMilliseconds();
  }
}

export interface WorkerThread {
  post(message: unknown): void;
  onMessage(handler: (message: unknown) => void): void;
  /** It has ended without being asked to. */
  onFailure(handler: (error: Error) => void): void;
  /** Resolves when it has ended: by itself within `graceMs`, else by force. */
  end(graceMs: number): Promise<void>;
}

export function startWorker(file: string | URL, data: unknown): WorkerThread {
  const worker = new Worker(file, { workerData: data, name: "control" });
  let asked = false;
  let ended = false;
  worker.once("exit", () => {
    ended = true;
  });
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (handler) => worker.on("message", handler),
    onFailure: (handler) => {
      let failed = false;
      const fail = (error: Error): void => {
        if (asked || failed) return;
        failed = true;
        handler(error);
      };
      worker.on("error", (error) => fail(error as Error));
      worker.on("exit", (code) => fail(new Error(`the control worker has ended with ${code}`)));
    },
    end: async (graceMs) => {
      asked = true;
      if (ended) return;
      const timer = setTimeout(() => void worker.terminate(), graceMs);
      await new Promise<void>((resolve) => worker.once("exit", () => resolve()));
      clearTimeout(timer);
    },
  };
}

/** The other end, inside the worker. */
export function workerEnd(): {
  readonly data: unknown;
  post(message: unknown): void;
  onMessage(handler: (message: unknown) => void): void;
  close(): void;
} {
  const port = parentPort;
  if (port === null) throw new Error("this program runs in a worker thread");
  return {
    data: workerData as unknown,
    post: (message) => port.postMessage(message),
    onMessage: (handler) => port.on("message", handler),
    close: () => port.close(),
  };
}
