/**
 * What somebody may do to an audit chain on a disk, for tests: bytes changed, lines removed, moved, added, the end cut off.
 * Each mutation says which events it touches, so that a verifier that names another place is found out.
 */
export interface Tampered {
  readonly what: string;
  readonly text: string;
  /** Sequences that a verifier may name. */
  readonly from: number;
  readonly to: number;
}

export interface Rng {
  /** Uniform whole number in [0, n). */
  below(n: number): number;
}

const isEvent = (line: string): boolean => line.startsWith("E ");

/** A chain's lines, with the sequence that each has: of a signature, that of the event before it. */
export class TamperBench {
  readonly lines: readonly string[];
  /** By line. */
  readonly #sequence: readonly number[];
  readonly last: number;

  /** `first`: sequence of the first event in the text. */
  constructor(text: string, first = 1) {
    this.lines = text.split("\n").slice(0, -1);
    let sequence = first - 1;
    this.#sequence = this.lines.map((line) => (isEvent(line) ? ++sequence : sequence));
    this.last = sequence;
  }

  get text(): string {
    return `${this.lines.join("\n")}\n`;
  }

  /** Whatever is done to the line may show there, at the next event, or at the signature over both. */
  #made(what: string, at: number, lines: readonly string[], until = at): Tampered {
    const from = Math.max(1, this.#sequence[at]!);
    return { what, text: `${lines.join("\n")}\n`, from, to: this.#sequence[until]! + 1 };
  }

  change(random: Rng): Tampered {
    const at = random.below(this.lines.length);
    const line = this.lines[at]!;
    const place = random.below(line.length);
    let code = 32 + random.below(95);
    if (code === line.charCodeAt(place)) code = code === 126 ? 32 : code + 1;
    const changed = line.slice(0, place) + String.fromCharCode(code) + line.slice(place + 1);
    return this.#made(`line ${at}, byte ${place}`, at, this.lines.with(at, changed));
  }

  remove(random: Rng): Tampered {
    let at = random.below(this.lines.length);
    // Without its last signature a chain is whole, and not signed to its end: that is told apart.
    while (!isEvent(this.lines[at]!) || this.#sequence[at] === this.last)
      at = random.below(this.lines.length);
    // A signature that stood behind it stands behind the one before now.
    const made = this.#made(`line ${at} removed`, at, this.lines.toSpliced(at, 1));
    return { ...made, from: Math.max(1, made.from - 1) };
  }

  swap(random: Rng): Tampered {
    let [a, b] = [0, 0];
    while (a === b || !isEvent(this.lines[a]!) || !isEvent(this.lines[b]!))
      [a, b] = [random.below(this.lines.length), random.below(this.lines.length)];
    const lines = this.lines.with(a, this.lines[b]!).with(b, this.lines[a]!);
    return this.#made(`lines ${a} and ${b} swapped`, Math.min(a, b), lines, Math.min(a, b));
  }

  insert(random: Rng): Tampered {
    let from = random.below(this.lines.length);
    while (!isEvent(this.lines[from]!)) from = random.below(this.lines.length);
    const at = 1 + random.below(this.lines.length - 1);
    return this.#made(`line ${from} again at ${at}`, at, this.lines.toSpliced(at, 0, this.lines[from]!));
  }

  /** The chain ends before the event that is known of it. */
  cut(random: Rng, known: number): Tampered {
    let at = random.below(this.lines.length);
    while (this.#sequence[at]! >= known || this.#sequence[at]! < 1) at = random.below(this.lines.length);
    const sequence = this.#sequence[at]!;
    const text = `${this.lines.slice(0, at + 1).join("\n")}\n`;
    return { what: `cut behind line ${at}`, text, from: sequence + 1, to: sequence + 1 };
  }
}
