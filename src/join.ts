/**
 * `scratchbird join`: makes a data folder into a new member of a cluster. What stays here is drawn here (uuid, key); what the
 * cluster says comes over a connection whose other end has proved to be of the token's CA.
 *
 * Invariants: nothing is written before the cluster has admitted the node; the node's key never leaves the folder.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { DbError } from "./base/errors.js";
import { productVersion } from "./base/version.js";
import { decodeToken, type JoinRequest, method, packVersion, readMessage } from "./cluster/index.js";
import type { Config } from "./config.js";
import {
  addressesOf,
  advertisedOf,
  identityFormat,
  isWildcard,
  type NodeIdentity,
  newUuid,
  parseIdentity,
  readIdentity,
  writeIdentity,
} from "./identity.js";
import type { Clock, Disk, Random } from "./platform/index.js";
import type { PeerNetwork } from "./rpc/contract.js";
import { requestOnce } from "./rpc/index.js";
import { nodeRequest, storeNodeMaterial } from "./security/index.js";

const answerMs = 30_000;

export interface JoinOptions {
  readonly config: Config;
  readonly token: string;
  /** Control address of any member: host:port. */
  readonly peer: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly hash: XXHashAPI;
  readonly network: PeerNetwork;
  /** The wanted port, or a free one when it is taken and nobody insists on it. */
  readonly freePort: (wanted: number, insisted: boolean) => Promise<number>;
}

/** @throws DbError 55006 (the folder holds a node), F0000 (no address of its own), 22023 (token), 28000 (token refused), 08006 (nobody there) */
export async function joinCluster(options: JoinOptions): Promise<void> {
  const { config, clock, random, disk, network } = options;
  if (readIdentity(disk) !== undefined)
    throw new DbError("objectInUse", `the data folder ${config.data} already holds a node`, {
      hint: "Start it with: scratchbird start, or choose another folder with --data.",
    });
  const advertised = advertisedOf(config);
  if (isWildcard(config.host) && advertised?.host === undefined)
    throw new DbError(
      "configFileError",
      `${config.host} is no address at which others could find this node`,
      {
        hint: "Say with --advertise-address which one is.",
      },
    );
  const token = decodeToken(options.token);
  const now = clock.now();
  const nodeId = newUuid(now, random);
  const nodeName = config.nodeName ?? `node-${nodeId.slice(-6)}`;
  const hostLabel = config.hostLabel ?? "local";
  const ports = {
    pg: config.port,
    http: config.httpPort,
    rpc: await options.freePort(config.rpcPort, config.explicit.has("rpc-port")),
    control: await options.freePort(config.controlPort, config.explicit.has("control-port")),
  };
  const { requestPem, keyPem } = nodeRequest({
    clusterUuid: token.cluster,
    nodeUuid: nodeId,
    nodeName,
  });
  const request: JoinRequest = {
    token: token.id,
    secret: token.secret,
    uuid: nodeId,
    name: nodeName,
    requestPem,
    addresses: addressesOf({ host: config.host, advertised }, ports),
    hostLabel,
    version: packVersion(productVersion),
  };
  const nobody = {
    own: undefined,
    check: () => ({ condition: "NOT_A_MEMBER", message: "", node: undefined }),
  };
  network.use(nobody);
  let bytes: Uint8Array;
  try {
    bytes = await requestOnce(
      { network, clock, hash: options.hash },
      { address: options.peer, node: undefined, authority: token.authority },
      method.join,
      Buffer.from(JSON.stringify(request)),
      answerMs,
    );
  } finally {
    network.close();
  }
  const answer = readMessage("answer to a join request", bytes);
  const facts = (answer.facts ?? {}) as {
    readonly creation: NodeIdentity["creation"];
    readonly databaseName: string;
    readonly mockSecret: string;
  };
  const identity: NodeIdentity = {
    format: identityFormat,
    nodeId,
    nodeName,
    clusterId: answer.clusterUuid,
    clusterName: facts.databaseName,
    createdAt: now,
    host: config.host,
    hostLabel,
    ports,
    ...(advertised === undefined ? {} : { advertised }),
    creation: facts.creation,
    mockSecret: facts.mockSecret,
    raftId: answer.raftId,
    founder: false,
    established: false,
    peers: answer.peers.map(({ uuid, address, certFingerprint, raftId }) => ({
      uuid,
      address,
      certFingerprint,
      raftId,
    })),
  };
  parseIdentity(JSON.stringify(identity));
  storeNodeMaterial(disk, { certificatePem: answer.certificatePem, keyPem }, answer.authorityPem);
  writeIdentity(disk, identity);
}
