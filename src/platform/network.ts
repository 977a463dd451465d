/**
 * Real sockets: TCP listeners whose connections can turn to TLS (the Postgres client port).
 *
 * All sockets in the clear read into one buffer (docs/decisions/sockets-read-into-one-buffer.md).
 *
 * Clients are asked for a certificate and may go without; what one is worth whoever accepts the connection decides, for OpenSSL
 * knows neither our identities nor our reasons. Nothing is ever resumed, since a resumed session skips the proof of the key: no
 * tickets, and no cache that could answer.
 *
 * Invariants: a handler registered with `onData` keeps receiving after the turn to TLS, decrypted; `onClose` is called
 * exactly once; a socket error is never thrown, it closes the connection; memory given to `write` is free again when it
 * answered true.
 */
import { constants } from "node:crypto";
import net from "node:net";
import tls from "node:tls";
import { assert, DbError } from "../base/errors.js";
import type { Connection, Listener, Network, TlsMaterial, TlsSource, TlsState } from "./index.js";

const nothing = Buffer.alloc(0);
/** A peer that neither reads nor closes is cut off this long after our side has ended. */
const lingerMs = 5_000;
/** First keep-alive probe on a silent connection: a vanished client is noticed without its help. */
const keepAliveMs = 60_000;
/** What one read may bring. */
const readBytes = 65_536;

/** Forward secrecy and authenticated encryption only (THR-3). */
const ciphers = [
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_128_GCM_SHA256",
  ...["ECDSA", "RSA"].flatMap((key) =>
    ["AES256-GCM-SHA384", "CHACHA20-POLY1305", "AES128-GCM-SHA256"].map((suite) => `ECDHE-${key}-${suite}`),
  ),
].join(":");

function stateOf(socket: tls.TLSSocket, material: TlsMaterial): TlsState {
  const cipher = socket.getCipher().name;
  return {
    version: socket.getProtocol() ?? "?",
    cipher,
    bits: cipher.includes("128") ? 128 : 256,
    clientCertificate: socket.getPeerX509Certificate()?.raw,
    material,
  };
}

/** Made once for each material: reading keys takes its time. */
class SecureContexts {
  #made: { readonly material: TlsMaterial; readonly context: tls.SecureContext } | undefined;
  constructor(readonly source: TlsSource) {
    this.current();
  }

  current(): { readonly material: TlsMaterial; readonly context: tls.SecureContext } {
    const material = this.source.current;
    if (this.#made?.material !== material) this.#made = { material, context: contextOf(material) };
    return this.#made;
  }
}

function contextOf({ certificatePem, keyPem }: TlsMaterial): tls.SecureContext {
  return tls.createSecureContext({
    cert: certificatePem,
    key: keyPem,
    minVersion: "TLSv1.2",
    ciphers,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  });
}

/** Bytes that any socket in the clear has just read; lent to its handler, overwritten by the next read of any. */
let sharedInput: Buffer | undefined;

/** The host's side of a socket, as far as it is handed from one `net.Socket` to another. */
interface Handle {
  readonly useUserBuffer?: unknown;
}

/**
 * The same connection as a socket that reads into `sharedInput` and hands the bytes to `onBytes`. Node offers this
 * (`onread`) for sockets that connect but not for those a server accepted, so the accepted one gives up its handle
 * before it has read anything. Undefined where the host has no such handle.
 */
function readingInto(accepted: net.Socket, onBytes: (chunk: Buffer) => void): net.Socket | undefined {
  const owner = accepted as unknown as { _handle: Handle | null };
  const handle = owner._handle;
  if (typeof handle?.useUserBuffer !== "function") return undefined;
  sharedInput ??= Buffer.allocUnsafeSlow(readBytes);
  owner._handle = null;
  const options: net.SocketConstructorOpts & { readonly handle: Handle; readonly onread: net.OnReadOpts } = {
    handle,
    onread: {
      buffer: sharedInput,
      callback: (bytes, buffer) => {
        onBytes((buffer as Buffer).subarray(0, bytes));
        return true;
      },
    },
  };
  return new net.Socket(options);
}

class SocketConnection implements Connection {
  #socket: net.Socket;
  readonly #secure: SecureContexts | undefined;
  #encrypting = false;
  #encrypted = false;
  #tls: TlsState | undefined;
  #onData: (chunk: Buffer) => void = () => {};
  #onClose: () => void = () => {};
  #ended = false;
  #closed = false;
  readonly remoteAddress: string;

  constructor(accepted: net.Socket, secure: SecureContexts | undefined) {
    const lending = readingInto(accepted, this.#received);
    const socket = lending ?? accepted;
    this.#socket = socket;
    this.#secure = secure;
    if (lending === undefined) socket.on("data", this.#received).resume();
    this.remoteAddress = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`;
    socket.on("error", this.#failed);
    socket.on("close", this.#wasClosed);
  }

  get encrypted(): boolean {
    return this.#encrypted;
  }

  get tls(): TlsState | undefined {
    return this.#tls;
  }

  /** Bytes in the clear; behind TLS they are the secured socket's business. */
  readonly #received = (chunk: Buffer): void => {
    if (!this.#encrypting) this.#onData(chunk);
  };

  /** An error is followed by "close"; which error it was does not matter to the protocol. */
  readonly #failed = (): void => {
    this.#socket.destroy();
  };

  readonly #wasClosed = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
  };

  onData(handler: (chunk: Buffer) => void): void {
    this.#onData = handler;
  }
  onClose(handler: () => void): void {
    this.#onClose = handler;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#ended || this.#socket.destroyed) return true;
    this.#socket.write(bytes);
    return this.#socket.writableLength === 0;
  }

  drained(): Promise<void> {
    const socket = this.#socket;
    if (socket.writableLength === 0 || socket.destroyed || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      // An empty write is done after those before it; when the socket dies it is answered with the error.
      socket.write(nothing, () => resolve());
    });
  }

  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const socket = this.#socket;
    socket.end();
    socket.resume(); // what the peer still sends is dropped, so that its end is seen
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }
  destroy(): void {
    this.#socket.destroy();
  }

  startTls(): Promise<void> {
    assert(!this.#encrypted && this.#secure !== undefined, "TLS starts once, where there is a certificate");
    const raw = this.#socket;
    const { material, context } = this.#secure.current();
    this.#encrypting = true;
    raw.removeListener("data", this.#received);
    raw.removeListener("error", this.#failed);
    raw.on("error", () => raw.destroy());
    const secured = new tls.TLSSocket(raw, {
      isServer: true,
      secureContext: context,
      requestCert: true,
      rejectUnauthorized: false,
    });
    this.#socket = secured;
    secured.on("error", this.#failed);
    secured.on("close", this.#wasClosed);
    secured.on("data", (chunk: Buffer) => this.#onData(chunk));
    return new Promise((resolve, reject) => {
      secured.once("secure", () => {
        this.#encrypted = true;
        this.#tls = stateOf(secured, material);
        resolve();
      });
      secured.once("close", () => reject(new DbError("connectionFailure", "the TLS handshake failed")));
    });
  }
}

export class HostNetwork implements Network {
  /** @throws DbError ioError when the address cannot be bound: in use, forbidden or not of this host */
  listen(
    host: string,
    port: number,
    source: TlsSource | undefined,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const secure = source && new SecureContexts(source);
    const server = net.createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
      pauseOnConnect: true, // nothing is read before the connection has its handler
    });
    server.on("connection", (socket) => accept(new SocketConnection(socket, secure)));
    return new Promise((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(host, port, error)));
      server.listen({ host, port, backlog: 1024 }, () => {
        server.removeAllListeners("error");
        // A failed accept (out of file descriptors, say) concerns one client; the listener goes on.
        server.on("error", () => {});
        const address = server.address();
        assert(address !== null && typeof address === "object", "a TCP listener has a port");
        resolve({
          port: address.port,
          // Open connections live on: their owner ends them.
          close: async () => {
            server.close();
          },
        });
      });
    });
  }
}

/**
 * A port that can be bound now: the wanted one, or any when it is 0, or taken while nobody insists on it.
 * @throws DbError ioError
 */
export function freePort(host: string, wanted: number, insisted: boolean): Promise<number> {
  const server = net.createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (insisted || wanted === 0) reject(listenError(host, wanted, error));
      else freePort(host, 0, true).then(resolve, reject);
    });
    server.listen({ host, port: wanted }, () => {
      const address = server.address();
      assert(address !== null && typeof address === "object", "a TCP listener has a port");
      server.close(() => resolve(address.port));
    });
  });
}

/** Why an address could not be bound, and what to do. `option`: the flag that chooses the port. */
export function listenError(
  host: string,
  port: number,
  error: NodeJS.ErrnoException,
  option = "--port",
): DbError {
  const where = `${host}:${port}`;
  switch (error.code) {
    case "EADDRINUSE":
      return new DbError("ioError", `port ${port} on ${host} is in use`, {
        hint: `Stop the program that uses it, or choose another port with ${option} (0 takes any free one).`,
      });
    case "EACCES":
      return new DbError("ioError", `no permission to listen on ${where}`, {
        hint: `Choose a port above 1023 with ${option}.`,
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new DbError("ioError", `${host} is not an address of this host`, {
        hint: "Choose an address of this host with --host, such as 127.0.0.1 or 0.0.0.0.",
      });
    default:
      return new DbError("ioError", `cannot listen on ${where}: ${error.message}`);
  }
}
