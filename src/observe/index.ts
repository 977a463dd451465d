/**
 * Observability: structured log lines, and the numbers that metrics are made of.
 *
 * Log lines are JSON (pino) or, on a terminal, one readable line. Hot code adds to plain numbers; names and labels are
 * only put to them when somebody asks (`admin/`).
 *
 * Invariants: a log line is one line; values under names that hold secrets are not written.
 */
import { pino } from "pino";
import { DbError } from "../base/errors.js";
import type { Clock } from "../platform/index.js";

export {
  type Alert,
  AlertBook,
  type AlertRule,
  type Labels,
  type Series,
  type Severity,
} from "./alerts.js";
export { type DurationCounts, Durations, durationBounds } from "./durations.js";
export { LoopDelay, type LoopDelays } from "./loop-delay.js";
export { Repeats, type RepeatsOptions } from "./repeats.js";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  /** `fields.error` may be an Error: its name, message, detail, stack and causes are written. */
  error(message: string, fields?: LogFields): void;
  /** A log that adds these fields to every line. */
  child(fields: LogFields): Log;
}

export interface LogOptions {
  readonly format: "json" | "pretty";
  readonly level: LogLevel;
  readonly clock: Clock;
  /** On every line: whose it is (OBS-30). */
  readonly source?: { readonly node: string; readonly component: string };
  /** Takes one line with its end. */
  readonly write: (line: string) => void;
}

const secrets = [
  "password",
  "token",
  "secret",
  "privateKey",
  "*.password",
  "*.token",
  "*.secret",
  "*.privateKey",
];

/** ISO 8601 in UTC from milliseconds since 1970. */
export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack, cause } = error;
  const code = error instanceof DbError ? { sqlstate: error.sqlstate, detail: error.fields.detail } : {};
  return { name, message, ...code, stack, ...(cause === undefined ? {} : { cause: serializeError(cause) }) };
}

export function createLog(options: LogOptions): Log {
  const { clock, format, level, source, write } = options;
  const logger = pino(
    {
      level,
      base: source ?? null,
      messageKey: "message",
      timestamp: () => `,"time":"${isoTime(clock.now())}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: serializeError },
      redact: { paths: secrets, censor: "[hidden]" },
    },
    { write: format === "json" ? write : (line: string) => write(prettyLine(line)) },
  );
  return new PinoLog(logger);
}

class PinoLog implements Log {
  constructor(private readonly logger: pino.Logger) {}
  debug(message: string, fields: LogFields = {}): void {
    this.logger.debug(fields, message);
  }
  info(message: string, fields: LogFields = {}): void {
    this.logger.info(fields, message);
  }
  warn(message: string, fields: LogFields = {}): void {
    this.logger.warn(fields, message);
  }
  error(message: string, fields: LogFields = {}): void {
    this.logger.error(fields, message);
  }
  child(fields: LogFields): Log {
    return new PinoLog(this.logger.child(fields));
  }
}

/** `12:00:00.000 warn  message key=value`; an error's stack follows, indented. */
function prettyLine(json: string): string {
  // A terminal shows one node's lines, or a supervisor has put its name before them.
  const { level, time, message, error, node, component, ...fields } = JSON.parse(json) as Record<
    string,
    unknown
  >;
  const shown = Object.entries(fields).map(([key, value]) => {
    const text = typeof value === "string" && /^[\w.:/@-]+$/.test(value) ? value : JSON.stringify(value);
    return ` ${key}=${text}`;
  });
  const clock = String(time).slice(11, 23);
  const failure = error as { message?: string; stack?: string } | undefined;
  const detail =
    failure === undefined
      ? ""
      : `\n  ${(failure.stack ?? failure.message ?? JSON.stringify(failure)).replaceAll("\n", "\n  ")}`;
  return `${clock} ${String(level).padEnd(5)} ${String(message)}${shown.join("")}${detail}\n`;
}

/** A log that keeps nothing: for tests and code that is given none. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};
