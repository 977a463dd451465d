import { describe, expect, it } from "vitest";
import type { DbError } from "./base/errors.js";
import {
  identityFormat,
  type NodeIdentity,
  newMockSecret,
  newUuid,
  parseIdentity,
  rememberedOptions,
} from "./identity.js";
import { hostRandom } from "./platform/host.js";

const identity: NodeIdentity = {
  format: identityFormat,
  nodeId: newUuid(1_700_000_000_000, hostRandom),
  nodeName: "node-1",
  clusterId: newUuid(1_700_000_000_000, hostRandom),
  clusterName: "scratchbird",
  createdAt: 1_700_000_000_000,
  host: "127.0.0.1",
  hostLabel: "host",
  ports: { pg: 5433, http: 0, rpc: 7433, control: 6433 },
  creation: { shards: 16, pageSize: 16384, encryption: true },
  mockSecret: newMockSecret(hostRandom),
  raftId: 1,
  founder: true,
  established: true,
  peers: [],
};

describe("node.json", () => {
  it("reads back as written and remembers ports and names", () => {
    expect(parseIdentity(JSON.stringify(identity))).toEqual(identity);
    expect(rememberedOptions(identity)).toMatchObject({
      port: 5433,
      "http-port": 0,
      "node-name": "node-1",
      shards: 16,
    });
  });

  it.each([
    ["{", "node.json is damaged: it is no JSON"],
    ["[]", "node.json is damaged: it has no format"],
    [JSON.stringify({ ...identity, format: 99 }), "node.json has format 99; this version reads up to 2"],
    [JSON.stringify({ ...identity, nodeId: "x" }), 'node.json is damaged: "nodeId" is missing or wrong'],
    [
      JSON.stringify({ ...identity, ports: { pg: 70000 } }),
      'node.json is damaged: "ports.pg" is missing or wrong',
    ],
    [
      JSON.stringify({ ...identity, mockSecret: "short" }),
      'node.json is damaged: "mockSecret" is missing or wrong',
    ],
  ])("refuses %s", (text, message) => {
    let error: DbError | undefined;
    try {
      parseIdentity(text);
    } catch (thrown) {
      error = thrown as DbError;
    }
    expect(error?.message).toBe(message);
    expect(error?.fields.hint).toBeDefined();
  });

  it("names nodes by UUID version 7, in order of time", () => {
    const earlier = newUuid(1_700_000_000_000, hostRandom);
    const later = newUuid(1_700_000_000_001, hostRandom);
    expect(earlier).toMatch(/^018bcfe5-6800-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(later > earlier).toBe(true);
  });
});
