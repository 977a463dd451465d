/**
 * Certificates that were refused, on whichever port: told in the log, handed on to the audit chain, and counted by port and reason
 * (CA-14). Each half of a node has such refusals; the chain and the counts are main's.
 *
 * Invariant: a flood of refused connections makes a bounded number of lines and messages, and every one of them is counted.
 */
import { type Log, Repeats } from "./observe/index.js";
import type { Clock } from "./platform/index.js";
import type { PeerNetwork, PeerRefusal } from "./rpc/contract.js";
import type { ClientTrust } from "./security/index.js";

/** Where a certificate was shown: to a node's ports, or to the one for Postgres clients. */
export type RefusalPort = "control" | "rpc" | "pg";

/** Of one reason, at one place; `count` of them. */
export interface CountedRefusal {
  readonly condition: string;
  readonly message: string;
  readonly node: string | undefined;
  readonly fingerprint: string | undefined;
  readonly address: string;
  readonly count: number;
}

const logEveryMs = 60_000;
/** Counts are to be seen soon; the audit chain counts on for longer. */
const tellEveryMs = 1_000;
/** Addresses and reasons that are told apart, and certificates of each. */
const bounds = { kindsMax: 1000, variantsMax: 8 };
const others: PeerRefusal = {
  condition: "OTHERS",
  message: "connections were refused from more addresses than are counted apart",
  node: undefined,
  fingerprint: undefined,
  remoteAddress: "-",
};

/** Whence, and with which certificate: what is told apart. */
export function refusalKind({ condition, node, fingerprint }: Omit<CountedRefusal, "count">, from: string) {
  return { kind: `${condition} ${from}`, variant: fingerprint ?? node ?? "" };
}
/** A client takes another port for each connection. */
export const withoutPort = (address: string): string => address.replace(/:\d+$/, "");

/** Whatever this network refuses from here on, or is refused for by its own check of others. */
export function watchRefusals(options: {
  readonly network: PeerNetwork;
  readonly port: RefusalPort;
  readonly clock: Pick<Clock, "after">;
  readonly log: Log;
  readonly tell: (refusal: CountedRefusal) => void;
}): { stop(): void } {
  const { network, port, clock, log, tell } = options;
  const counted = ({ remoteAddress: address, ...refusal }: PeerRefusal, count: number): CountedRefusal => ({
    ...refusal,
    address,
    count,
  });
  const lines = new Repeats<PeerRefusal>({
    ...bounds,
    clock,
    everyMs: logEveryMs,
    others,
    tell: (refusal, count) => {
      const { condition, message: reason, node: peer, fingerprint, address } = counted(refusal, count);
      const fields = { port, condition, reason, peer, fingerprint, address };
      log.warn("a peer was refused", count === 1 ? fields : { ...fields, count });
    },
  });
  const words = new Repeats<PeerRefusal>({
    ...bounds,
    clock,
    everyMs: tellEveryMs,
    others,
    tell: (refusal, count) => tell(counted(refusal, count)),
  });
  network.onRefusal((refusal) => {
    const { kind, variant } = refusalKind(counted(refusal, 1), withoutPort(refusal.remoteAddress));
    lines.note(refusal, kind, variant);
    words.note(refusal, kind, variant);
  });
  return {
    stop: () => {
      lines.stop();
      words.stop();
    },
  };
}

/** How many, since the node's start. Reasons are those of our own checks, so there are few. */
export class RefusalCounts {
  readonly #counts = new Map<string, number>();

  add(port: RefusalPort, reason: string, count: number): void {
    const key = `${port} ${reason}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
  }
  /** Port, reason, count. */
  *read(): Iterable<readonly [readonly [port: string, reason: string], number]> {
    for (const [key, count] of this.#counts) {
      const [port = "", reason = ""] = key.split(" ");
      yield [[port, reason], count];
    }
  }
  get total(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += count;
    return sum;
  }

  /** The same trust, with what it refuses counted. */
  ofClients(trust: ClientTrust): ClientTrust {
    return {
      check: (der) => {
        const verdict = trust.check(der);
        if ("condition" in verdict) this.add("pg", verdict.condition, 1);
        return verdict;
      },
      standing: (certificate) => trust.standing(certificate),
    };
  }
}
