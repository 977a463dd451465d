/**
 * The doors to the outside world, as interfaces. Everything above is handed a `Platform` and never asks the host
 * itself for the time, a random number, a file or a socket (D13): the simulator hands in its own.
 *
 * Implementations: `host.ts` (clock, random, files), `network.ts` (sockets); twins in `src/sim`. `http.ts` and
 * `usage.ts` have none: what is shown to operators over HTTP is not simulated.
 */
import type { RequestListener, Server } from "node:http";

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970 (UTC), with a fraction. */
  now(): number;
  /** Milliseconds that never go back; the origin is arbitrary. */
  monotonic(): number;
  after(delayMs: number, run: () => void): Timer;
  /** Runs after other pending work of the loop. */
  yield(): Promise<void>;
  /**
   * The next slice of long work: callers take turns, one in each round of the loop, so that what clients sent meanwhile
   * waits for one slice, however many there are to run. As `yield` where it is absent.
   */
  turn?(): Promise<void>;
  /**
   * Runs at the end of this round of the loop, before the next slice of long work: what many clients are to be told then
   * goes out together, so that who reads the other ends is woken once and not for each. At once where it is absent.
   */
  soon?(run: () => void): void;
}

export interface Random {
  fill(bytes: Uint8Array): void;
  /** Uniform in [0, 1). */
  fraction(): number;
}

export interface OpenOptions {
  readonly create?: boolean;
  /** Each write is on stable storage when it returns (O_DSYNC), past the cache where the host can (O_DIRECT). */
  readonly durableWrites?: boolean;
}

/** Reads and writes answer completely or throw: short transfers are the implementation's business. */
export interface DiskFile {
  readonly path: string;
  size(): number;
  /** Bytes read; fewer than asked only at the end of the file. */
  readSync(into: Uint8Array, position: number): number;
  read(into: Uint8Array, position: number): Promise<number>;
  writeSync(from: Uint8Array, position: number): void;
  write(from: Uint8Array, position: number): Promise<void>;
  /** fdatasync: what was written is durable when it returns. A failure is final for the file (MGA-52). */
  sync(): Promise<void>;
  syncSync(): void;
  truncateSync(size: number): void;
  closeSync(): void;
}

/** A folder tree; paths are relative to the data folder, with "/". */
export interface Disk {
  openSync(path: string, options?: OpenOptions): DiskFile;
  existsSync(path: string): boolean;
  /** Names in a folder, sorted; empty when it is absent. */
  listSync(path: string): string[];
  makeFolderSync(path: string): void;
  removeSync(path: string): void;
  /** Atomic; durable after `syncFolderSync`. */
  renameSync(from: string, to: string): void;
  syncFolderSync(path: string): void;
  /** Whole small files. `writeFileSync` replaces atomically and durably. */
  readFileSync(path: string): Uint8Array;
  writeFileSync(path: string, content: Uint8Array, mode?: number): void;
  /** Permission bits of a file; undefined: the system has none. */
  modeOf?(path: string): number | undefined;
  /** Takes the folder's lock or throws DbError objectInUse naming the holder; released by the returned call. */
  lockSync(path: string): () => void;
}

/** What a TLS handshake has agreed on. */
export interface TlsState {
  /** TLSv1.2 or TLSv1.3. */
  readonly version: string;
  readonly cipher: string;
  /** Of the cipher's key. */
  readonly bits: number;
  /** DER, whose key the client has shown to hold; not checked in any other way. Undefined: it has shown none. */
  readonly clientCertificate: Uint8Array | undefined;
  /** What this side has shown. */
  readonly material?: TlsMaterial | undefined;
}

/** One accepted or opened connection. Bytes are handed over in order; `write` says whether to go on at once. */
export interface Connection {
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  /** Undefined: not encrypted, or nobody knows how. */
  readonly tls?: TlsState | undefined;
  /** `chunk` is lent: what the handler wants to keep it copies before it returns. */
  onData(handler: (chunk: Buffer) => void): void;
  onClose(handler: () => void): void;
  /** True: taken wholly, the memory is the caller's again. False: the peer is slow; wait for `drained`, until which it is held. */
  write(bytes: Uint8Array): boolean;
  /** Resolves once all bytes written before this call are taken, or the connection is gone. Never rejects. */
  drained(): Promise<void>;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
  /** Upgrades to TLS as the server side; later bytes arrive decrypted through the same handlers. */
  startTls(): Promise<void>;
}

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

export interface TlsMaterial {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** What a listener shows: whatever is the current material when a handshake begins. Open connections stay as they are. */
export interface TlsSource {
  readonly current: TlsMaterial;
}

export interface Network {
  listen(
    host: string,
    port: number,
    tls: TlsSource | undefined,
    accept: (connection: Connection) => void,
  ): Promise<Listener>;
}

/** A bound HTTP port. Who answers there may come later: until then requests wait. */
export interface HttpDoor {
  /** host:port, the port that was really bound. */
  readonly address: string;
  readonly port: number;
  /** It listens already; for a library that wants to hang its handlers on one. */
  readonly server: Server;
  /** Runs once, at the first request that has to wait. */
  onWanted(run: () => void): void;
  answerWith(handler: RequestListener): void;
  /** Within half a second or so: answers that are under way are finished or cut off. */
  close(): Promise<void>;
}

/** What the process has used, from the operating system. */
export interface ProcessUsage {
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly heapUsedBytes: number;
  /** Buffers and WebAssembly memory. */
  readonly externalBytes: number;
  readonly uptimeSeconds: number;
}

export interface Platform {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly network: Network;
}
