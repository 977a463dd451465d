/**
 * The table of metrics as a prom-client registry, which writes them in Prometheus' text format.
 *
 * prom-client's own metrics are stores that are fed value by value. Ours are counted elsewhere and only read here, so each row
 * is an object with what a registry asks of a metric: `get`, called at every scrape.
 */
import { type Metric, Registry } from "prom-client";
import { durationBounds } from "../observe/index.js";
import type { Facts, HistogramRow, MetricRow, NumberRow } from "./metrics.js";

interface Shown {
  /** Where it is not the metric's own: the parts of a histogram. */
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export function createRegistry(table: readonly MetricRow[], facts: Facts): Registry {
  const registry = new Registry();
  for (const row of table) {
    const { name, help, type } = row;
    const get = async () => ({
      name,
      help,
      type,
      values: row.type === "histogram" ? histogramOf(row, facts) : numbersOf(row, facts),
    });
    registry.registerMetric({ name, help, type, get } as unknown as Metric);
  }
  return registry;
}

function numbersOf(row: NumberRow, facts: Facts): Shown[] {
  const [first] = row.labels;
  const shared: Record<string, string> = first === "node" ? { node: facts.node } : {};
  const found = row.read(facts);
  if (found === undefined) return [];
  if (typeof found === "number") return [{ labels: shared, value: found }];
  const shown: Shown[] = [];
  for (const [given, value] of found) {
    if (value === undefined) continue;
    const values = typeof given === "string" ? [given] : given;
    const own = row.labels.slice(-values.length).map((label, at) => [label, values[at]!]);
    shown.push({ labels: { ...shared, ...Object.fromEntries(own) }, value });
  }
  return shown;
}

function histogramOf({ name, read }: HistogramRow, facts: Facts): Shown[] {
  const { counts, count, sum } = read(facts);
  const { node } = facts;
  let below = 0;
  const buckets = durationBounds.map((bound, at): Shown => {
    below += counts[at]!;
    return { metricName: `${name}_bucket`, labels: { node, le: bound }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_bucket`, labels: { node, le: "+Inf" }, value: count },
    { metricName: `${name}_sum`, labels: { node }, value: sum },
    { metricName: `${name}_count`, labels: { node }, value: count },
  ];
}
