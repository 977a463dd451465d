/**
 * The alerts of a node: the rules looked at every few seconds over the node's own metrics, and told in its log.
 *
 * Each node looks for itself, also one that is cut off; what concerns the cluster fires on every node.
 */
import { type Alert, AlertBook, type Log, type Series } from "../observe/index.js";
import type { Clock } from "../platform/index.js";
import { alertRules } from "./alert-rules.js";
import { type Facts, metricTable } from "./metrics.js";

const lookEveryMs = 5_000;

export interface Alerts {
  readonly firing: readonly Alert[];
  stop(): void;
}

export function startAlerts(facts: Facts, clock: Clock, log: Log): Alerts {
  const book = new AlertBook(alertRules, ({ rule, labels, value, since }, firing) => {
    const { name: alert, severity, metric, summary } = rule;
    const told = { alert, severity, metric, labels, value, threshold: rule.above ?? rule.below, summary };
    if (!firing) log.info("an alert has cleared", { ...told, since: new Date(since).toISOString() });
    else if (severity === "CRITICAL") log.error("an alert fires", told);
    else log.warn("an alert fires", told);
  });
  let timer = clock.after(lookEveryMs, look);
  function look(): void {
    book.look((metric) => seriesOf(metric, facts), clock.monotonic(), clock.now());
    timer = clock.after(lookEveryMs, look);
  }
  return {
    get firing() {
      return book.firing;
    },
    stop: () => timer.cancel(),
  };
}

/** What a metric shows now, without the label `node`. */
export function* seriesOf(metric: string, facts: Facts): Iterable<Series> {
  const row = metricTable.find((one) => one.name === `scratchbird_${metric}`);
  if (row === undefined || row.type === "histogram") return;
  const found = row.read(facts);
  if (found === undefined) return;
  if (typeof found === "number") {
    yield { labels: {}, value: found };
    return;
  }
  for (const [given, value] of found) {
    if (value === undefined) continue;
    const values = typeof given === "string" ? [given] : given;
    const own = row.labels.slice(-values.length).map((label, at) => [label, values[at]!]);
    yield { labels: Object.fromEntries(own), value };
  }
}
