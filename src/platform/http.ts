/**
 * The HTTP port: bound while the node starts, which costs little, and answered by a library that is loaded later.
 *
 * It speaks in the clear, so it listens on a loopback address only (OBS-11): asked for another one it takes 127.0.0.1.
 *
 * Invariants: connections, headers, the time of a request and of a silent connection, and requests that wait are bounded; a
 * request that came before its answerer is handed to it, in order.
 */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { assert } from "../base/errors.js";
import type { HttpDoor } from "./index.js";
import { listenError } from "./network.js";

export const httpLimits = {
  connectionsMax: 100,
  headerBytesMax: 8192,
  headersMax: 50,
  requestMs: 10_000,
  /** Between two requests of a connection. */
  keepAliveMs: 5_000,
  /** A connection on which nothing moves: who does not take an answer, too. */
  silentMs: 10_000,
  /** Answers that are under way when the port closes. */
  closingMs: 500,
} as const;

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** @throws DbError ioError when the port cannot be bound */
export function reserveHttp(host: string, port: number): Promise<HttpDoor> {
  const bound = isLoopback(host) ? host : "127.0.0.1";
  const waiting: [IncomingMessage, ServerResponse][] = [];
  let wanted: (() => void) | undefined;
  let answerer: RequestListener | undefined;
  const server = createServer(
    {
      maxHeaderSize: httpLimits.headerBytesMax,
      requestTimeout: httpLimits.requestMs,
      headersTimeout: httpLimits.requestMs,
      keepAliveTimeout: httpLimits.keepAliveMs,
      connectionsCheckingInterval: 2_000,
    },
    (request, response) => {
      if (answerer !== undefined) {
        answerer(request, response);
        return;
      }
      // One connection may send many requests at once.
      if (waiting.length >= httpLimits.connectionsMax) {
        request.socket.destroy();
        return;
      }
      waiting.push([request, response]);
      const run = wanted;
      wanted = undefined;
      run?.();
    },
  );
  server.maxConnections = httpLimits.connectionsMax;
  server.maxHeadersCount = httpLimits.headersMax;
  server.setTimeout(httpLimits.silentMs);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      const cut = setTimeout(() => server.closeAllConnections(), httpLimits.closingMs);
      server.close(() => {
        clearTimeout(cut);
        resolve();
      });
    });
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(bound, port, error, "--http-port")));
    server.listen({ host: bound, port }, () => {
      server.removeAllListeners("error");
      // A failed accept concerns one client.
      server.on("error", () => {});
      const address = server.address();
      assert(address !== null && typeof address === "object", "a TCP listener has a port");
      resolve({
        address: `${bound.includes(":") ? `[${bound}]` : bound}:${address.port}`,
        port: address.port,
        server,
        onWanted: (run) => {
          if (waiting.length > 0) run();
          else wanted = run;
        },
        answerWith: (handler) => {
          answerer = handler;
          for (const [request, response] of waiting.splice(0)) handler(request, response);
        },
        close: () => (closing ??= close()),
      });
    });
  });
}
