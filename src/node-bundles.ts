/**
 * Which security bundle this node holds, as it is compared with what other nodes hold: with every relayed statement
 * (`pgwire/bundle-gate.ts`), and by asking all of them every five minutes (SEC-28).
 *
 * Invariants: what is compared is the bundle that this node's own sessions are bound by; that two nodes differ is in the log,
 * in the audit chain and in the numbers, once per pair of bundles and minute however often it is met.
 */
import { DbError } from "./base/errors.js";
import type { BundleStamp } from "./cluster/contract.js";
import type { ControlPlane } from "./cluster/index.js";
import type { Log } from "./observe/index.js";
import type { HeldBundle } from "./pgwire/index.js";
import type { Clock } from "./platform/index.js";
import type { Audit } from "./session/index.js";

const bundleSweepMs = 300_000;
/** Not the newest bundle for so long is late (SEC-26). */
const bundleLateMs = 60_000;

export class NodeBundles implements HeldBundle {
  /** Statements and answers refused since the node started. */
  mismatches = 0;
  /** Members that held another one when they were asked last. */
  readonly differing = new Map<string, BundleStamp>();
  readonly #changed = new Set<() => void>();
  #last: BundleStamp;

  constructor(
    private readonly core: {
      readonly control: ControlPlane;
      readonly node: string;
      readonly audit: Audit;
      readonly clock: Clock;
      readonly log: Log;
    },
  ) {
    this.#last = this.stamp();
  }

  stamp(): BundleStamp {
    return this.core.control.view.bundle;
  }
  watch(changed: () => void): () => void {
    this.#changed.add(changed);
    return () => this.#changed.delete(changed);
  }
  /** The control plane's view is another. */
  look(): void {
    const now = this.stamp();
    if (now.version === this.#last.version && now.hash === this.#last.hash) return;
    this.#last = now;
    // Compared with what is no more.
    this.differing.clear();
    for (const changed of [...this.#changed]) changed();
  }

  mismatch(peer: string, theirs: BundleStamp): DbError {
    const own = this.stamp();
    this.mismatches++;
    const detail = this.#describe(peer, own, theirs);
    this.#tell(peer, own, theirs, detail);
    return new DbError(
      "objectNotInPrerequisiteState",
      "the nodes of this statement hold different security bundles",
      {
        detail: `SECURITY_BUNDLE_MISMATCH: ${detail}`,
        hint: "SELECT * FROM sys.security_bundle_convergence tells who is behind.",
      },
    );
  }

  /** These are the members that are asked; of others nothing is known any more. */
  asking(members: ReadonlySet<string>): void {
    for (const node of [...this.differing.keys()]) if (!members.has(node)) this.differing.delete(node);
  }
  /** How long until they are asked again: soon, where one differs. */
  get askAgainMs(): number {
    return this.differing.size > 0 ? bundleLateMs : bundleSweepMs;
  }
  /** A member has been asked; undefined: it could not be. */
  asked(peer: string, theirs: BundleStamp | undefined): void {
    const own = this.stamp();
    if (theirs === undefined || theirs.hash === own.hash) {
      this.differing.delete(peer);
      return;
    }
    this.differing.set(peer, theirs);
    if (theirs.version === own.version) this.#tell(peer, own, theirs, this.#describe(peer, own, theirs));
  }

  #describe(peer: string, own: BundleStamp, theirs: BundleStamp): string {
    const { node, control } = this.core;
    const name = (uuid: string): string => control.view.members.get(uuid)?.name ?? uuid;
    const has = (uuid: string, { version, hash }: BundleStamp): string =>
      `Node ${name(uuid)} has bundle hash ${hash} (version ${version})`;
    return `${has(node, own)}. ${has(peer, theirs)}.`;
  }

  #tell(peer: string, own: BundleStamp, theirs: BundleStamp, detail: string): void {
    const { audit, log } = this.core;
    const isFirst = audit.bundleMismatch(peer, own, theirs);
    if (isFirst)
      log.error("security bundles differ", { condition: "SECURITY_BUNDLE_MISMATCH", peer, detail });
  }
}
