/**
 * Observability: structured log lines and a registry of metrics. One sink each, handed in.
 *
 * Log lines are JSON (pino) or, on a terminal, one readable line. A metric is an object with a plain number that hot code
 * adds to; names and labels are only put together when somebody asks for them.
 *
 * Invariants: a log line is one line; values under names that hold secrets are not written; metric names are unique.
 */
import { pino } from "pino";
import { assert } from "../base/errors.js";
import type { Clock } from "../platform/index.js";

export { LoopDelay } from "./loop-delay.js";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  /** `fields.error` may be an Error: its name, message, stack and causes are written. */
  error(message: string, fields?: LogFields): void;
  /** A log that adds these fields to every line. */
  child(fields: LogFields): Log;
}

export interface LogOptions {
  readonly format: "json" | "pretty";
  readonly level: LogLevel;
  readonly clock: Clock;
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
  const code = "sqlstate" in error ? { sqlstate: error.sqlstate } : {};
  return { name, message, ...code, stack, ...(cause === undefined ? {} : { cause: serializeError(cause) }) };
}

export function createLog(options: LogOptions): Log {
  const { clock, format, level, write } = options;
  const logger = pino(
    {
      level,
      base: null,
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
  const { level, time, msg, error, ...fields } = JSON.parse(json) as Record<string, unknown>;
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
  return `${clock} ${String(level).padEnd(5)} ${String(msg)}${shown.join("")}${detail}\n`;
}

/** A log that keeps nothing: for tests and code that is given none. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};

// ------------------------------------------------------------------------------------------------------ metrics

export type Labels = Readonly<Record<string, string>>;

/** Only rises; hot code may write `value += n` itself. */
export class Counter {
  value = 0;
  add(count = 1): void {
    this.value += count;
  }
}

/** Upper bounds in seconds for latencies, 50 µs to 10 s. */
export const latencyBounds: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export class Histogram {
  readonly counts: Float64Array;
  sum = 0;
  count = 0;
  constructor(readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1);
  }
  observe(value: number): void {
    let bucket = 0;
    const { bounds } = this;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += value;
    this.count++;
  }
}

interface Series {
  readonly labels: Labels;
  readonly metric: Counter | Histogram | (() => number);
}
interface Family {
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly series: Series[];
}

/** Metrics by name, shown in Prometheus' text format (exposition format 0.0.4). */
export class Metrics {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string, labels: Labels = {}): Counter {
    const counter = new Counter();
    this.#add(name, help, "counter", { labels, metric: counter });
    return counter;
  }
  /** `read` is called when the metrics are shown. */
  gauge(name: string, help: string, read: () => number, labels: Labels = {}): void {
    this.#add(name, help, "gauge", { labels, metric: read });
  }
  histogram(name: string, help: string, bounds = latencyBounds, labels: Labels = {}): Histogram {
    const histogram = new Histogram(bounds);
    this.#add(name, help, "histogram", { labels, metric: histogram });
    return histogram;
  }

  #add(name: string, help: string, type: Family["type"], series: Series): void {
    assert(/^[a-z_][a-z0-9_]*$/.test(name), `metric name ${name}`);
    let family = this.#families.get(name);
    if (family === undefined) this.#families.set(name, (family = { help, type, series: [] }));
    assert(family.type === type, `metric ${name} is a ${family.type}`);
    const key = labelText(series.labels);
    assert(!family.series.some((one) => labelText(one.labels) === key), `metric ${name}${key} twice`);
    family.series.push(series);
  }

  render(): string {
    const lines: string[] = [];
    for (const [name, { help, type, series }] of this.#families) {
      lines.push(
        `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
        `# TYPE ${name} ${type}`,
      );
      for (const { labels, metric } of series) {
        if (metric instanceof Counter) lines.push(`${name}${labelText(labels)} ${metric.value}`);
        else if (metric instanceof Histogram) renderHistogram(lines, name, labels, metric);
        else lines.push(`${name}${labelText(labels)} ${metric()}`);
      }
    }
    return `${lines.join("\n")}\n`;
  }
}

function renderHistogram(lines: string[], name: string, labels: Labels, histogram: Histogram): void {
  let below = 0;
  histogram.bounds.forEach((bound, bucket) => {
    below += histogram.counts[bucket]!;
    lines.push(`${name}_bucket${labelText({ ...labels, le: String(bound) })} ${below}`);
  });
  lines.push(`${name}_bucket${labelText({ ...labels, le: "+Inf" })} ${histogram.count}`);
  lines.push(
    `${name}_sum${labelText(labels)} ${histogram.sum}`,
    `${name}_count${labelText(labels)} ${histogram.count}`,
  );
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([key, value]) =>
      `${key}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
