/**
 * What happens to the cluster, as each node sees it, told in its own audit chain: members that come and go, epochs, leaders.
 *
 * Invariant: what was there when the node was opened is not told again.
 */
import type { ClusterView, ControlStatus, Member } from "../cluster/contract.js";
import type { Audit } from "./audit.js";

export class ClusterAudit {
  readonly #audit: Audit;
  #members: ReadonlyMap<string, Member>;
  #epochs: number;
  #effective: number;
  #refused: ClusterView["refusedEpochs"];
  #leader: string | undefined;
  #term: number;

  constructor(audit: Audit, view: ClusterView, status: ControlStatus) {
    this.#audit = audit;
    this.#members = view.members;
    this.#epochs = view.epochs.length;
    this.#effective = effectiveOf(view);
    this.#refused = view.refusedEpochs;
    this.#leader = status.leader;
    this.#term = status.term;
  }

  /** Members, settings or epochs have changed. */
  cluster(view: ClusterView): void {
    this.#noteMembers(view);
    for (const { epoch, hash, by } of view.epochs.slice(this.#epochs)) {
      const { number, description } = epoch;
      this.#audit.note("EPOCH_PUBLISHED", { epoch: number, hash, by, description });
    }
    this.#epochs = view.epochs.length;
    const effective = effectiveOf(view);
    if (effective > this.#effective) this.#audit.note("EPOCH_EFFECTIVE", { epoch: effective });
    this.#effective = effective;
    if (view.refusedEpochs !== this.#refused) {
      const last = this.#refused.at(-1);
      const from = last === undefined ? 0 : view.refusedEpochs.lastIndexOf(last) + 1;
      for (const { number, condition, hash } of view.refusedEpochs.slice(from))
        this.#audit.note("EPOCH_REFUSED", { epoch: number, condition, hash });
      this.#refused = view.refusedEpochs;
    }
  }

  #noteMembers({ members }: ClusterView): void {
    if (members === this.#members) return;
    for (const member of members.values()) {
      const before = this.#members.get(member.uuid);
      if (before?.state === member.state) continue;
      const { uuid, name, state, stateReason, stateChangedBy } = member;
      const what = { node: uuid, node_name: name, by: stateChangedBy, reason: stateReason };
      if (before === undefined) this.#audit.note("NODE_JOINED", { ...what, state });
      else if (state === "REMOVED") this.#audit.note("NODE_LEFT", what);
      else this.#audit.note("NODE_STATE_CHANGED", { ...what, from: before.state, to: state });
    }
    this.#members = members;
  }

  status({ leader, term }: ControlStatus): void {
    if (leader === undefined || (leader === this.#leader && term === this.#term)) return;
    this.#leader = leader;
    this.#term = term;
    this.#audit.note("LEADER_ELECTED", { leader, term });
  }
}

function effectiveOf({ epochs }: ClusterView): number {
  for (let at = epochs.length - 1; at >= 0; at--)
    if (epochs[at]!.effectiveAt !== undefined) return epochs[at]!.epoch.number;
  return 0;
}
