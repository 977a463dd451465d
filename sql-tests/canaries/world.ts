/**
 * A cluster of real processes in which secrets are planted, and all that can be read of it: what each role gets from every
 * relation of every node, metrics, logs, the audit and its export, titles of processes, files, and what clients were told.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { type ClusterNode, TestCluster } from "../cluster/nodes.js";
import { executable } from "../server.js";
import type { Canaries, Leak } from "./scan.js";

export interface Run {
  readonly code: number;
  readonly said: string;
}

export class World {
  /** What clients were told: errors, notices, and what programs have written. */
  readonly said: { readonly place: string; readonly text: string }[] = [];
  readonly titles: string[] = [];
  /** Of what is not there in this version. */
  readonly notThere: string[] = [];

  /** Relations that could not be read. */
  readonly unread = new Set<string>();

  private constructor(
    readonly cluster: TestCluster,
    readonly canaries: Canaries,
  ) {}

  /** Two nodes with different logs; a third one joins as a canary. */
  static async found(canaries: Canaries): Promise<World> {
    const formats = ["json", "pretty"];
    const cluster = await TestCluster.found({
      nodes: 2,
      args: (place) => ["--log-level", "debug", "--log-format", formats[place % 2]!],
    });
    return new World(cluster, canaries);
  }

  get first(): ClusterNode {
    return this.cluster.node(1);
  }

  async client(node = this.first, user?: string, password?: string): Promise<pg.Client> {
    const url = new URL(node.url);
    if (user !== undefined) url.username = user;
    if (password !== undefined) url.password = password;
    const client = new pg.Client({ connectionString: url.href, query_timeout: 20_000 });
    client.on("error", () => undefined);
    client.on("notice", (notice) => this.hear("a notice", notice));
    await client.connect();
    return client;
  }

  /** Whatever comes of it; true: it was done. `place`: what kind of answer its error is. */
  async try(client: pg.Client, statement: string | pg.QueryConfig, place = "an error"): Promise<boolean> {
    try {
      await client.query(statement);
      return true;
    } catch (error) {
      this.hear(place, error);
      return false;
    }
  }
  hear(place: string, what: unknown): void {
    const fields = what instanceof Error ? { ...what, text: what.message } : what;
    this.said.push({ place, text: typeof fields === "string" ? fields : JSON.stringify(fields) });
  }

  /** The program itself; its title is looked at while it runs. */
  program(args: readonly string[]): Promise<Run> {
    return new Promise((resolve) => {
      const child = execFile(process.execPath, [executable, ...args], (error, out, errors) => {
        clearInterval(looking);
        const said = `${out}${errors}`;
        this.hear(`output of scratchbird ${args[0]}`, said);
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), said });
      });
      // The runtime takes a moment until the program can do anything about it.
      const since = performance.now();
      const looking = setInterval(() => {
        if (performance.now() - since > titleMs) this.look(child.pid!);
      }, 50);
    });
  }
  look(pid: number): void {
    try {
      this.titles.push(readFileSync(`/proc/${pid}/cmdline`, "latin1"));
    } catch {
      // It has ended.
    }
  }

  /** All of it. */
  async leaks(roles: readonly (readonly [user: string, password: string | undefined])[]): Promise<Leak[]> {
    const { canaries } = this;
    const leaks: Leak[] = [];
    const scan = (place: string, content: string | Uint8Array): void => {
      leaks.push(...canaries.scan(place, content));
    };
    for (const { place, text } of this.said) scan(`said: ${place}`, text);
    for (const node of this.cluster.nodes) {
      for (const [user, password] of roles)
        for (const [relation, text] of await this.relations(node, user, password))
          scan(`${relation} as ${user} on ${node.name}`, text);
      for (const path of ["/metrics", "/readyz", "/healthz", "/livez", "/"]) {
        const answer = await fetch(`http://127.0.0.1:${node.ports.http}${path}`);
        scan(`${path} of ${node.name}`, await answer.text());
      }
      this.look(node.pid);
      const exported = join(this.cluster.folder, `${node.name}.export`);
      const { code, said } = await this.program(["audit", "export", exported, "--data", node.folder]);
      if (code !== 0) throw new Error(`no export: ${said}`);
      scan(`export of ${node.name}`, readFileSync(exported));
      rmSync(exported);
    }
    for (const title of this.titles) scan("a process title", title);
    for (const path of filesIn(this.cluster.folder)) {
      const place = `file ${path.slice(this.cluster.folder.length + 1)}`;
      scan(place, path);
      for (const piece of piecesOf(path)) scan(place, piece);
    }
    return leaks;
  }

  /** Every relation of the catalogs, whole. */
  async relations(
    node: ClusterNode,
    user: string,
    password: string | undefined,
  ): Promise<(readonly [name: string, text: string])[]> {
    const client = await this.client(node, user, password);
    const found: (readonly [string, string])[] = [];
    const { rows } = await client.query<{ name: string }>(
      "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace " +
        "WHERE n.nspname IN ('sys', 'pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') ORDER BY 1",
    );
    for (const name of [...rows.map((row) => row.name), "SHOW ALL"])
      try {
        const { rows: content } = await client.query(name === "SHOW ALL" ? name : `SELECT * FROM ${name}`);
        found.push([name, JSON.stringify(content)]);
      } catch (error) {
        found.push([name, String(error)]);
        this.unread.add(`${name} as ${user}: ${String(error)}`);
      }
    await client.end();
    return found;
  }
}

const titleMs = 1_500;

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

/** In pieces that overlap; what was never written is passed over. */
function* piecesOf(path: string): Iterable<Buffer> {
  const content = readFileSync(path);
  const zeros = Buffer.alloc(pieceBytes);
  for (let at = 0; at < content.length; at += pieceBytes) {
    const piece = content.subarray(at, at + pieceBytes + overlapBytes);
    if (!piece.subarray(0, pieceBytes).equals(zeros.subarray(0, Math.min(pieceBytes, piece.length))))
      yield piece;
  }
}
const pieceBytes = 1 << 16;
const overlapBytes = 1 << 10;
