/** Facts about types that the planner needs. Pure. */
import type { TypeRef } from "../model/schema.js";
import { typeByOid } from "../model/types.js";

/** Expected bytes of a value, PostgreSQL's guesses for variable widths. */
export function typeWidth(type: TypeRef): number {
  const described = typeByOid(type.oid);
  if (described !== undefined && described.length > 0) return described.length;
  if ((type.oid === 1043 || type.oid === 1042) && type.typmod > 4) {
    const characters = type.typmod - 4;
    return type.oid === 1042 ? characters + 4 : characters <= 32 ? characters : Math.min(characters, 64);
  }
  return 32;
}
