/** The bounds of what nodes say to each other; milliseconds and bytes. */

export interface LinkLimits {
  readonly frameBytesMax: number;
  /** Of a stranger's frames. */
  readonly strangerFrameBytesMax: number;
  /** Not yet taken by the peer: above this nothing more is sent to it. */
  readonly queueBytesMax: number;
  /** Requests of one connection that are worked on at once; who asks keeps to it, who answers holds it to it. */
  readonly requestsMax: number;
  readonly strangerRequestsMax: number;
  /** Requests of a link that wait for their turn, on the side that asks. */
  readonly waitingMax: number;
  /** Accepted connections. */
  readonly incomingMax: number;
  /** Of these, strangers'. */
  readonly strangersMax: number;
  readonly dialMs: number;
  /** Between two dials of one peer. */
  readonly redialMinMs: number;
  readonly redialMaxMs: number;
  /** A link that broke after this long is dialled again at once. */
  readonly stableMs: number;
  readonly pingEveryMs: number;
  /** Without a sign of life after a ping, a link of our own is broken. */
  readonly silentMs: number;
  /** Without a sign of life, an accepted connection is closed. */
  readonly incomingSilentMs: number;
}

export const defaultLinkLimits: LinkLimits = {
  frameBytesMax: 4 << 20,
  strangerFrameBytesMax: 64 << 10,
  queueBytesMax: 16 << 20,
  requestsMax: 64,
  strangerRequestsMax: 2,
  waitingMax: 1024,
  incomingMax: 1024,
  strangersMax: 32,
  dialMs: 3_000,
  redialMinMs: 50,
  redialMaxMs: 1_000,
  stableMs: 1_000,
  pingEveryMs: 1_000,
  silentMs: 3_000,
  incomingSilentMs: 10_000,
};
