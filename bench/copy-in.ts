/** COPY FROM STDIN through node-postgres: chunks go out as fast as the socket takes them, and no faster. */
import type { Duplex } from "node:stream";
import type pg from "pg";

/** What node-postgres offers to a query that copies in; its published types leave the copy messages out. */
interface CopyConnection {
  readonly stream: Duplex;
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

class CopyIn {
  /** node-postgres wraps it to end its own time limit. */
  callback: (error: Error | null) => void;
  readonly #text: string;
  readonly #chunks: readonly Buffer[];
  #failed = false;

  constructor(text: string, chunks: readonly Buffer[], callback: (error: Error | null) => void) {
    this.#text = text;
    this.#chunks = chunks;
    this.callback = callback;
  }
  submit(connection: unknown): void {
    (connection as CopyConnection).query(this.#text);
  }
  handleCopyInResponse(connection: CopyConnection): void {
    let at = 0;
    const send = (): void => {
      while (at < this.#chunks.length) {
        if (this.#failed) return;
        connection.sendCopyFromChunk(this.#chunks[at++]!);
        if (connection.stream.writableNeedDrain) {
          connection.stream.once("drain", send);
          return;
        }
      }
      connection.endCopyFrom();
    };
    send();
  }
  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleError(error: Error): void {
    this.#failed = true;
    this.callback(error);
  }
  handleReadyForQuery(): void {
    if (!this.#failed) this.callback(null);
  }
}

/** Runs a COPY ... FROM STDIN with these bytes; answers when the server is ready again. @throws the server's error */
export function copyIn(client: pg.Client, text: string, chunks: readonly Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(new CopyIn(text, chunks, (error) => (error === null ? resolve() : reject(error))));
  });
}
