/**
 * Facts of functions that PostgreSQL does not have, in the notation of facts.ts.
 *
 * Invariant: OIDs are from 9900 to 9999, which PostgreSQL's releases leave free.
 */
export const ownFunctionFacts = `
9900;create_join_token;f;25;v;1186 1009;ttl roles;;NULL, NULL;;
9901;verify_audit_chain;f;16;v;20 20 25;start_sequence end_sequence node;;NULL, NULL, NULL;;
`;
