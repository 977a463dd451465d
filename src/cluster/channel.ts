/**
 * What the main thread and the control worker say to each other (rule C2). Plain data: it crosses a thread boundary on a
 * real machine, and a queue in the simulator. Each direction keeps its order.
 */
import type { AuditHead, ClusterChange, ControlStatus, ErrorRecord, Member } from "./contract.js";
import type { AuthorityAnswer, AuthorityRequest } from "./control-messages.js";
import type { RaftNumbers } from "./raft-counts.js";

export type ToControl =
  /** Storage has seen entries up to `seen`: they are committed, whatever the log knew of it. Comes first, once. */
  | { readonly kind: "open"; readonly seen: number }
  /** A proposal: bytes of a command, or a change for an epoch. Answered by its being applied, or by `refused`. */
  | {
      readonly kind: "propose";
      readonly number: number;
      readonly command: Uint8Array;
      readonly trace?: string | undefined;
    }
  | {
      readonly kind: "change";
      readonly number: number;
      readonly change: ClusterChange;
      readonly by: string;
      /** W3C traceparent of the request behind it; it goes along to the leader. */
      readonly trace?: string | undefined;
      readonly audit?: AuditHead | undefined;
    }
  /** Answered by `passed` once every node has applied the entry or was silent for a lease (rule C5). */
  | { readonly kind: "barrier"; readonly ticket: number; readonly index: number }
  /** Answered by `passed` once everything committed when it was asked was sent; asked for until somebody leads. */
  | { readonly kind: "catchUp"; readonly ticket: number }
  /** Main has applied up to `index`, storage included. */
  | { readonly kind: "applied"; readonly index: number; readonly epoch: number }
  /** Where this node is really reached, and what it has said in its starts. */
  | {
      readonly kind: "addresses";
      readonly addresses: Member["addresses"];
      readonly before: readonly Member["addresses"][];
    }
  /** Answered by `authorized` or `notAuthorized`. */
  | { readonly kind: "authority"; readonly ticket: number; readonly request: AuthorityRequest }
  /** The certificates by which main's own connections with other nodes stand, where all with one stand by the same. */
  | {
      readonly kind: "seen";
      /** By which main shows itself. */
      readonly own: string;
      readonly certificates: ReadonlyMap<string, string | undefined>;
      /** How many certificates of members main has refused. */
      readonly refused: number;
    }
  | { readonly kind: "stop" };

/** A committed entry. Signatures are checked once a node: by the worker, which says whether all of them held. */
export interface LogEntry {
  readonly index: number;
  readonly data: Uint8Array;
  readonly signaturesHold: boolean;
}

export type FromControl =
  /** The control port is bound. */
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "restore"; readonly index: number; readonly state: Uint8Array }
  | { readonly kind: "apply"; readonly entries: readonly LogEntry[] }
  /** The log is open, and what was known to be committed was sent. `leads`: of a group of one, at once. */
  | { readonly kind: "opened"; readonly lastIndex: number }
  | { readonly kind: "refused"; readonly number: number; readonly error: ErrorRecord }
  | { readonly kind: "passed"; readonly ticket: number }
  | { readonly kind: "authorized"; readonly ticket: number; readonly answer: AuthorityAnswer }
  | { readonly kind: "notAuthorized"; readonly ticket: number; readonly error: ErrorRecord }
  /** Connections to the control port, or from here to others', were refused: main has the audit chain. */
  | {
      readonly kind: "peerRefused";
      readonly condition: string;
      readonly message: string;
      readonly node: string | undefined;
      readonly fingerprint: string | undefined;
      readonly address: string;
      readonly count: number;
    }
  | { readonly kind: "status"; readonly status: ControlStatus; readonly raft: RaftNumbers }
  /** It is over with this node: what it promised is lost, or it was removed. */
  | { readonly kind: "fault"; readonly error: ErrorRecord }
  | { readonly kind: "stopped" };

/** Main's end. */
export interface ControlChannel {
  send(message: ToControl): void;
  onMessage(handler: (message: FromControl) => void): void;
}
