/**
 * What SQL looks like: the keyword table and scanner (tokens.ts) and the parser, built in layers: expressions, queries,
 * tables, statements, cluster. Rules return the tree nodes of src/sql/ast.ts and know nothing else of src/.
 */
export { chainMax, depthMax, UnexpectedToken } from "./base.js";
export { SqlParser } from "./cluster.js";
export * from "./tokens.js";
