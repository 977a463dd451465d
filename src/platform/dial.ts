/**
 * Outgoing connections to a Postgres server, for the command-line client: TCP, then TLS when the server offers it.
 *
 * Invariants: resolves with a stream that is ready for the start-up message, or rejects with a DbError; with `require` the
 * stream is encrypted.
 */
import { createHash } from "node:crypto";
import net from "node:net";
import tls from "node:tls";
import { DbError } from "../base/errors.js";

export type TlsMode = "disable" | "prefer" | "require";

export interface Dialled {
  readonly stream: net.Socket;
  /** SHA-256 of the server's certificate when encrypted: what SCRAM-SHA-256-PLUS binds to. */
  readonly certificateHash: Buffer | undefined;
}

const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

function failure(host: string, port: number, error: Error): DbError {
  const refused = "code" in error && error.code === "ECONNREFUSED";
  return new DbError("connectionFailure", `no connection to ${host}:${port}: ${error.message || "closed"}`, {
    hint: refused ? "Is the server running there? Start one with: scratchbird start" : undefined,
  });
}

/** @throws DbError connectionFailure (08006) */
export async function dial(host: string, port: number, mode: TlsMode, timeoutMs = 10_000): Promise<Dialled> {
  const stream = net.connect({ host, port, noDelay: true });
  stream.setTimeout(timeoutMs, () => stream.destroy(new Error(`no answer within ${timeoutMs} ms`)));
  try {
    await once(stream, "connect");
    let encrypted: tls.TLSSocket | undefined;
    if (mode !== "disable") {
      stream.write(sslRequest);
      const answer = (await once(stream, "data")) as Buffer;
      stream.pause();
      if (answer.length !== 1) throw new Error("unexpected answer to the TLS request");
      if (answer[0] === 0x53) {
        // As psql by default: the certificate is bound to the password exchange, not checked against authorities.
        encrypted = tls.connect({
          socket: stream,
          rejectUnauthorized: false,
          servername: net.isIP(host) ? "" : host,
        });
        await once(encrypted, "secureConnect");
      } else if (mode === "require") throw new Error("the server does not offer TLS");
    }
    stream.setTimeout(0);
    const raw = encrypted?.getPeerCertificate().raw;
    return {
      stream: encrypted ?? stream,
      certificateHash: raw === undefined ? undefined : createHash("sha256").update(raw).digest(),
    };
  } catch (error) {
    stream.destroy();
    throw failure(host, port, error instanceof Error ? error : new Error(String(error)));
  }
}

function once(stream: net.Socket, event: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      stream.removeListener(event, succeed);
      stream.removeListener("error", fail);
      stream.removeListener("close", closed);
      act();
    };
    const succeed = (value: unknown) => settle(() => resolve(value));
    const fail = (error: Error) => settle(() => reject(error));
    const closed = () => settle(() => reject(new Error("the connection was closed")));
    stream.once(event, succeed);
    stream.once("error", fail);
    stream.once("close", closed);
  });
}
