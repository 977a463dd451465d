/**
 * Between the command line and the node: what `openNode` (node.ts) is given and what it answers.
 *
 * `openNode` opens or creates the node of `platform.disk`, accepts SQL when it resolves, and rejects with a DbError whose
 * message and hint are shown to the operator as they are.
 */
import type { Config } from "./config.js";
import type { NodeDoors } from "./node.js";
import type { Log } from "./observe/index.js";
import type { Platform } from "./platform/index.js";

/** What the ready line says; parts that the node does not have are null. */
export interface ReadyInfo {
  readonly node: string;
  readonly pg: string;
  readonly http: string | null;
  readonly rpc: string | null;
  /** The first user's password, in the start that created the cluster with a random one. */
  readonly adminPassword?: string | undefined;
}

export interface RunningNode {
  readonly ready: ReadyInfo;
  /** Resolves once statements have ended (or `config.stopTimeout` is over), everything is flushed and the folder unlocked. */
  stop(): Promise<void>;
  /** Resolves with the cause when the node has ended itself: a broken invariant, a failed disk. */
  readonly failed?: Promise<Error> | undefined;
}

/** `create`: the folder must not hold a node yet, and the node is not to listen (`scratchbird init`). */
export type OpenNode = (
  config: Config,
  platform: Platform,
  log: Log,
  mode?: "start" | "create",
  doors?: NodeDoors,
) => Promise<RunningNode>;

/** One finding of `scratchbird verify`. */
export interface VerifyFinding {
  readonly file: string;
  readonly problem: string;
}

/** Offline check of a data folder: every page, index and log. Empty: all is well. */
export type VerifyNode = (config: Config, platform: Platform, log: Log) => Promise<readonly VerifyFinding[]>;
