/**
 * Alerts: rules over metrics, and what each node makes of them (OBS-27). Pure: numbers and times are handed in.
 *
 *     quiet --condition holds--> pending --holds for all of `forMs`--> firing --is over for all of `clearForMs`--> quiet
 *               ^ one false look takes it back                            ^ one true look takes that back
 *
 * With `clearAt` a value has to come back further than it had to go: it does not flap about its threshold.
 *
 * Invariants: an alert is told of once when it fires and once when it has cleared; what is not known fires nothing; a series that
 * is gone is quiet; what is kept is bounded.
 */

export type Severity = "WARNING" | "CRITICAL";
export type Labels = Readonly<Record<string, string>>;

export interface AlertRule {
  readonly name: string;
  readonly severity: Severity;
  /** As /metrics shows it, without "scratchbird_". */
  readonly metric: string;
  /** Only series with these labels. */
  readonly where?: Labels;
  /** One of both: the condition, of the value or of its growth. */
  readonly above?: number;
  readonly below?: number;
  /** What it has to come back to, where that is not the threshold. */
  readonly clearAt?: number;
  /** The rule is about how much a counter has grown in so long. */
  readonly growthMs?: number;
  readonly forMs: number;
  readonly clearForMs: number;
  readonly summary: string;
}

export interface Alert {
  readonly rule: AlertRule;
  readonly labels: Labels;
  readonly value: number;
  /** Wall clock, milliseconds: when it fired. */
  readonly since: number;
}

/** One series of a metric. */
export interface Series {
  readonly labels: Labels;
  readonly value: number;
}

interface Tracked {
  labels: Labels;
  value: number;
  /** Monotonic: since when the condition holds, without a break; undefined: it does not. */
  holdsSince: number | undefined;
  /** Of one that fires: since when it is over. */
  overSince: number | undefined;
  firedAt: number | undefined;
}
interface Sample {
  readonly at: number;
  readonly value: number;
}

/** Series of one rule: there is one for each node at most. */
const seriesMax = 1_000;

export class AlertBook {
  readonly #tracked = new Map<string, Tracked>();
  readonly #samples = new Map<string, Sample[]>();
  #looked = false;

  constructor(
    readonly rules: readonly AlertRule[],
    readonly tell: (alert: Alert, firing: boolean) => void,
  ) {}

  get firing(): Alert[] {
    const found: Alert[] = [];
    for (const rule of this.rules)
      for (const [key, { labels, value, firedAt }] of this.#tracked)
        if (firedAt !== undefined && key.startsWith(`${rule.name} `))
          found.push({ rule, labels, value, since: firedAt });
    return found;
  }

  /** `read`: all series of a metric as it is now; none where it is not known. */
  look(read: (metric: string) => Iterable<Series>, monotonic: number, wall: number): void {
    const present = new Set<string>();
    for (const rule of this.rules) {
      const seen = new Set<string>();
      for (const { labels, value } of read(rule.metric)) {
        if (!matches(labels, rule.where) || seen.size >= seriesMax) continue;
        const key = `${rule.name} ${JSON.stringify(Object.entries(labels).sort())}`;
        seen.add(key);
        present.add(key);
        const shown =
          rule.growthMs === undefined ? value : this.#growth(key, value, rule.growthMs, monotonic);
        this.#judge(rule, key, labels, shown, monotonic, wall);
      }
      for (const [key, one] of this.#tracked)
        if (key.startsWith(`${rule.name} `) && !seen.has(key)) {
          if (one.firedAt === undefined) this.#tracked.delete(key);
          else this.#over(rule, key, one, monotonic);
        }
    }
    for (const key of this.#samples.keys()) if (!present.has(key)) this.#samples.delete(key);
    this.#looked = true;
  }

  /** A counter that was not there before has grown from 0; one that has fallen began anew. */
  #growth(key: string, value: number, ms: number, now: number): number {
    let samples = this.#samples.get(key);
    if (samples === undefined) {
      samples = this.#looked ? [{ at: now, value: 0 }] : [];
      this.#samples.set(key, samples);
    }
    if (samples.length > 0 && samples.at(-1)!.value > value) samples.length = 0;
    samples.push({ at: now, value });
    while (samples.length > 1 && samples[0]!.at < now - ms) samples.shift();
    return value - samples[0]!.value;
  }

  #judge(rule: AlertRule, key: string, labels: Labels, value: number, now: number, wall: number): void {
    const known = this.#tracked.get(key);
    const fires = known?.firedAt !== undefined;
    if (!holds(rule, value, fires)) {
      if (known === undefined) return;
      if (!fires) this.#tracked.delete(key);
      else {
        known.value = value;
        this.#over(rule, key, known, now);
      }
      return;
    }
    const one = known ?? { labels, value, holdsSince: now, overSince: undefined, firedAt: undefined };
    this.#tracked.set(key, one);
    one.value = value;
    one.overSince = undefined;
    one.holdsSince ??= now;
    if (one.firedAt !== undefined || now - one.holdsSince < rule.forMs) return;
    one.firedAt = wall;
    this.tell({ rule, labels, value, since: wall }, true);
  }

  #over(rule: AlertRule, key: string, one: Tracked, now: number): void {
    one.overSince ??= now;
    if (now - one.overSince < rule.clearForMs) return;
    this.#tracked.delete(key);
    const { labels, value, firedAt } = one;
    this.tell({ rule, labels, value, since: firedAt! }, false);
  }
}

function matches(labels: Labels, where: Labels | undefined): boolean {
  return Object.entries(where ?? {}).every(([name, value]) => labels[name] === value);
}

/** `fires`: it has to come back as far as `clearAt` to be over. */
function holds({ above, below, clearAt }: AlertRule, value: number, fires: boolean): boolean {
  if (Number.isNaN(value)) return false;
  if (above !== undefined) return value > (fires ? (clearAt ?? above) : above);
  return below !== undefined && value < (fires ? (clearAt ?? below) : below);
}
