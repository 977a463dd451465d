/**
 * node.json: what a data folder says about the node it belongs to. Written when the node is created and when it is started
 * with other ports or names, so that a later start without options takes the same.
 *
 *   {"format":2,"nodeId":"…uuid…","nodeName":"node-1","clusterId":"…uuid…","clusterName":"scratchbird","createdAt":…,
 *    "host":"127.0.0.1","ports":{"pg":5433,"http":8433,"rpc":7433,"control":6433},"hostLabel":"…",
 *    "advertised":{"host":"db1.example.com","ports":{"pg":0,"rpc":0,"control":0}},
 *    "creation":{"shards":16,"pageSize":16384,"encryption":true},"mockSecret":"…base64…",
 *    "raftId":1,"founder":true,"established":true,
 *    "peers":[{"uuid":"…uuid…","address":"127.0.0.1:6433","certFingerprint":"…sha256…","raftId":2}]}
 *
 * boot.json counts the starts and names them: a folder that is put back over a newer one does not know the start that its
 * peers have seen, and is refused, however often it is started.
 *
 * Invariants: the uuids never change; a file of another format, or one that is damaged, is refused by name; a start is
 * counted durably before the node speaks to anybody.
 */
import { assert, DbError } from "./base/errors.js";
import type { FirstPeer } from "./cluster/contract.js";
import type { Config, ConfigValue, OptionName } from "./config.js";
import { uuidFromBytes } from "./model/uuid.js";
import type { Disk, Random } from "./platform/index.js";

export const identityPath = "node.json";
/** Format of a node.json written by this version. */
export const identityFormat = 2;
const bootPath = "boot.json";

export interface NodePorts {
  readonly pg: number;
  readonly http: number;
  readonly rpc: number;
  readonly control: number;
}

export interface Addresses {
  readonly control: string;
  readonly rpc: string;
  readonly pg: string;
}

export interface Advertised {
  readonly host?: string | undefined;
  readonly ports: Omit<NodePorts, "http">;
}

export interface NodeIdentity {
  readonly format: number;
  readonly nodeId: string;
  readonly nodeName: string;
  readonly clusterId: string;
  readonly clusterName: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly host: string;
  readonly hostLabel: string;
  /** As asked for: 0 stays "any free port". */
  readonly ports: NodePorts;
  /** Where others find it, when that is not where it listens; port 0: the same port. */
  readonly advertised?: Advertised | undefined;
  /**
   * What this node has told the cluster, newest last; noted before it is told. The log, or as much of it as this node has, says
   * one of them, or what an administrator has set, and that stays.
   */
  readonly announced?: readonly Addresses[] | undefined;
  readonly creation: { readonly shards: number; readonly pageSize: number; readonly encryption: boolean };
  /** Base64, 32 bytes: makes the answers to unknown roles the same from start to start. */
  readonly mockSecret: string;
  /** In the consensus group; given when it joined. */
  readonly raftId: number;
  /** It made the cluster, and holds its shards. */
  readonly founder: boolean;
  /** It has been up once: from then on it has promised things, and its consensus log must be there. */
  readonly established: boolean;
  /** The members when it joined; its log knows better later. */
  readonly peers: readonly FirstPeer[];
}

/** UUID version 7 (RFC 9562): milliseconds, then random bits. */
export function newUuid(nowMs: number, random: Random): string {
  const bytes = new Uint8Array(16);
  random.fill(bytes);
  let time = Math.floor(nowMs);
  for (let at = 5; at >= 0; at--) {
    bytes[at] = time % 256;
    time = Math.floor(time / 256);
  }
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return uuidFromBytes(bytes);
}

export function newMockSecret(random: Random): string {
  const bytes = new Uint8Array(32);
  random.fill(bytes);
  return Buffer.from(bytes).toString("base64");
}

function damaged(what: string): DbError {
  return new DbError("configFileError", `${identityPath} is damaged: ${what}`, {
    hint: "Restore the file from a backup of the data folder; it is not written while the node runs.",
  });
}

const isPort = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535;
const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
const isUuid = (value: unknown): boolean =>
  typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);

function isAdvertised(value: unknown): boolean {
  const { host, ports } = (value ?? {}) as Partial<Advertised>;
  return (
    (host === undefined || isText(host)) &&
    [ports?.pg, ports?.rpc, ports?.control].every((one) => isPort(one))
  );
}

function isAddresses(value: unknown): boolean {
  const { control, rpc, pg } = (value ?? {}) as Partial<Addresses>;
  return [control, rpc, pg].every(isText);
}

function isFirstPeer(value: unknown): boolean {
  const { uuid, address, certFingerprint, raftId } = (value ?? {}) as Partial<FirstPeer>;
  return (
    isUuid(uuid) &&
    isText(address) &&
    typeof certFingerprint === "string" &&
    /^[0-9a-f]{64}$/.test(certFingerprint) &&
    Number.isInteger(raftId) &&
    Number(raftId) > 0
  );
}

const checks: readonly (readonly [path: string, holds: (value: unknown) => boolean])[] = [
  ["nodeId", isUuid],
  ["nodeName", isText],
  ["clusterId", isUuid],
  ["clusterName", isText],
  ["createdAt", (value) => typeof value === "number"],
  ["host", isText],
  ["hostLabel", isText],
  ["ports.pg", isPort],
  ["ports.http", isPort],
  ["ports.rpc", isPort],
  ["ports.control", isPort],
  ["advertised", (value) => value === undefined || isAdvertised(value)],
  ["announced", (value) => value === undefined || (Array.isArray(value) && value.every(isAddresses))],
  ["creation.shards", (value) => Number.isInteger(value) && Number(value) > 0],
  ["creation.pageSize", (value) => Number.isInteger(value) && Number(value) > 0],
  ["creation.encryption", (value) => typeof value === "boolean"],
  ["mockSecret", (value) => typeof value === "string" && Buffer.from(value, "base64").length === 32],
  ["raftId", (value) => Number.isInteger(value) && Number(value) > 0],
  ["founder", (value) => typeof value === "boolean"],
  ["established", (value) => typeof value === "boolean"],
  ["peers", (value) => Array.isArray(value) && value.every(isFirstPeer)],
];

/** As the first nodes of this format wrote it: one announcement, and peers as pairs, which an established node needs no more. */
function brought(document: Record<string, unknown>): Record<string, unknown> {
  const { announced, peers, established } = document;
  const isOld = Array.isArray(peers) && peers.every(Array.isArray);
  return {
    ...document,
    ...(isAddresses(announced) ? { announced: [announced] } : {}),
    ...(isOld && established === true ? { peers: [] } : {}),
  };
}

/** Checks the text of a node.json. @throws DbError configFileError (F0000) */
export function parseIdentity(text: string): NodeIdentity {
  let document: unknown;
  try {
    document = JSON.parse(text);
    if (typeof document === "object" && document !== null)
      document = brought(document as Record<string, unknown>);
  } catch {
    throw damaged("it is no JSON");
  }
  const at = (path: string): unknown => {
    let value: unknown = document;
    for (const key of path.split(".")) {
      if (typeof value !== "object" || value === null) return undefined;
      value = (value as Record<string, unknown>)[key];
    }
    return value;
  };
  const format = at("format");
  if (typeof format !== "number") throw damaged("it has no format");
  if (format > identityFormat) {
    throw new DbError(
      "configFileError",
      `${identityPath} has format ${format}; this version reads up to ${identityFormat}`,
      {
        hint: "The data folder was written by a newer version of ScratchBird: start that one.",
      },
    );
  }
  if (format < identityFormat) {
    throw new DbError(
      "configFileError",
      `${identityPath} has format ${format}, of a version without certificates; this version reads ${identityFormat}`,
      { hint: "Export the data with that version (COPY TO) and import it into a new cluster." },
    );
  }
  for (const [path, holds] of checks) {
    if (!holds(at(path))) throw damaged(`"${path}" is missing or wrong`);
  }
  return document as NodeIdentity;
}

/** undefined: the folder holds no node yet. */
export function readIdentity(disk: Disk): NodeIdentity | undefined {
  if (!disk.existsSync(identityPath)) return undefined;
  return parseIdentity(Buffer.from(disk.readFileSync(identityPath)).toString("utf8"));
}

export function writeIdentity(disk: Disk, identity: NodeIdentity): void {
  disk.writeFileSync(identityPath, Buffer.from(`${JSON.stringify(identity, undefined, 2)}\n`), 0o600);
}

type AdvertiseOptions = Pick<
  Config,
  "advertiseAddress" | "advertisePort" | "advertiseRpcPort" | "advertiseControlPort"
>;

/** Undefined: the node is found where it listens. */
export function advertisedOf(config: AdvertiseOptions): Advertised | undefined {
  const { advertiseAddress: host, advertisePort: pg } = config;
  const ports = { pg, rpc: config.advertiseRpcPort, control: config.advertiseControlPort };
  if (host === undefined && pg === 0 && ports.rpc === 0 && ports.control === 0) return undefined;
  return { ...(host === undefined ? {} : { host }), ports };
}

/** host:port of each port, as others are told. `ports`: those that are listened on. */
export function addressesOf(
  { host, advertised }: Pick<NodeIdentity, "host" | "advertised">,
  ports: Omit<NodePorts, "http">,
): Addresses {
  const name = advertised?.host ?? host;
  const at = (port: number, instead: number | undefined): string =>
    `${name.includes(":") ? `[${name}]` : name}:${instead || port}`;
  const other = advertised?.ports;
  return {
    control: at(ports.control, other?.control),
    rpc: at(ports.rpc, other?.rpc),
    pg: at(ports.pg, other?.pg),
  };
}

/** Each start may have another one, and the log may be without a leader for many of them. */
const announcedMax = 64;

/** What it has told so far: at first where it was made to listen. */
export function announcedBy(identity: NodeIdentity): readonly Addresses[] {
  return identity.announced ?? [addressesOf(identity, identity.ports)];
}

/** Before the node tells it to anybody. Answers all that it has told, newest last. */
export function noteAnnounced(disk: Disk, addresses: Addresses): readonly Addresses[] {
  const identity = readIdentity(disk);
  assert(identity !== undefined, "an open node has its identity");
  const text = JSON.stringify(addresses);
  const before = announcedBy(identity);
  if (JSON.stringify(before.at(-1)) === text) return before;
  const announced = [...before.filter((one) => JSON.stringify(one) !== text), addresses].slice(-announcedMax);
  writeIdentity(disk, { ...identity, announced });
  return announced;
}

/** Listening on all addresses names none. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Options that a start takes from the data folder when nobody gives them. */
export function rememberedOptions(identity: NodeIdentity): Partial<Record<OptionName, ConfigValue>> {
  const { ports, creation, advertised } = identity;
  return {
    host: identity.host,
    ...(advertised === undefined
      ? {}
      : {
          ...(advertised.host === undefined ? {} : { "advertise-address": advertised.host }),
          "advertise-port": advertised.ports.pg,
          "advertise-rpc-port": advertised.ports.rpc,
          "advertise-control-port": advertised.ports.control,
        }),
    port: ports.pg,
    "http-port": ports.http,
    "rpc-port": ports.rpc,
    "control-port": ports.control,
    "node-name": identity.nodeName,
    "host-label": identity.hostLabel,
    name: identity.clusterName,
    shards: creation.shards,
    "page-size": creation.pageSize,
    encryption: creation.encryption,
  };
}

/** Which start of the node this is. */
export interface Boot {
  readonly count: number;
  /** Random: two that run from copies of one folder count alike. */
  readonly nonce: string;
  /** Of the starts before it: whoever has seen one that is not among them has seen a newer folder. */
  readonly earlier: readonly string[];
}

const earlierMax = 4096;

/** Counts this start. @throws DbError configFileError (F0000) when the count cannot be read */
export function countBoot(disk: Disk, random: Random): Boot {
  let before = 0;
  let earlier: readonly string[] = [];
  if (disk.existsSync(bootPath)) {
    try {
      const known = JSON.parse(Buffer.from(disk.readFileSync(bootPath)).toString("utf8")) as Partial<Boot>;
      before = Number.isInteger(known.count) ? known.count! : -1;
      earlier = [...(known.earlier ?? []), String(known.nonce)].slice(-earlierMax);
    } catch {
      before = -1;
    }
    if (before < 0)
      throw new DbError("configFileError", `${bootPath} is damaged`, {
        hint: "Restore the file, or remove the node from its cluster and join anew.",
      });
  }
  const bytes = new Uint8Array(12);
  random.fill(bytes);
  const boot = { count: before + 1, nonce: Buffer.from(bytes).toString("base64url"), earlier };
  disk.writeFileSync(bootPath, Buffer.from(`${JSON.stringify(boot)}\n`), 0o600);
  return boot;
}
