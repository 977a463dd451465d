/**
 * For tests: a strict reader of Prometheus' text format (exposition format 0.0.4).
 *
 * Stricter than Prometheus where that finds our mistakes: every family has HELP and TYPE before its samples and its lines stand
 * together, no series comes twice, histograms are cumulative and complete.
 */
import { assert } from "../base/errors.js";

export interface Sample {
  /** With the ending of a histogram's part. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: readonly Sample[];
}

const nameText = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const head = new RegExp(`^# (HELP|TYPE) (${nameText}) (.+)$`);
const sample = new RegExp(`^(${nameText})(?:\\{(.*)\\})? (\\S+)$`);
const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;
const number = /^(?:[-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|Inf)|NaN)$/;
const endings: Readonly<Record<string, readonly string[]>> = {
  counter: [""],
  gauge: [""],
  histogram: ["_bucket", "_sum", "_count"],
};

function readLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== "") {
    const found = label.exec(rest);
    assert(found !== null, `labels of: ${line}`);
    const [all, name, value] = found;
    assert(!(name! in labels), `label ${name} twice: ${line}`);
    labels[name!] = value!.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
    rest = rest.slice(all.length);
  }
  return labels;
}

function readNumber(text: string, line: string): number {
  assert(number.test(text), `number of: ${line}`);
  return Number(text.replace("Inf", "Infinity"));
}

export function parseExposition(text: string): Map<string, Family> {
  assert(text.endsWith("\n"), "the last line has an end");
  const families = new Map<string, Family & { samples: Sample[] }>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | undefined;
  let current: (Family & { samples: Sample[] }) | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    if (line === "") continue;
    const comment = head.exec(line);
    if (comment !== null) {
      const [, what, name, rest] = comment;
      if (what === "HELP") {
        assert(help === undefined && !families.has(name!), `HELP out of place: ${line}`);
        help = { name: name!, text: rest! };
        continue;
      }
      assert(help?.name === name && rest! in endings, `TYPE out of place: ${line}`);
      current = { name: name!, help: help!.text, type: rest!, samples: [] };
      families.set(name!, current);
      help = undefined;
      continue;
    }
    const found = sample.exec(line);
    assert(found !== null && help === undefined && current !== undefined, `no sample: ${line}`);
    const [, name, labels, value] = found;
    const { name: family, type } = current;
    assert(
      endings[type]!.some((ending) => name === family + ending),
      `not of ${family}: ${line}`,
    );
    const one = { name: name!, labels: readLabels(labels ?? "", line), value: readNumber(value!, line) };
    const key = JSON.stringify([one.name, Object.entries(one.labels).sort()]);
    assert(!seen.has(key), `series twice: ${line}`);
    seen.add(key);
    assert(type !== "counter" || one.value >= 0, `a counter below zero: ${line}`);
    current.samples.push(one);
  }
  assert(help === undefined, "HELP has its TYPE");
  for (const family of families.values()) if (family.type === "histogram") checkHistogram(family);
  return families;
}

/** Of one series: buckets rise to +Inf, which is the count. */
function checkHistogram({ name, samples }: Family): void {
  const buckets = samples.filter((one) => one.name === `${name}_bucket`);
  const count = samples.filter((one) => one.name === `${name}_count`);
  const sum = samples.filter((one) => one.name === `${name}_sum`);
  assert(count.length === 1 && sum.length === 1, `${name} has one sum and one count`);
  let bound = Number.NEGATIVE_INFINITY;
  let below = 0;
  for (const { labels, value } of buckets) {
    const next = readNumber(labels["le"] ?? "", `${name} le`);
    assert(next > bound && value >= below, `${name} rises`);
    bound = next;
    below = value;
  }
  assert(bound === Number.POSITIVE_INFINITY && below === count[0]!.value, `${name} ends with all`);
}
