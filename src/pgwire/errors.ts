/** Errors of the protocol itself, and which errors end a connection. */
import { type Condition, DbError, InvariantError } from "../base/errors.js";

/** An error after which the connection is closed: severity FATAL on the wire. */
export class FatalError extends DbError {}

export function fatal(condition: Condition, message: string, fields: DbError["fields"] = {}): FatalError {
  return new FatalError(condition, message, fields);
}

/** The stream cannot be followed any further. */
export function fatalViolation(message: string, detail?: string): FatalError {
  return new FatalError("protocolViolation", message, { detail });
}

/** A message is wrong in itself; the stream is still in step. */
export function violation(message: string, detail?: string): DbError {
  return new DbError("protocolViolation", message, { detail });
}

/**
 * Conditions after which the connection is closed, whoever raises them. 57P03 is not among them: it ends a log-in, as all
 * errors do, but of a statement it says that the cluster cannot serve it now, and the next one may be served.
 */
const endsConnection: ReadonlySet<Condition> = new Set<Condition>([
  "adminShutdown",
  "crashShutdown",
  "databaseDropped",
  "idleInTransactionSessionTimeout",
]);

export function isFatal(error: DbError): boolean {
  return error instanceof FatalError || endsConnection.has(error.condition);
}

const hostLimit =
  /^(Invalid (string|array|typed array|array buffer) length|Array buffer allocation failed|Cannot create a string longer|Map maximum size exceeded|Set maximum size exceeded|Too many properties)/i;

/**
 * What a client is told of anything that was thrown. A deep recursion is the statement's fault (54001); anything else
 * that is no DbError is the server's own (XX000), and `report` hears of it.
 */
export function asDbError(thrown: unknown, report: (error: Error) => void): DbError {
  if (thrown instanceof DbError) return thrown;
  if (thrown instanceof RangeError && thrown.message.includes("call stack")) {
    return new DbError("statementTooComplex", "stack depth limit exceeded", {
      hint: "The statement is nested too deeply.",
    });
  }
  // What the host refuses to make: texts over 512 MiB, arrays over its limits, memory that it does not have.
  if (thrown instanceof RangeError && hostLimit.test(thrown.message)) {
    return new DbError("programLimitExceeded", "value is too large", { detail: thrown.message });
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  report(error);
  const what = error instanceof InvariantError ? "internal error" : "unexpected internal error";
  return new DbError("internalError", what, { detail: "The server's log has the cause." }, error);
}
