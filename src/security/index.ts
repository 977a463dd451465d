/**
 * Security: who a client is (SCRAM-SHA-256), what the client port shows (certificate), what a role may do (privileges),
 * and the cluster's certificates: what its CA issues and takes back (`authority.ts`), and whom a peer's names.
 * Other folders import from here.
 */

export { addressBytes, hostOf, isLoopback, networkText, parseNetwork, peerKey } from "./addresses.js";
export {
  Authority,
  type AuthorityOptions,
  createAuthority,
  type IssuedCertificate,
  type NewAuthority,
  type Validity,
} from "./authority.js";
export {
  type CaAlgorithm,
  type CaSigner,
  caAlgorithmOf,
  generateSoftwareKey,
  softwareSigner,
} from "./ca-signer.js";
export {
  CaStore,
  type CaStoreOptions,
  caStoreOptions,
  keptPassphrasePath,
  type PassphrasePlaces,
  type PassphraseSource,
  passphraseFrom,
  passphraseVariable,
} from "./ca-store.js";
export {
  type ClientKind,
  type Identity,
  identityOf,
  identityUri,
  parseIdentityUri,
} from "./certificate-names.js";
export {
  type CertificateRequest,
  type KeyKind,
  makeRequest,
  nodeRequest,
  type RequestWish,
  readRequest,
} from "./certificate-request.js";
export {
  decide,
  defaultConnectionRule,
  type LoginAttempt,
  type LoginDecision,
  orderedRules,
} from "./connection-rules.js";
export {
  checkPeer,
  ed25519Key,
  fingerprintOf,
  type KeyAndCertificate,
  type NodeSubject,
  nodeCertificateDays,
  type PeerCondition,
  type PeerContext,
  type PeerVerdict,
  type PinnedMember,
  publicKeyOf,
  type TrustedCa,
} from "./node-identity.js";
export {
  type NodeMaterial,
  promoteMaterial,
  readFormerMaterial,
  readNodeMaterial,
  readNodeMaterials,
  readReturned,
  signerOf,
  storeNextMaterial,
  storeNodeMaterial,
  storeReturned,
  verifyAuthoritySignature,
  verifySignature,
} from "./node-material.js";
export { Pkcs11Token, type TokenConfig } from "./pkcs11.js";
export { type AuthorityFacts, authorityFacts, type NodeFacts, nodeFacts, revocationList } from "./pki.js";
export {
  type Revocation,
  type RevocationFacts,
  type RevocationList,
  type RevocationReason,
  type RevokedCertificate,
  readCertificate,
  readCrl,
  revocationReasons,
  revokedMax,
} from "./revocation-list.js";
export {
  createVerifier,
  defaultIterations,
  formatVerifier,
  mechanisms,
  parseVerifier,
  ScramClient,
  ScramServer,
  type ScramVerifier,
} from "./scram.js";
export {
  checkShare,
  combineShares,
  readShare,
  type ShareFacts,
  type SharePlan,
  splitKey,
  usualShares,
} from "./shares.js";
export {
  type CertificateNames,
  isSelfMade,
  type PortMaterial,
  readPortMaterial,
  readServerCertificate,
  serverCertificate,
  serverEndPoint,
  storePortMaterial,
} from "./tls.js";
export {
  type ClientTrust,
  checkUser,
  type UserCondition,
  type UserContext,
  type UserIdentity,
  type UserVerdict,
} from "./user-identity.js";
