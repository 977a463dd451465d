/** The kernels the node calls: what is exported here is exported from kernels.wasm (src/wasm/index.ts types it). */
export { pageChecksumMatches, pageChecksumStore, xxh3_64, xxh64 } from "./bytes";
