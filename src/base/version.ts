/** The product's version, as in package.json, and what it tells PostgreSQL's clients (design/contract.md, "SQL for tools"). */
export const productVersion = "0.1.0";
/** `server_version`: clients read the major number to choose their catalog queries. */
export const serverVersion = `15.0 (ScratchBird ${productVersion})`;
export const serverVersionNumber = 150_000;
/** version(): drivers and tools parse its beginning. */
export const versionText = `PostgreSQL 15.0 (ScratchBird ${productVersion}) on Node.js, compiled by TypeScript and AssemblyScript, 64-bit`;
