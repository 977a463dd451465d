/**
 * Trust for simulated nodes: signatures that cost nothing and are the same for the same seed. A key is its own public key, and a
 * certificate or a revocation list the text of what it says, which is safe enough where every node is this program.
 *
 * What a real node keeps in `tls/` and `ca/` lies in the same folders of its simulated disk, and is lost or put back with it.
 */
import { hash } from "node:crypto";
import { DbError } from "../base/errors.js";
import type { CertificateFacts, Pki, RevocationList, Signer } from "../cluster/contract.js";
import {
  bundleDigest,
  bundleHash,
  type CaService,
  encodeBundle,
  type FreshCertificate,
  firstBundle,
} from "../cluster/index.js";
import type { NodeTrust } from "../control-host.js";
import type { Disk } from "../platform/index.js";
import type { PeerVerdict } from "../rpc/contract.js";

const sha256 = (text: string): string => hash("sha256", text, "hex");

function signatureOf(publicKey: Uint8Array, digest: Uint8Array): string {
  return hash("sha512", Buffer.concat([publicKey, digest]), "base64");
}

/** Signatures that were found good, by the digest: every node looks at the same ones. */
const good = new WeakMap<Uint8Array, { readonly publicKey: Uint8Array; readonly signature: string }>();
function verify(publicKey: Uint8Array, digest: Uint8Array, signature: string): boolean {
  const known = good.get(digest);
  if (known?.signature === signature && Buffer.compare(known.publicKey, publicKey) === 0) return true;
  if (signatureOf(publicKey, digest) !== signature) return false;
  good.set(digest, { publicKey, signature });
  return true;
}

// --- certificates ----------------------------------------------------------------------------------------------------

export const pemOf = (text: string, label = "CERTIFICATE"): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(text).toString("base64")}\n-----END ${label}-----\n`;
function textOf(pem: string): string {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64").toString();
}

/** The text of a node's certificate. */
interface Shown {
  readonly clusterUuid: string;
  readonly nodeUuid: string;
  /** SHA-256 of its CA's text. */
  readonly issuer: string;
  readonly serial: string;
  readonly certFingerprint: string;
}
/** Of a CA, by its number: the first one founds. */
export const simAuthorityPem = (clusterUuid: string, number: number): string =>
  pemOf(caText(clusterUuid, number));
const caText = (clusterUuid: string, number: number): string => `CA ${number} of ${clusterUuid}`;
const certificateText = (clusterUuid: string, nodeUuid: string, issuer: string, serial: string): string =>
  JSON.stringify({ clusterUuid, nodeUuid, issuer, serial });
/** As it was founded or admitted with. */
const firstText = (clusterUuid: string, nodeUuid: string): string =>
  certificateText(clusterUuid, nodeUuid, sha256(caText(clusterUuid, 1)), sha256(nodeUuid).slice(0, 32));
const keyOf = (text: string): Buffer => Buffer.from(sha256(`key of ${text}`), "hex");

const shownByText = new Map<string, Shown | undefined>();
function readShown(text: string): Shown | undefined {
  if (!shownByText.has(text)) {
    if (shownByText.size > 10_000) shownByText.clear();
    shownByText.set(text, parseShown(text));
  }
  return shownByText.get(text);
}
function parseShown(text: string): Shown | undefined {
  try {
    const read = JSON.parse(text) as Partial<Shown>;
    const known = [read.clusterUuid, read.nodeUuid, read.issuer, read.serial].every(
      (one) => typeof one === "string",
    );
    return known ? { ...(read as Shown), certFingerprint: sha256(text) } : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}
/** By the bytes of a stream: whoever trusts anew looks again at all that are open. */
const seen = new WeakMap<Uint8Array, Shown>();
function shownBy(der: Uint8Array): Shown {
  let shown = seen.get(der);
  if (shown === undefined) seen.set(der, (shown = readShown(Buffer.from(der).toString())!));
  return shown;
}

const notAfter = 9_000_000_000_000;
/** Of what a node was founded or admitted with, by the CA of that fingerprint; by default the first one. */
export function simCertificate(
  clusterUuid: string,
  nodeUuid: string,
  issuer?: string,
  drawn = sha256(nodeUuid).slice(0, 32),
): {
  readonly text: string;
  readonly certFingerprint: string;
  readonly publicKey: string;
  readonly certificate: CertificateFacts;
} {
  const text =
    issuer === undefined
      ? firstText(clusterUuid, nodeUuid)
      : certificateText(clusterUuid, nodeUuid, issuer, drawn);
  const { serial, issuer: by, certFingerprint } = readShown(text)!;
  const publicKey = keyOf(text).toString("base64");
  return { text, certFingerprint, publicKey, certificate: { serial, issuer: by, notBefore: 0, notAfter } };
}

/** Signs with the key of a certificate, by its text. */
export function simSigner(text: string): Signer {
  return {
    certFingerprint: sha256(text),
    publicKey: keyOf(text).toString("base64"),
    sign: (digest) => signatureOf(keyOf(text), digest),
  };
}

export const simListPem = (issuer: string, list: RevocationList): string =>
  pemOf(listText(issuer, list), "X509 CRL");

/** By the key of the CA of that certificate. */
export function simAuthoritySign(authorityPem: string, digest: Uint8Array): string {
  return signatureOf(keyOf(textOf(authorityPem)), digest);
}
/** As a founder signs it. */
export function simFirstBundle(clusterUuid: string): string {
  const first = firstBundle(clusterUuid, 0);
  const authorityPem = pemOf(caText(clusterUuid, 1));
  return encodeBundle(first, authorityPem, simAuthoritySign(authorityPem, bundleDigest(bundleHash(first))));
}

export const simPki: Pki = {
  verify,
  readAuthority: (pem) => {
    const text = textOf(pem);
    return /^CA \d+ of /.test(text)
      ? { fingerprint: sha256(text), keyHash: sha256(`key of ${text}`), notBefore: 0, notAfter }
      : undefined;
  },
  readNode: (pem, authorityPem) => {
    const text = textOf(pem);
    const read = readShown(text);
    if (read === undefined || read.issuer !== sha256(textOf(authorityPem))) return undefined;
    const { clusterUuid, nodeUuid: node, certFingerprint: fingerprint, serial } = read;
    const publicKey = keyOf(text).toString("base64");
    return { clusterUuid, node, fingerprint, publicKey, serial, notBefore: 0, notAfter };
  },
  readCrl: (pem, authorityPem) => readList(textOf(pem), sha256(textOf(authorityPem))),
  verifyAuthority: (pem, digest, signature) => simAuthoritySign(pem, digest) === signature,
};

function listText(issuer: string, { number, thisUpdate, nextUpdate, revoked }: RevocationList): string {
  return JSON.stringify({ issuer, number, thisUpdate, nextUpdate, revoked: [...revoked] });
}
function readList(text: string, issuer: string): RevocationList | undefined {
  try {
    const read = JSON.parse(text) as { issuer: string; revoked: [string, never][] } & RevocationList;
    if (read.issuer !== issuer || !Number.isSafeInteger(read.number)) return undefined;
    return { ...read, revoked: new Map(read.revoked) };
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return undefined;
  }
}

// --- a node's ----------------------------------------------------------------------------------------------------------

/** Where nothing is kept: scripts and tests of one state. */
const nowhere: Pick<Disk, "existsSync" | "readFileSync" | "writeFileSync" | "makeFolderSync" | "removeSync"> =
  {
    existsSync: () => false,
    readFileSync: () => Buffer.alloc(0),
    writeFileSync: () => undefined,
    makeFolderSync: () => undefined,
    removeSync: () => undefined,
  };
export const simCertificatePath = "tls/node.crt";
const nextPath = "tls/next.crt";
const formerPath = "tls/former.crt";
const keysPath = "ca/keys";

/** `keepsCa`: the CA's key is on its disk. */
export function simTrust(
  clusterUuid: string,
  nodeUuid: string,
  { disk = nowhere, keepsCa = false }: { readonly disk?: typeof nowhere; readonly keepsCa?: boolean } = {},
): NodeTrust {
  const textIn = (path: string): string | undefined =>
    disk.existsSync(path) ? Buffer.from(disk.readFileSync(path)).toString() : undefined;
  const write = (path: string, text: string): void => {
    disk.makeFolderSync(path.slice(0, path.indexOf("/")));
    disk.writeFileSync(path, Buffer.from(text));
  };
  const first = firstText(clusterUuid, nodeUuid);
  const held = (): string[] =>
    [textIn(simCertificatePath) ?? first, textIn(nextPath)].filter((one) => one !== undefined);
  let current = textIn(simCertificatePath) ?? first;
  let former = textIn(formerPath);
  const authorityPem = pemOf(caText(clusterUuid, 1));
  return {
    pki: simPki,
    signer: {
      get certFingerprint() {
        return sha256(current);
      },
      get publicKey() {
        return keyOf(current).toString("base64");
      },
      sign: (digest) => signatureOf(keyOf(current), digest),
    },
    certificate: simCertificate(clusterUuid, nodeUuid).certificate,
    authorityPem,
    authority: keepsCa ? caService(clusterUuid, textIn, write) : undefined,
    store: {
      request: async () => ({
        requestPem: `request of ${nodeUuid}`,
        keep: (certificatePem) => write(nextPath, textOf(certificatePem)),
      }),
    },
    follow: (cluster) => {
      const wanted = cluster.members.get(nodeUuid)?.certFingerprint;
      if (wanted === undefined || wanted === sha256(current)) return;
      const next = held().find((one) => sha256(one) === wanted);
      if (next === undefined) return;
      const issuerOf = (text: string | undefined): string | undefined =>
        text === undefined ? undefined : readShown(text)?.issuer;
      // As on a real node.
      if (former === undefined || issuerOf(former) === issuerOf(next) || issuerOf(current) !== issuerOf(next))
        former = current;
      write(formerPath, former);
      current = next;
      if (textIn(simCertificatePath) !== next) write(simCertificatePath, next);
    },
    credentials(cluster, { leaving, told }) {
      this.follow(cluster);
      return {
        own: { certificatePem: current, keyPem: "" },
        former: former === undefined ? undefined : { certificatePem: former, keyPem: "" },
        check: (der): PeerVerdict => {
          const { clusterUuid: theirs, nodeUuid: node, issuer, serial, certFingerprint } = shownBy(der);
          const refuse = (condition: string): PeerVerdict => ({ condition, message: condition, node });
          const { authorities } = cluster;
          const isNew = !cluster.members.has(nodeUuid);
          const isPinned =
            cluster.members.has(node) && cluster.pinnedAuthorities.some((one) => one.fingerprint === issuer);
          const isIssuers = isNew && readShown(current)?.issuer === issuer;
          if (
            authorities.length > 0 &&
            !isIssuers &&
            !isPinned &&
            !authorities.some((one) => one.fingerprint === issuer)
          )
            return refuse("UNTRUSTED_CA");
          if (theirs !== clusterUuid) return refuse("WRONG_CLUSTER");
          const member = isNew && told.has(node) ? undefined : cluster.members.get(node);
          if (member?.state !== "REMOVED" && cluster.isRevoked(issuer, serial)) return refuse("REVOKED");
          const accepted = { node, certFingerprint };
          if (member === undefined)
            return !told.has(node)
              ? refuse("NOT_A_MEMBER")
              : told.get(node) === certFingerprint
                ? accepted
                : refuse("NOT_PINNED");
          if (!cluster.pinnedOf(member).some((one) => one.certFingerprint === certFingerprint))
            return refuse("NOT_PINNED");
          if (member.state === "REMOVED" && !leaving.has(node)) return refuse("REMOVED");
          return { ...accepted, isFormer: certFingerprint !== member.certFingerprint };
        },
      };
    },
  };
}

/** Its keys are numbers of CAs, in a file. */
function caService(
  clusterUuid: string,
  textIn: (path: string) => string | undefined,
  write: (path: string, text: string) => void,
): CaService {
  const numbers = (): number[] => JSON.parse(textIn(keysPath) ?? "[1]") as number[];
  const drawn = (): number => Number(textIn("ca/serials") ?? "0");
  const issue = (issuer: string, node: string): FreshCertificate => {
    write("ca/serials", String(drawn() + 1));
    const serial = sha256(`${issuer} ${drawn()}`).slice(0, 32);
    const text = certificateText(clusterUuid, node, issuer, serial);
    return {
      certificatePem: pemOf(text),
      serial,
      fingerprint: sha256(text),
      publicKey: keyOf(text).toString("base64"),
      notBefore: 0,
      notAfter,
    };
  };
  return {
    keys: () => numbers().map((one) => sha256(caText(clusterUuid, one))),
    issueNode: async ({ fingerprint }, _request, node) => issue(fingerprint, node),
    issueUser: async ({ fingerprint }, _request, role) => issue(fingerprint, role),
    issueService: async ({ fingerprint }, _request, service) => issue(fingerprint, service),
    issueServer: async ({ fingerprint }, _request, { commonName }) => issue(fingerprint, commonName),
    signList: async ({ fingerprint }, list) => simListPem(fingerprint, list),
    signBundle: async ({ certificatePem }, digest) => simAuthoritySign(certificatePem, digest),
    create: async () => {
      const known = numbers();
      // Never one that was there before: the serials count on.
      write("ca/serials", String(drawn() + 1));
      const number = Math.max(1, ...known) + drawn() + 1;
      write(keysPath, JSON.stringify([...known, number]));
      return pemOf(caText(clusterUuid, number));
    },
    forget: (fingerprint) =>
      write(
        keysPath,
        JSON.stringify(numbers().filter((one) => sha256(caText(clusterUuid, one)) !== fingerprint)),
      ),
    split: async ({ fingerprint }, { needed, total }) =>
      Array.from({ length: total }, (_, at) => JSON.stringify([fingerprint, needed, at + 1])),
    recover: async (of, shares) => {
      const read = shares.map((one) => JSON.parse(one) as [string, number, number]);
      const [fingerprint, needed] = read[0]!;
      const authority = of.find((one) => one.fingerprint === fingerprint);
      if (authority === undefined || new Set(read.map((one) => one[2])).size < needed)
        throw new DbError("invalidParameterValue", "the shares do not bring a key back");
      const number = Number(/^CA (\d+) of /.exec(textOf(authority.certificatePem))![1]);
      write(keysPath, JSON.stringify([...new Set([...numbers(), number])]));
      return fingerprint;
    },
  };
}
