/**
 * Security: who a client is (SCRAM-SHA-256), what the client port shows (certificate), what a role may do (privileges).
 * Other folders import from here.
 */

export { addressBytes, hostOf, isLoopback, networkText, parseNetwork, peerKey } from "./addresses.js";
export {
  decide,
  defaultConnectionRule,
  type LoginAttempt,
  type LoginDecision,
  orderedRules,
} from "./connection-rules.js";
export {
  checkPeer,
  createCa,
  createRequest,
  ed25519Key,
  fingerprintOf,
  issueNodeCertificate,
  type KeyAndCertificate,
  type NodeSubject,
  nodeUri,
  type PeerCondition,
  type PeerContext,
  type PeerVerdict,
  type PinnedMember,
  publicKeyOf,
  type TrustedCa,
} from "./node-identity.js";
export {
  createNodeMaterial,
  issuerOf,
  type NodeMaterial,
  readNodeMaterial,
  signerOf,
  storeNodeMaterial,
  verifySignature,
} from "./node-material.js";
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
export { type CertificateNames, readServerCertificate, serverCertificate } from "./tls.js";
export {
  type ClientTrust,
  checkUser,
  type UserCondition,
  type UserContext,
  type UserIdentity,
  type UserVerdict,
  userUri,
} from "./user-identity.js";
