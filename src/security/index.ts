/**
 * Security: who a client is (SCRAM-SHA-256), what the client port shows (certificate), what a role may do (privileges).
 * Other folders import from here.
 */
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
