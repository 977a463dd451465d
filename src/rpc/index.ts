/**
 * What nodes say to each other: messages, requests and raw streams, over authenticated connections (D15).
 *
 *     const links = new PeerLinks({ network, clock, random, hash });
 *     links.onRequest(1, async (peer, payload) => answer);
 *     const port = await links.listen("127.0.0.1", 0, false);
 *     links.setPeers(new Map([[uuid, "127.0.0.1:6434"]]));
 *     await links.request(uuid, 1, payload, 1_000);
 *
 * `contract.ts` has the connections, which `platform/` and `sim/` make; `codec.ts` the frames; `links.ts` the two sides of
 * a connection put together; `streams.ts` what a relayed session goes over. Not here: what the payloads mean.
 */
export { notSent, sent } from "./calls.js";
export {
  decodeError,
  encodeError,
  type Frame,
  FrameDecoder,
  FrameEncoder,
  type FrameKind,
  payloadBytesMax,
} from "./codec.js";
export type * from "./contract.js";
export type { MemberIdentity, MessageHandler, RequestHandler } from "./incoming.js";
export { defaultLinkLimits, type LinkLimits } from "./limits.js";
export { PeerLinks, type PeerLinksOptions, type RequestOnceOptions, requestOnce } from "./links.js";
export type { PeerEvent } from "./outgoing.js";
export { acceptStreams, openStream, type StreamHandler, type StreamOptions } from "./streams.js";
