/**
 * The real clock, random numbers and files.
 *
 * Invariants: a read or write transfers everything it was asked for or throws; every failure of the file system leaves
 * here as a DbError (53100 for a full disk, 58030 otherwise) that names the file; a path never leaves the data folder.
 */
import { randomFillSync } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  write,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join, normalize } from "node:path";
import { performance } from "node:perf_hooks";
import { DbError } from "../base/errors.js";
import type { Clock, Disk, DiskFile, OpenOptions, Random, Timer } from "./index.js";

/** Who waits for a turn, first come first served. */
const turns: (() => void)[] = [];
let turnsTaken = 0;

/** What runs at the end of this round of the loop. */
const endings: (() => void)[] = [];

function runEndings(): void {
  for (let at = 0; at < endings.length; at++) endings[at]!();
  endings.length = 0;
}

/** One turn in each round of the loop: sockets and timers are looked after between two. */
function nextTurn(): void {
  runEndings();
  const take = turns[turnsTaken++]!;
  if (turnsTaken === turns.length) {
    turns.length = 0;
    turnsTaken = 0;
  } else {
    if (turnsTaken === 1024) {
      turns.splice(0, turnsTaken);
      turnsTaken = 0;
    }
    setImmediate(nextTurn);
  }
  take();
}

const { timeOrigin } = performance;

export const hostClock: Clock = {
  now: () => timeOrigin + performance.now(),
  monotonic: () => performance.now(),
  after(delayMs, run): Timer {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  yield: () => new Promise((resolve) => setImmediate(resolve)),
  turn: () =>
    new Promise((resolve) => {
      if (turns.push(resolve) === 1) setImmediate(nextTurn);
    }),
  soon(run) {
    if (endings.push(run) === 1) setImmediate(runEndings);
  },
};

export const hostRandom: Random = {
  fill(bytes) {
    randomFillSync(bytes);
  },
  fraction() {
    const words = new Uint32Array(2);
    randomFillSync(words);
    // 53 random bits.
    return ((words[0]! >>> 5) * 67108864 + (words[1]! >>> 6)) / 9007199254740992;
  },
};

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function ioError(action: string, path: string, error: unknown): DbError {
  const code = codeOf(error);
  const reason = error instanceof Error ? error.message : String(error);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new DbError("diskFull", `could not ${action} file "${path}": no space left on device`, {
      hint: "Free disk space; writing goes on by itself once there is some.",
    });
  }
  return new DbError("ioError", `could not ${action} file "${path}": ${reason}`, {}, error);
}

class HostFile implements DiskFile {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  size(): number {
    return this.#run("inspect", () => fstatSync(this.#fd).size);
  }

  readSync(into: Uint8Array, position: number): number {
    return this.#run("read", () => {
      let done = 0;
      while (done < into.length) {
        const got = readSync(this.#fd, into, done, into.length - done, position + done);
        if (got === 0) break;
        done += got;
      }
      return done;
    });
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const step = (): void => {
        read(this.#fd, into, done, into.length - done, position + done, (error, got) => {
          if (error !== null) {
            reject(ioError("read", this.path, error));
            return;
          }
          done += got;
          if (got === 0 || done === into.length) resolve(done);
          else step();
        });
      };
      step();
    });
  }

  writeSync(from: Uint8Array, position: number): void {
    this.#run("write", () => {
      let done = 0;
      while (done < from.length) {
        done += writeSync(this.#fd, from, done, from.length - done, position + done);
      }
    });
  }

  write(from: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const step = (): void => {
        write(this.#fd, from, done, from.length - done, position + done, (error, wrote) => {
          if (error !== null) {
            reject(ioError("write", this.path, error));
            return;
          }
          done += wrote;
          if (done === from.length) resolve();
          else step();
        });
      };
      step();
    });
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (error) => {
        if (error === null) resolve();
        else reject(ioError("sync", this.path, error));
      });
    });
  }

  syncSync(): void {
    this.#run("sync", () => fdatasyncSync(this.#fd));
  }

  truncateSync(size: number): void {
    this.#run("truncate", () => ftruncateSync(this.#fd, size));
  }

  closeSync(): void {
    this.#run("close", () => closeSync(this.#fd));
  }

  #run<Result>(action: string, body: () => Result): Result {
    try {
      return body();
    } catch (error) {
      throw ioError(action, this.path, error);
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Alive, but of another user.
    return codeOf(error) === "EPERM";
  }
}

/** When the process with this id started, in the kernel's ticks: tells a reused id from the holder. "" if unknown. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // Fields follow the name in parentheses, which may itself contain spaces; the start time is the 22nd of all.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return ""; // no /proc on this host: the process id alone has to do
  }
}

/** Files under `root`. */
export class HostDisk implements Disk {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  #path(path: string): string {
    const full = normalize(join(this.#root, path));
    if (full !== normalize(this.#root) && !full.startsWith(normalize(`${this.#root}/`))) {
      throw new DbError("ioError", `path "${path}" leaves the data folder`);
    }
    return full;
  }

  #run<Result>(action: string, path: string, body: (full: string) => Result): Result {
    const full = this.#path(path);
    try {
      return body(full);
    } catch (error) {
      if (error instanceof DbError) throw error;
      throw ioError(action, path, error);
    }
  }

  openSync(path: string, options: OpenOptions = {}): DiskFile {
    return this.#run("open", path, (full) => {
      let flags = constants.O_RDWR;
      if (options.create === true) flags |= constants.O_CREAT;
      if (options.durableWrites === true) {
        flags |= constants.O_DSYNC;
        // Some file systems (tmpfs, overlays) know no direct access: durable all the same, through the cache.
        if (constants.O_DIRECT !== undefined) {
          try {
            return new HostFile(path, openSync(full, flags | constants.O_DIRECT, 0o600));
          } catch (error) {
            if (codeOf(error) !== "EINVAL") throw error;
          }
        }
      }
      return new HostFile(path, openSync(full, flags, 0o600));
    });
  }

  existsSync(path: string): boolean {
    return existsSync(this.#path(path));
  }

  listSync(path: string): string[] {
    return this.#run("list", path, (full) => {
      try {
        return readdirSync(full).sort();
      } catch (error) {
        if (codeOf(error) === "ENOENT") return [];
        throw error;
      }
    });
  }

  makeFolderSync(path: string): void {
    this.#run("create", path, (full) => mkdirSync(full, { recursive: true, mode: 0o700 }));
  }

  removeSync(path: string): void {
    this.#run("remove", path, (full) => rmSync(full, { recursive: true, force: true }));
  }

  renameSync(from: string, to: string): void {
    this.#run("rename", from, (full) => renameSync(full, this.#path(to)));
  }

  syncFolderSync(path: string): void {
    this.#run("sync", path, (full) => {
      const fd = openSync(full, constants.O_RDONLY);
      try {
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    });
  }

  readFileSync(path: string): Uint8Array {
    return this.#run("read", path, (full) => new Uint8Array(readFileSync(full)));
  }

  writeFileSync(path: string, content: Uint8Array, mode = 0o600): void {
    this.#run("write", path, (full) => {
      const temporary = `${full}.new`;
      const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, mode);
      let whole = false;
      try {
        let done = 0;
        while (done < content.length) done += writeSync(fd, content, done, content.length - done, done);
        fsyncSync(fd);
        whole = true;
      } finally {
        closeSync(fd);
        // Half a file would only take room on a disk that has none.
        if (!whole) rmSync(temporary, { force: true });
      }
      renameSync(temporary, full);
    });
    const folder = dirname(path);
    this.syncFolderSync(folder);
  }

  modeOf(path: string): number | undefined {
    if (process.platform === "win32") return undefined;
    return this.#run("look at", path, (full) => statSync(full).mode & 0o777);
  }

  lockSync(path: string): () => void {
    return this.#run("lock", path, (full) => {
      const own = `${process.pid} ${startOf(process.pid)}\n`;
      // Two rounds: the second after a stale lock was cleared. A third contender may still win it.
      for (let round = 0; round < 2; round++) {
        // Linked into place with its content: nobody ever sees an empty lock.
        const draft = `${full}.${process.pid}`;
        writeFileSync(draft, own, { mode: 0o600 });
        try {
          linkSync(draft, full);
          return () => this.#unlock(path, own);
        } catch (error) {
          if (codeOf(error) !== "EEXIST") throw error;
        } finally {
          rmSync(draft, { force: true });
        }
        const [pid, start] = readFileSync(full, "latin1").trim().split(" ");
        const holder = Number(pid);
        const held =
          Number.isInteger(holder) && holder > 0 && isAlive(holder) && (start ?? "") === startOf(holder);
        if (held) {
          throw new DbError("objectInUse", `data folder is in use by process ${holder}`, {
            detail: `The lock file is "${path}".`,
          });
        }
        rmSync(full, { force: true });
      }
      throw new DbError("objectInUse", `data folder is being opened by another process`, {
        detail: `The lock file is "${path}".`,
      });
    });
  }

  #unlock(path: string, own: string): void {
    this.#run("unlock", path, (full) => {
      if (existsSync(full) && readFileSync(full, "latin1") === own) rmSync(full, { force: true });
    });
  }
}
