/** Results as an aligned table, in the manner of psql. Pure. */
import { oids } from "../model/type-table.js";

export interface ResultColumn {
  readonly name: string;
  readonly typeOid: number;
}

const rightAligned: ReadonlySet<number> = new Set([
  oids.int2,
  oids.int4,
  oids.int8,
  oids.oid,
  oids.xid,
  oids.float4,
  oids.float8,
  oids.numeric,
]);

/** Columns on a terminal: wide East Asian characters take two, combining marks none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(character)) continue;
    const code = character.codePointAt(0)!;
    const wide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) ||
      (code >= 0xff00 && code <= 0xff60) ||
      (code >= 0x1f300 && code <= 0x1faff) ||
      (code >= 0x20000 && code <= 0x3fffd);
    width += wide ? 2 : 1;
  }
  return width;
}

const pad = (count: number) => " ".repeat(Math.max(0, count));

/** The table with its header and row count; values of several lines continue below, marked with `+`. */
export function formatTable(
  columns: readonly ResultColumn[],
  rows: readonly (readonly (string | null)[])[],
): string {
  const cells = rows.map((row) => row.map((value) => (value ?? "").split("\n")));
  const widths = columns.map((column, index) => {
    let width = displayWidth(column.name);
    for (const row of cells) for (const line of row[index]!) width = Math.max(width, displayWidth(line));
    return width;
  });
  const lines = [
    columns
      .map(({ name }, index) => {
        const free = widths[index]! - displayWidth(name);
        const left = Math.floor(free / 2);
        return ` ${pad(left)}${name}${pad(free - left)} `;
      })
      .join("|"),
    widths.map((width) => "-".repeat(width + 2)).join("+"),
  ];
  for (const row of cells) {
    const height = Math.max(1, ...row.map((value) => value.length));
    for (let line = 0; line < height; line++) {
      const parts = row.map((value, index) => {
        const text = value[line] ?? "";
        const free = pad(widths[index]! - displayWidth(text));
        const aligned = rightAligned.has(columns[index]!.typeOid) ? free + text : text + free;
        return ` ${aligned}${line < value.length - 1 ? "+" : " "}`;
      });
      lines.push(parts.join("|").trimEnd());
    }
  }
  lines.push(`(${rows.length} ${rows.length === 1 ? "row" : "rows"})`);
  return `${lines.join("\n")}\n`;
}
