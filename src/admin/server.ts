/**
 * What is answered over HTTP: GET /, /healthz, /readyz and /metrics. Loaded late (`index.ts`): fastify and prom-client
 * take their time.
 *
 * Invariants: only GET is answered, and no body is read; nothing here changes anything or shows a secret.
 */
import { fastify } from "fastify";
import { assert } from "../base/errors.js";
import type { HttpDoor } from "../platform/index.js";
import type { AdminOptions } from "./index.js";
import { metricTable } from "./metrics.js";
import { createRegistry } from "./registry.js";

type Listener = Parameters<HttpDoor["answerWith"]>[0];

const page = `ScratchBird

/healthz   200 while the node's event loop turns
/readyz    200 when the node takes clients, 503 with the reasons when not
/metrics   numbers for Prometheus

Administration is SQL, on the port for Postgres clients.
`;

/** No route has a schema, so nothing ever compiles one; the compilers would be loaded all the same. */
const noSchemas = (): never => {
  assert(false, "routes have no schemas");
};

/** Answers at the door from now on. The answer ends that. */
export async function serve(options: AdminOptions): Promise<() => Promise<void>> {
  const { door, node, version, ready, sources, clock, onTrouble } = options;
  let listener: Listener | undefined;
  const app = fastify({
    exposeHeadRoutes: false,
    schemaController: {
      compilersFactory: { buildValidator: () => noSchemas, buildSerializer: () => noSchemas },
    },
    serverFactory: (handler) => {
      listener = handler;
      return door.server;
    },
  });
  const registry = createRegistry(metricTable, {
    ...sources,
    node,
    version,
    isReady: () => ready().ready,
    now: () => clock.now(),
  });

  app.addHook("onRequest", async (request, reply) => {
    reply.header("cache-control", "no-store").header("x-content-type-options", "nosniff");
    const { method, headers } = request;
    const hasBody = headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
    if (method === "GET" && !hasBody) return;
    // What else it sends is not waited for.
    reply.header("connection", "close");
    if (method === "GET") return reply.code(400).send({ error: "a request here has no body" });
    return reply.code(405).header("allow", "GET").send({ error: "only GET is answered here" });
  });
  app.setNotFoundHandler((_, reply) => reply.code(404).send({ error: "there is nothing here; see /" }));
  app.setErrorHandler((error, request, reply) => {
    onTrouble(`GET ${request.routeOptions.url} failed`, error);
    return reply.code(500).send({ error: "internal error; the node's log has it" });
  });

  app.get("/", (_, reply) => reply.type("text/plain; charset=utf-8").send(page));
  app.get("/healthz", (_, reply) => reply.send({ status: "ok", node, version }));
  app.get("/readyz", (_, reply) => {
    const { ready: isReady, reasons } = ready();
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? "ready" : "not ready", reasons });
  });
  app.get("/metrics", async (_, reply) => reply.type(registry.contentType).send(await registry.metrics()));

  await app.ready();
  assert(listener !== undefined, "fastify asks for its server when it is made");
  door.answerWith(listener);
  return () => app.close();
}
