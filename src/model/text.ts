/**
 * Text as PostgreSQL counts it: characters are code points, order is the byte order of UTF-8.
 *
 * JavaScript strings are UTF-16: their own order and length differ beyond the BMP. Every function here has a fast
 * path for strings without surrogates.
 */

const surrogate = /[\ud800-\udfff]/;

export function hasSurrogates(text: string): boolean {
  return surrogate.test(text);
}

/** Byte order of UTF-8. UTF-16 order is the same except that surrogates sort below U+E000..U+FFFF. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x !== y) {
      if (x >= 0xd800 && y >= 0xd800) {
        const left = x >= 0xe000 ? x - 0x800 : x + 0x2000;
        const right = y >= 0xe000 ? y - 0x800 : y + 0x2000;
        return left < right ? -1 : 1;
      }
      return x < y ? -1 : 1;
    }
  }
  return a.length < b.length ? -1 : 1;
}

/** Without the padding blanks of char(n). */
export function trimBlanks(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === 32) end--;
  return end === text.length ? text : text.slice(0, end);
}

export function compareBpchar(a: string, b: string): number {
  return a === b ? 0 : compareText(trimBlanks(a), trimBlanks(b));
}

/** Code points. */
export function charLength(text: string): number {
  if (!surrogate.test(text)) return text.length;
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0xd800 && unit < 0xdc00 && at + 1 < text.length) at++;
    count++;
  }
  return count;
}

/** Bytes in UTF-8. */
export function octetLength(text: string): number {
  return Buffer.byteLength(text, "utf8");
}

/** UTF-16 index of the code point number `chars`; text.length when there are fewer. */
export function unitIndex(text: string, chars: number): number {
  if (chars <= 0) return 0;
  if (!surrogate.test(text)) return Math.min(chars, text.length);
  let at = 0;
  for (let count = 0; count < chars && at < text.length; count++) {
    const unit = text.charCodeAt(at);
    at += unit >= 0xd800 && unit < 0xdc00 && at + 1 < text.length ? 2 : 1;
  }
  return at;
}

/** Code points from `start` (0-based), at most `length` of them. */
export function sliceChars(text: string, start: number, length: number): string {
  if (length <= 0) return "";
  if (!surrogate.test(text)) return text.slice(start, Math.min(start + length, text.length));
  const from = unitIndex(text, start);
  const rest = text.slice(from);
  return rest.slice(0, unitIndex(rest, length));
}

/** At most `bytes` bytes of UTF-8, cut between characters: how over-long names are shortened. */
export function clipBytes(text: string, bytes: number): string {
  if (text.length * 3 <= bytes || octetLength(text) <= bytes) return text;
  let used = 0;
  let at = 0;
  for (const char of text) {
    const code = char.codePointAt(0)!;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (used + size > bytes) break;
    used += size;
    at += char.length;
  }
  return text.slice(0, at);
}

/** 32-bit FNV-1a over UTF-16 units, finished so that low bits depend on all of it. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return finishHash(hash);
}

export function finishHash(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) | 0;
}
