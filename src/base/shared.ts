/**
 * Results of pure functions, shared by the nodes of one process: in the simulator all of them read the same entries, and
 * read them again in each of their starts. Off unless somebody switches it on: a node that is alone in its process reads
 * what comes to it once.
 *
 * Invariants: what is shared is frozen to its depth, so that no node can change what another one sees; memory is bounded,
 * and the oldest result goes first; what is thrown is not kept.
 */

let charactersMax = 0;

/** Switches sharing on: `characters` of arguments are kept of each function. 0 switches it off. */
export function shareResults(characters: number): void {
  charactersMax = characters;
}

/** `make`, which must depend on its argument alone; its results are plain data. */
export function sharedByText<T>(make: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  let characters = 0;
  return (text) => {
    if (charactersMax === 0) return make(text);
    const found = known.get(text);
    if (found !== undefined) return found;
    const made = frozen(make(text));
    known.set(text, made);
    characters += text.length;
    for (const oldest of known.keys()) {
      if (characters <= charactersMax) break;
      known.delete(oldest);
      characters -= oldest.length;
    }
    return made;
  };
}

/** The same for bytes that nobody changes. Few of them are looked at to find the right ones, and then all. */
export function sharedByBytes<T>(make: (bytes: Uint8Array) => T): (bytes: Uint8Array) => T {
  const known = new Map<number, { readonly bytes: Uint8Array; readonly made: T }[]>();
  const same = new WeakMap<Uint8Array, { readonly made: T }>();
  let count = 0;
  return (bytes) => {
    if (charactersMax === 0) return make(bytes);
    const again = same.get(bytes);
    if (again !== undefined) return again.made;
    const key = someOf(bytes);
    const alike = known.get(key);
    const found = alike?.find((one) => Buffer.compare(one.bytes, bytes) === 0);
    if (found !== undefined) {
      same.set(bytes, found);
      return found.made;
    }
    const one = { bytes: new Uint8Array(bytes), made: frozen(make(bytes)) };
    same.set(bytes, one);
    if (alike === undefined) known.set(key, [one]);
    else alike.push(one);
    count += bytes.length;
    for (const [oldest, those] of known) {
      if (count <= charactersMax) break;
      known.delete(oldest);
      for (const { bytes } of those) count -= bytes.length;
    }
    return one.made;
  };
}

/** Entries differ most where they end: in a signature. */
function someOf(bytes: Uint8Array): number {
  let sum = bytes.length;
  for (let at = Math.max(0, bytes.length - 48); at < bytes.length; at++)
    sum = (Math.imul(sum, 31) + bytes[at]!) | 0;
  return sum;
}

/** The same for what is asked of an object that is shared itself; of any other, whose content may change, it is made anew. */
export function sharedByObject<V, T>(make: (value: V) => T): (value: V) => T {
  const known = new WeakMap<object, { readonly made: T }>();
  return (value) => {
    if (charactersMax === 0 || typeof value !== "object" || value === null || !shared.has(value))
      return make(value);
    let found = known.get(value);
    if (found === undefined) {
      found = { made: frozen(make(value)) };
      known.set(value, found);
    }
    return found.made;
  };
}

const shared = new WeakSet<object>();

function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || shared.has(value)) return value;
  if (ArrayBuffer.isView(value)) return value; // nobody writes into a hash
  shared.add(value);
  for (const one of Object.values(value)) frozen(one);
  return Object.freeze(value);
}
