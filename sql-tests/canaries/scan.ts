/**
 * Secrets that were planted, in every form that they may be written in, and where they were found.
 *
 * Planted texts begin with one mark, so that one look finds them all, also inside of something that was written as base64 or
 * hexadecimal. Keys have no mark: each is looked for by itself.
 */

/** Never in anything that is not planted. */
const mark = "cAnArY7z";

/** Of one canary in one place. */
export interface Leak {
  readonly canary: string;
  readonly form: string;
  readonly place: string;
}

interface Needle {
  readonly form: string;
  readonly bytes: Buffer;
}

export class Canaries {
  /** Text behind the mark: which one it is. */
  readonly #texts = new Map<string, string>();
  readonly #keys: { readonly name: string; readonly needles: readonly Needle[] }[] = [];
  /** Names of those that may be in a place. */
  readonly #allowed: { readonly place: RegExp; readonly canary: RegExp }[] = [];

  /** A secret of ours: letters and digits, as long as passwords are. */
  text(name: string): string {
    const id = `${this.#texts.size + 100}x`;
    this.#texts.set(id, name);
    return `${mark}${id}Qw9Zr4`;
  }
  /** One that was made elsewhere, such as a token. */
  given(name: string, secret: string): void {
    this.#keys.push({ name, needles: formsOf(Buffer.from(secret, "utf8")) });
  }
  /** Bytes of a key. */
  key(name: string, secret: Uint8Array): void {
    this.#keys.push({ name, needles: formsOf(Buffer.from(secret)) });
  }
  /** Where it belongs. */
  allow(canary: RegExp, place: RegExp): void {
    this.#allowed.push({ canary, place });
  }
  get names(): string[] {
    return [...this.#texts.values(), ...this.#keys.map(({ name }) => name)];
  }

  scan(place: string, content: string | Uint8Array): Leak[] {
    const bytes =
      typeof content === "string"
        ? Buffer.from(content, "utf8")
        : Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    const found = new Map<string, Leak>();
    const note = (canary: string, form: string): void => {
      if (!this.#allowed.some((one) => one.canary.test(canary) && one.place.test(place)))
        found.set(`${canary} ${form}`, { canary, form, place });
    };
    for (const { form, bytes: needle } of markForms)
      for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1))
        note(form === "as it is" ? this.#nameAt(bytes, at) : "a planted text", form);
    for (const { name, needles } of this.#keys)
      for (const { form, bytes: needle } of needles) if (bytes.includes(needle)) note(name, form);
    return [...found.values()];
  }

  #nameAt(bytes: Buffer, at: number): string {
    const behind = bytes.toString("latin1", at + mark.length, at + mark.length + 4);
    return this.#texts.get(behind) ?? "a planted text";
  }
}

/** As it is, reversed in bytes never; base64 at each of the three places it may begin at. */
function formsOf(secret: Buffer): Needle[] {
  const hex = secret.toString("hex");
  const needles: Needle[] = [
    { form: "as it is", bytes: secret },
    { form: "hexadecimal", bytes: Buffer.from(hex) },
    { form: "HEXADECIMAL", bytes: Buffer.from(hex.toUpperCase()) },
  ];
  for (const shift of [0, 1, 2]) {
    const whole = Buffer.concat([Buffer.alloc(shift), secret]).toString("base64");
    // Characters that also depend on what stands before and behind are left out.
    const inner = whole.slice(shift === 0 ? 0 : 4, Math.floor((secret.length + shift) / 3) * 4);
    needles.push({ form: "base64", bytes: Buffer.from(inner) });
    const url = inner.replaceAll("+", "-").replaceAll("/", "_");
    if (url !== inner) needles.push({ form: "base64url", bytes: Buffer.from(url) });
  }
  return needles;
}
const markForms = formsOf(Buffer.from(mark));
