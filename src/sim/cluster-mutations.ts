/** Bugs to seed into whole clusters, to show that the simulator would notice them. The table is empty so far. */
import type { FromControl, ToControl } from "../cluster/channel.js";
import type { ControlActor } from "../cluster/index.js";
import type { ControlProcess } from "./cluster-process.js";
import type { Swarm } from "./cluster-swarm.js";

export interface Mutation {
  readonly name: string;
  /** What makes it likely to show. */
  readonly swarm?: Partial<Swarm>;
  readonly leaseTooLongMs?: number;
  /** Takes something away from the code as long as the run lasts. */
  install?(): () => void;
  onActor?(process: ControlProcess, actor: ControlActor): void;
  /** What main is told instead. */
  fromControl?(process: ControlProcess, message: FromControl): readonly FromControl[] | undefined;
  /** Main is answered at once, and the message goes nowhere. */
  toControl?(process: ControlProcess, message: ToControl): readonly FromControl[] | undefined;
}

export const mutations: readonly Mutation[] = [];
