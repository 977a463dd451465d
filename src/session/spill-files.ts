/**
 * Temporary files of a session in tmp/: sorts and hash tables that outgrew their memory. Gone when closed; the folder is
 * emptied at start, so a crash leaves nothing behind. Their sum is bounded by temp_file_limit (53400).
 */
import { DbError } from "../base/errors.js";
import type { SpillFile } from "../exec/index.js";
import type { Disk, DiskFile } from "../platform/index.js";

export const spillFolder = "tmp";

export class SpillFiles {
  #serial = 0;
  #used = 0;
  /** Bytes; negative: no limit. */
  limit = -1;

  constructor(
    private readonly disk: Disk,
    private readonly pid: number,
  ) {}

  open(): SpillFile {
    const path = `${spillFolder}/spill-${this.pid}-${this.#serial++}`;
    return new TemporaryFile(this.disk, path, (bytes) => this.#account(bytes));
  }

  #account(bytes: number): void {
    this.#used += bytes;
    if (bytes > 0 && this.limit >= 0 && this.#used > this.limit) {
      this.#used -= bytes;
      throw new DbError(
        "configurationLimitExceeded",
        `temporary file size exceeds temp_file_limit (${Math.floor(this.limit / 1024)}kB)`,
      );
    }
  }
}

class TemporaryFile implements SpillFile {
  #file: DiskFile | undefined;
  #size = 0;

  constructor(
    private readonly disk: Disk,
    private readonly path: string,
    private readonly account: (bytes: number) => void,
  ) {
    this.#file = disk.openSync(path, { create: true });
  }
  get size(): number {
    return this.#size;
  }
  write(bytes: Uint8Array): void {
    this.account(bytes.length);
    this.#file!.writeSync(bytes, this.#size);
    this.#size += bytes.length;
  }
  read(into: Uint8Array, position: number): number {
    return this.#file!.readSync(into, position);
  }
  close(): void {
    if (this.#file === undefined) return;
    this.#file.closeSync();
    this.#file = undefined;
    this.disk.removeSync(this.path);
    this.account(-this.#size);
  }
}
