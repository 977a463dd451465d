/**
 * bytea's text forms: hex and escape, both accepted on input.
 *
 * Errors: 22P02 for text that is neither, 22023 for bad hexadecimal digits, as PostgreSQL.
 */
import { DbError } from "../base/errors.js";

export function parseBytea(text: string): Uint8Array {
  if (text.startsWith("\\x")) return parseHex(text.slice(2));
  const bytes: number[] = [];
  let plain = true;
  for (let at = 0; at < text.length && plain; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 92 || unit > 127) plain = false;
  }
  if (plain) return Buffer.from(text, "latin1");
  const source = Buffer.from(text, "utf8");
  for (let at = 0; at < source.length; at++) {
    const byte = source[at]!;
    if (byte !== 92) bytes.push(byte);
    else if (source[at + 1] === 92) {
      bytes.push(92);
      at++;
    } else {
      const octal = source.toString("latin1", at + 1, at + 4);
      if (!/^[0-3][0-7]{2}$/.test(octal)) {
        throw new DbError("invalidTextRepresentation", "invalid input syntax for type bytea");
      }
      bytes.push(Number.parseInt(octal, 8));
      at += 3;
    }
  }
  return Buffer.from(bytes);
}

/** Hexadecimal digits, white space between pairs allowed. Also decode(text, 'hex'). */
export function parseHex(text: string): Uint8Array {
  const digits = /[ \t\n\r]/.test(text) ? text.replace(/[ \t\n\r]+/g, "") : text;
  const wrong = /[^0-9a-fA-F]/u.exec(digits);
  if (wrong !== null) {
    throw new DbError("invalidParameterValue", `invalid hexadecimal digit: "${wrong[0]}"`);
  }
  if (digits.length % 2 !== 0) {
    throw new DbError("invalidParameterValue", "invalid hexadecimal data: odd number of digits");
  }
  return Buffer.from(digits, "hex");
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

export function formatBytea(bytes: Uint8Array, style: "hex" | "escape"): string {
  if (style === "hex") return `\\x${toHex(bytes)}`;
  let text = "";
  for (const byte of bytes) {
    if (byte === 92) text += "\\\\";
    else if (byte < 0x20 || byte > 0x7e) text += `\\${byte.toString(8).padStart(3, "0")}`;
    else text += String.fromCharCode(byte);
  }
  return text;
}
