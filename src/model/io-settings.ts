/**
 * What text input and output of values depend on besides the value: the session's display settings, and the names of
 * objects behind reg* types.
 *
 * Invariants: an EvalContext is an IoSettings; `defaultSettings` is what stored text is written with, so that it reads
 * back the same in every session (ISO, UTC, shortest floats).
 */
import { assert } from "../base/errors.js";
import type { EvalContext, SessionServices } from "./functions.js";

export type IoSettings = Pick<
  EvalContext,
  | "timeZone"
  | "dateStyle"
  | "intervalStyle"
  | "extraFloatDigits"
  | "byteaOutput"
  | "transactionTimestamp"
  | "service"
>;

export type RegKind =
  | "regclass"
  | "regtype"
  | "regproc"
  | "regprocedure"
  | "regoper"
  | "regoperator"
  | "regnamespace"
  | "regrole"
  | "regcollation";

/** Names behind OIDs; the session supplies it as service "objectNames". */
export interface ObjectNames {
  /** Name as the reg type shows it (quoted, qualified when not visible); undefined when there is no such object. */
  regName(kind: RegKind, oid: number): string | undefined;
  /** OID of a name as the reg type reads it; undefined when there is none (the caller raises the type's own error). */
  regOid(kind: RegKind, text: string): number | undefined;
}

declare module "./functions.js" {
  interface SessionServices {
    objectNames: ObjectNames;
  }
}

/** Storage's settings. reg* values have no names here: their text is the number. */
export const defaultSettings: IoSettings = {
  timeZone: "UTC",
  dateStyle: "ISO, MDY",
  intervalStyle: "postgres",
  extraFloatDigits: 1,
  byteaOutput: "hex",
  transactionTimestamp: 0,
  service<Name extends keyof SessionServices>(name: Name): SessionServices[Name] {
    assert(name === "objectNames", `service ${name} outside a session`);
    return noNames as SessionServices[Name];
  },
};

const noNames: ObjectNames = { regName: () => undefined, regOid: () => undefined };
