/**
 * The door for what peers say. A peer has a valid certificate and may be faulty all the same: a message that no correct
 * member could send is dropped here, so that nothing behind has to doubt what it is handed, and no assert of the core can
 * be reached from outside.
 *
 * Not caught: lies that could be true. That a message comes from whom it names is checked where the connection is known.
 */
import type { Entry, MemberId, MemberSet, Message } from "./contract.js";
import type { RaftNode } from "./core.js";
import { recordBytesMax } from "./records.js";

/** Terms and indexes stay far from where numbers lose their units. */
const numberMax = 2 ** 52;
const idMax = 2 ** 32;
const membersMax = 1000;
/** A record of the log holds it, with what stands around it. */
export const commandBytesMax = recordBytesMax - 64;

const isNumber = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value < numberMax;

/** Undefined: nothing. */
export function whatIsWrong(node: RaftNode, message: Message): string | undefined {
  const { from, to, term } = message;
  if (to !== node.id || from === node.id || !isId(from))
    return `from ${from} to ${to}, but this is ${node.id}`;
  if (!isNumber(term)) return `term ${term}`;
  switch (message.kind) {
    case "vote":
    case "preVote":
      return wrongPlace(message.lastIndex, message.lastTerm, term - 1);
    case "append":
    case "heartbeat":
    case "snapshot":
    case "timeoutNow":
      if (term === 0) return "a leader of term 0";
      if (term === node.term && node.leader !== 0 && node.leader !== from)
        return `a second leader in term ${term}`;
      break;
    default:
      break;
  }
  switch (message.kind) {
    case "append":
      return (
        wrongPlace(message.previousIndex, message.previousTerm, term) ??
        wrongNumber("commit", message.commit) ??
        wrongEntries(message.entries, message.previousIndex, message.previousTerm, term)
      );
    case "appendAnswer":
      return wrongNumber("index", message.index) ?? wrongPlace(message.hintIndex, message.hintTerm, term);
    case "heartbeat":
      return wrongNumber("commit", message.commit) ?? wrongNumber("round", message.round);
    case "heartbeatAnswer":
      return wrongNumber("round", message.round);
    case "snapshot": {
      const { index, snapshotTerm, members, offset, total, data } = message;
      if (index === 0) return "a snapshot of nothing";
      if (!isNumber(total) || !isNumber(offset) || offset + data.length > total)
        return `bytes ${offset} to ${offset + data.length} of a snapshot of ${total}`;
      if (data.length === 0 && offset < total) return "an empty part of a snapshot";
      return wrongPlace(index, snapshotTerm, term) ?? wrongMembers(members);
    }
    case "snapshotAnswer":
      return (
        wrongNumber("index", message.index) ??
        wrongNumber("offset", message.offset) ??
        wrongNumber("bytes", message.received)
      );
    case "read":
      return wrongNumber("context", message.context);
    case "readAnswer":
      return wrongNumber("context", message.context) ?? wrongNumber("index", message.index);
    default:
      return undefined;
  }
}

const isId = (id: MemberId): boolean => Number.isSafeInteger(id) && id > 0 && id < idMax;

function wrongNumber(what: string, value: number): string | undefined {
  return isNumber(value) ? undefined : `${what} ${value}`;
}

/** An entry, or the beginning of all logs (index and term 0). */
function wrongPlace(index: number, term: number, termMax: number): string | undefined {
  if (!isNumber(index) || !isNumber(term) || (index === 0) !== (term === 0)) return `entry ${index}@${term}`;
  return term > termMax ? `entry ${index}@${term}, of a term above the message's` : undefined;
}

function wrongEntries(
  entries: readonly Entry[],
  previousIndex: number,
  previousTerm: number,
  termMax: number,
): string | undefined {
  let index = previousIndex;
  let term = previousTerm;
  for (const entry of entries) {
    if (entry.index !== index + 1 || entry.term < term)
      return `entry ${entry.index}@${entry.term} behind ${index}@${term}`;
    ({ index, term } = entry);
    const wrong =
      wrongPlace(index, term, termMax) ??
      (entry.kind === "members" ? wrongMembers(entry.members) : undefined) ??
      (entry.kind === "command" && entry.data.length > commandBytesMax
        ? `an entry of ${entry.data.length} bytes`
        : undefined);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function wrongMembers({ voters, outgoing, learners, demoted }: MemberSet): string | undefined {
  const isList = (ids: readonly MemberId[]): boolean =>
    ids.length <= membersMax && ids.every((id, at) => isId(id) && (at === 0 || ids[at - 1]! < id));
  const isSet =
    voters.length > 0 &&
    [voters, outgoing, learners, demoted].every(isList) &&
    !learners.some((id) => voters.includes(id) || outgoing.includes(id)) &&
    demoted.every((id) => outgoing.includes(id) && !voters.includes(id));
  return isSet ? undefined : "a set of members that none can be";
}
