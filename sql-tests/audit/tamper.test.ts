/** A small share of `npm run audit`: whatever is done to a chain, two verifiers notice it where it was done. */
import { beforeAll, describe, expect, it } from "vitest";
import { SimRandom } from "../../src/sim/random.js";
import { byExport, byServer, exportHead, problemOf, tailOf, type WrittenChain, writeChain } from "./suite.js";
import { TamperBench } from "./tamper.js";

let chain: WrittenChain;
let head: string;
beforeAll(async () => {
  chain = await writeChain(300, 40, 100);
  head = exportHead(chain.checkpoints);
});

describe("a chain", () => {
  it("is whole for both verifiers, from its begin and from each checkpoint", () => {
    for (const from of [0, 100, 200]) {
      const text = tailOf(chain.text, from);
      expect(byServer(text, chain.checkpoints, from)).toBeUndefined();
      expect(byExport(text, head, from)).toBeUndefined();
    }
  });

  it.each([["change"], ["remove"], ["swap"], ["insert"], ["cut"]] as const)(
    "that somebody tampered with is found out: %s",
    (how) => {
      const random = new SimRandom(3);
      for (let round = 0; round < 40; round++) {
        const from = 100 * random.below(3);
        const bench = new TamperBench(tailOf(chain.text, from), from + 1);
        const tampered = how === "cut" ? bench.cut(random, 300) : bench[how](random);
        const problem = problemOf(
          tampered,
          byServer(tampered.text, chain.checkpoints, from),
          byExport(tampered.text, head, from),
        );
        expect(problem).toBeUndefined();
      }
    },
  );
});
