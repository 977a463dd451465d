/**
 * uuid: 36 lower-case characters inside; input in any of PostgreSQL's spellings (braces, hyphens after groups of four).
 */
import { DbError } from "../base/errors.js";

const standard = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const loose = /^(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}$/;

/** 22P02 when the text is no UUID. */
export function parseUuid(text: string): string {
  if (standard.test(text)) return text;
  const braced = text.startsWith("{") && text.endsWith("}");
  const body = braced ? text.slice(1, -1) : text;
  if (!loose.test(body)) {
    throw new DbError("invalidTextRepresentation", `invalid input syntax for type uuid: "${text}"`);
  }
  return uuidFromHex(body.replaceAll("-", "").toLowerCase());
}

/** 32 lower-case digits to the standard form. */
export function uuidFromHex(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export function uuidBytes(uuid: string): Uint8Array {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

export function uuidFromBytes(bytes: Uint8Array): string {
  return uuidFromHex(Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString("hex"));
}
