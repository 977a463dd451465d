/**
 * The tables of the query benchmarks: `fact` (a million rows: id, name of 32 hexadecimal digits, amount below 1 000.00,
 * ts in 2024, region of 100, cust of 10 000) and `dim` (10 000 customers in 10 tiers), as COPY text.
 *
 * Invariant: the same seed and count give the same bytes, on every machine.
 */

export const factTable = `CREATE TABLE fact (id int8, name text, amount numeric(12,2), ts timestamptz, region int4, cust int4)`;
export const dimTable = `CREATE TABLE dim (cust int4 PRIMARY KEY, tier int4, name text)`;
export const customers = 10_000;

/** Marsaglia's xorshift32: enough for spreading values, and the same everywhere. */
export function generator(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

const digits = Array.from({ length: 65_536 }, (_, n) => n.toString(16).padStart(4, "0"));
const hex = (value: number): string => digits[value >>> 16]! + digits[value & 0xffff]!;
const two = Array.from({ length: 100 }, (_, n) => String(n).padStart(2, "0"));
const yearStart = Date.UTC(2024, 0, 1);
const days = Array.from({ length: 366 }, (_, day) =>
  new Date(yearStart + day * 86_400_000).toISOString().slice(0, 10),
);

function time(random: number): string {
  const second = random % 86_400;
  return `${two[Math.floor(second / 3600)]}:${two[Math.floor(second / 60) % 60]}:${two[second % 60]}`;
}

/** COPY text of `fact` in chunks of about `chunkBytes`. */
export function factRows(count: number, chunkBytes = 32_768): Buffer[] {
  const random = generator(20_240_601);
  const chunks: Buffer[] = [];
  let text = "";
  for (let id = 1; id <= count; id++) {
    const cents = random() % 100_000;
    const moment = `${days[random() % 366]} ${time(random())}.${two[random() % 100]}+00`;
    const name = hex(random()) + hex(random()) + hex(random()) + hex(random());
    const amount = `${Math.floor(cents / 100)}.${two[cents % 100]}`;
    text += `${id}\t${name}\t${amount}\t${moment}\t${random() % 100}\t${random() % customers}\n`;
    if (text.length >= chunkBytes) {
      chunks.push(Buffer.from(text, "latin1"));
      text = "";
    }
  }
  if (text !== "") chunks.push(Buffer.from(text, "latin1"));
  return chunks;
}

export function dimRows(): Buffer[] {
  const random = generator(7);
  let text = "";
  for (let cust = 0; cust < customers; cust++) text += `${cust}\t${random() % 10}\tcustomer ${cust}\n`;
  return [Buffer.from(text, "latin1")];
}
