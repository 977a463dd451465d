/**
 * `scratchbird join`: makes a data folder into a new member of a cluster. What stays here is drawn here (uuid, key); what the
 * cluster says comes over a connection whose other end has proved to be of the token's CA.
 *
 * `scratchbird rejoin`: gets a member another certificate whose own nobody takes any more: it was down while the CA was replaced, or
 * until its certificate had ended. It keeps its data, its uuid and its place in the consensus group.
 *
 *     request, signed with the key that the node is known by  ->  certificate, kept  ->  consent, signed likewise  ->  known by it
 *
 * Invariants: nothing is written before the cluster has admitted the node; the node's key never leaves the folder; a new key is
 * durable before the cluster's log names it.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { DbError } from "./base/errors.js";
import { productVersion } from "./base/version.js";
import {
  consentDigest,
  decodeToken,
  type JoinAnswer,
  type JoinRequest,
  method,
  packVersion,
  type Return,
  readMessage,
  returnDigest,
  returnKeysMax,
} from "./cluster/index.js";
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
import {
  nodeRequest,
  promoteMaterial,
  readNodeMaterials,
  signerOf,
  storeNextMaterial,
  storeNodeMaterial,
  storeReturned,
} from "./security/index.js";

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
  network.use(nobody);
  let answer: JoinAnswer;
  try {
    answer = await askToJoin(options, token.authority, request);
  } finally {
    network.close();
  }
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

/** Who has no certificate yet, or none that counts. */
const nobody = {
  own: undefined,
  check: () => ({ condition: "NOT_A_MEMBER", message: "", node: undefined }),
};

async function askToJoin(
  { network, clock, hash, peer }: Pick<JoinOptions, "network" | "clock" | "hash" | "peer">,
  authority: string,
  request: JoinRequest,
): Promise<JoinAnswer> {
  const bytes = await requestOnce(
    { network, clock, hash },
    { address: peer, node: undefined, authority },
    method.join,
    Buffer.from(JSON.stringify(request)),
    answerMs,
  );
  return readMessage("answer to a join request", bytes);
}

/**
 * While the node does not run. Whatever breaks it off, it can be asked for again, with a new token.
 * @throws DbError F0000 (the folder holds no node), 55006 (it runs), 22023 (token, or of another cluster), 28000 (token refused, or not the key that
 *   the node is known by), 55000 (the node was removed), 08006 (nobody there)
 */
export async function rejoinCluster(
  options: Omit<JoinOptions, "random" | "freePort">,
): Promise<{ readonly nodeName: string }> {
  const unlock = options.disk.lockSync("lock");
  try {
    return await rejoin(options);
  } finally {
    unlock();
  }
}

async function rejoin(
  options: Omit<JoinOptions, "random" | "freePort">,
): Promise<{ readonly nodeName: string }> {
  const { config, disk, network } = options;
  const identity = readIdentity(disk);
  const materials = identity === undefined ? [] : readNodeMaterials(disk);
  const [current] = materials;
  if (identity === undefined || current === undefined)
    throw new DbError("configFileError", `${config.data} holds no node that was a member of a cluster`, {
      hint: "Name the data folder with --data, or make a new node with: scratchbird join.",
    });
  const token = decodeToken(options.token);
  const { clusterId: clusterUuid, nodeId: nodeUuid, nodeName } = identity;
  if (token.cluster !== clusterUuid)
    throw new DbError("invalidParameterValue", "the token is of another cluster than the node");
  const { requestPem, keyPem } = nodeRequest({ clusterUuid, nodeUuid, nodeName });
  const signers = materials.slice(-returnKeysMax).map(signerOf);
  const signedWithEach = (digest: Uint8Array): string[] => signers.map((one) => one.sign(digest));
  const again: Return = { proofs: signedWithEach(returnDigest(clusterUuid, nodeUuid, token.id, requestPem)) };
  const request: JoinRequest = {
    token: token.id,
    secret: token.secret,
    uuid: nodeUuid,
    name: nodeName,
    requestPem,
    addresses: addressesOf(identity, identity.ports),
    hostLabel: identity.hostLabel,
    version: packVersion(productVersion),
    again,
  };
  network.use(nobody);
  try {
    const { certificatePem, authorityPem } = await askToJoin(options, token.authority, request);
    const next = storeNextMaterial(disk, { certificatePem, keyPem }, authorityPem);
    const consents = signedWithEach(consentDigest(clusterUuid, nodeUuid, certificatePem));
    const given = { certificatePem, consents };
    const { peers } = await askToJoin(options, token.authority, { ...request, again: { ...again, given } });
    // The members first: with the new certificate in use, whom it counts on is who they are now.
    writeIdentity(disk, { ...identity, peers });
    storeReturned(disk, next.certFingerprint);
    promoteMaterial(disk, next, current);
  } finally {
    network.close();
  }
  return { nodeName };
}
