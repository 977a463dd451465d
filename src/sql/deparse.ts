/**
 * Bound expressions and queries back to SQL, in the form PostgreSQL prints them (EXPLAIN, pg_get_expr, pg_get_viewdef) and
 * in which defaults, checks, index expressions and views are stored.
 *
 * Invariants: what is printed reads back and binds to the same thing: every operator call is in parentheses (unless
 * `pretty`), constants carry their type where it would not be guessed, table names are qualified where asked, names are
 * quoted where they must be. Casts that Bind added are shown inside calls and hidden at the top, as PostgreSQL does.
 */
import { assert } from "../base/errors.js";
import type { CatalogReader, TypeRef } from "../model/schema.js";
import { formatType, typeOutput } from "../model/types.js";
import { Numeric, PgArray, type Value } from "../model/value.js";
import type { Expr, FrameBound, SortKey } from "./expr.js";
import { quoteIdentifier } from "./functions/index.js";
import type {
  BoundCte,
  BoundModify,
  BoundQuery,
  BoundSelect,
  FromNode,
  RangeEntry,
  TargetOrder,
} from "./query.js";

export interface DeparseNames {
  column(relation: number, column: number): string;
  slot?(slot: number): string;
  execParam?(id: number): string;
  /** A subquery's text (without parentheses). */
  query?(query: BoundQuery): string;
  subplan?(expr: Expr & { kind: "subplan" }): string;
  readonly pretty?: boolean | undefined;
}

function quoteText(text: string): string {
  const quoted = text.replaceAll("'", "''");
  return text.includes("\\") ? `E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
}

/** A constant with as much type as it needs to be read back as what it is. */
export function deparseConstant(value: Value, type: TypeRef, showType = true): string {
  const cast = (text: string): string => (showType ? `${text}::${formatType(type.oid, type.typmod)}` : text);
  if (value === null) return cast("NULL");
  switch (type.oid) {
    case 16:
      return value === true ? "true" : "false";
    case 23: {
      const text = String(value);
      // A sign would bind looser than the cast.
      return text.startsWith("-") ? `'${text}'::integer` : text;
    }
    case 1700: {
      const text = typeOutput(1700, value);
      const plain = value instanceof Numeric && value.special === "" && /^\d+\.\d+$/.test(text);
      return plain && type.typmod === -1 ? text : cast(`'${text}'`);
    }
    default:
      break;
  }
  if (value instanceof PgArray) return cast(quoteText(typeOutput(type.oid, value)));
  return cast(quoteText(typeOutput(type.oid, value)));
}

const sqlForms: Record<string, string> = {
  current_user: "CURRENT_USER",
  session_user: "SESSION_USER",
};

export function deparseExpr(expr: Expr, names: DeparseNames, showImplicit = false): string {
  return new Printer(names).print(expr, showImplicit);
}

/** Without the outermost parentheses, as pretty printing leaves conditions. */
export function stripParens(text: string): string {
  if (!text.startsWith("(") || !text.endsWith(")")) return text;
  let depth = 0;
  let quoted: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted !== undefined) {
      if (c === quoted) quoted = undefined;
      continue;
    }
    if (c === "'" || c === '"') quoted = c;
    else if (c === "(") depth++;
    else if (c === ")" && --depth === 0 && i < text.length - 1) return text;
  }
  return text.slice(1, -1);
}

const arithmetic: Record<string, number> = { "+": 1, "-": 1, "*": 2, "/": 2, "%": 2 };

class Printer {
  readonly #caseOperands: (Expr | undefined)[] = [];
  readonly #elements: Expr[] = [];
  constructor(readonly names: DeparseNames) {}

  /** An operand: simple ones stand alone, others are in parentheses already. */
  print(expr: Expr, showImplicit: boolean): string {
    switch (expr.kind) {
      case "const":
        return deparseConstant(expr.value, expr.type);
      case "param":
        return `$${expr.index + 1}`;
      case "column":
        return this.names.column(expr.relation, expr.column);
      case "slot":
        return this.names.slot?.(expr.slot) ?? `slot${expr.slot}`;
      case "execParam":
        return this.names.execParam?.(expr.id) ?? `$${expr.id}`;
      case "call":
      case "setCall":
      case "sequence":
        return this.#call(expr, showImplicit);
      case "relabel":
      case "ioCast":
        return this.#cast(expr.arg, expr.type, expr.cast, showImplicit);
      case "arrayCast":
        return this.#cast(expr.arg, expr.type, "explicit", showImplicit);
      case "and":
      case "or": {
        const text = expr.args
          .map((arg) => this.#boolArg(arg, expr.kind))
          .join(expr.kind === "and" ? " AND " : " OR ");
        return `(${text})`;
      }
      case "not":
        return `(NOT ${this.print(expr.arg, false)})`;
      case "isNull":
        return `(${this.print(expr.arg, true)} IS ${expr.negated ? "NOT " : ""}NULL)`;
      case "isTruth":
        return `(${this.print(expr.arg, false)} IS ${expr.negated ? "NOT " : ""}${expr.test.toUpperCase()})`;
      case "isDistinct":
        return `(${this.print(expr.left, true)} IS ${expr.negated ? "NOT " : ""}DISTINCT FROM ${this.print(expr.right, true)})`;
      case "case":
        return this.#case(expr);
      case "caseTest": {
        const operand = this.#caseOperands[this.#caseOperands.length - 1];
        assert(operand !== undefined, "a CASE test outside of a CASE");
        return this.print(operand, false);
      }
      case "elementRef": {
        const element = this.#elements[this.#elements.length - 1];
        return element === undefined ? "element" : this.print(element, false);
      }
      case "coalesce":
      case "greatest":
      case "least":
        return `${expr.kind.toUpperCase()}(${this.#list(expr.args, true)})`;
      case "nullIf":
        return `NULLIF(${this.print(expr.left, true)}, ${this.print(expr.right, true)})`;
      case "arrayCompare":
        return `(${this.print(expr.left, true)} ${expr.operator} ${expr.all ? "ALL" : "ANY"} (${this.print(expr.right, true)}))`;
      case "array":
        return expr.elements.length === 0
          ? `ARRAY[]::${formatType(expr.type.oid, expr.type.typmod)}`
          : `ARRAY[${this.#list(expr.elements, true)}]`;
      case "subscript": {
        const plain = expr.arg.kind === "column" || expr.arg.kind === "param" || expr.arg.kind === "slot";
        const arg = this.print(expr.arg, true);
        const indexes = expr.indexes
          .map((index) => {
            const lower = index.lower === undefined ? "" : this.print(index.lower, false);
            const upper = index.upper === undefined ? "" : this.print(index.upper, false);
            return index.slice ? `[${lower}:${upper}]` : `[${upper}]`;
          })
          .join("");
        return `${plain ? arg : `(${arg})`}${indexes}`;
      }
      case "row":
        return `ROW(${this.#list(expr.args, true)})`;
      case "rowCompare":
        return `(ROW(${this.#list(expr.left, true)}) ${expr.operator} ROW(${this.#list(expr.right, true)}))`;
      case "field": {
        const { arg } = expr;
        const name =
          arg.kind === "call" || arg.kind === "setCall" ? arg.fn.outColumns?.[expr.index]?.name : undefined;
        return `(${this.print(arg, true)}).${quoteIdentifier(name ?? `f${expr.index + 1}`)}`;
      }
      case "aggregate": {
        const filter = expr.filter === undefined ? "" : ` FILTER (WHERE ${this.print(expr.filter, false)})`;
        if (expr.fn.orderedSet === true) {
          return `${quoteIdentifier(expr.fn.name)}(${this.#list(expr.directArgs, true)}) WITHIN GROUP (ORDER BY ${this.#sortKeys(expr.orderBy)})${filter}`;
        }
        const order = expr.orderBy.length === 0 ? "" : ` ORDER BY ${this.#sortKeys(expr.orderBy)}`;
        const args = expr.star ? "*" : this.#list(expr.args, true);
        return `${quoteIdentifier(expr.fn.name)}(${expr.distinct ? "DISTINCT " : ""}${args}${order})${filter}`;
      }
      case "windowCall": {
        const filter = expr.filter === undefined ? "" : ` FILTER (WHERE ${this.print(expr.filter, false)})`;
        const name = quoteIdentifier(expr.builtin ?? expr.aggregate?.name ?? "");
        return `${name}(${expr.star ? "*" : this.#list(expr.args, true)})${filter} OVER (${this.#window(expr)})`;
      }
      case "window":
        return `window${expr.index}`;
      case "subquery":
        return this.#subquery(expr);
      case "subplan":
        return this.names.subplan?.(expr) ?? "(SubPlan)";
    }
  }

  #list(list: readonly Expr[], showImplicit: boolean): string {
    return list.map((item) => this.print(item, showImplicit)).join(", ");
  }

  #boolArg(arg: Expr, parent: "and" | "or"): string {
    const text = this.print(arg, false);
    if (this.names.pretty !== true) return text;
    if (arg.kind === "or" || (arg.kind === "and" && parent === "and")) return text;
    return arg.kind === "const" || arg.kind === "column" ? text : stripParens(text);
  }

  #operand(arg: Expr, parent: string): string {
    const text = this.print(arg, true);
    if (this.names.pretty !== true || arg.kind !== "call" || arg.operator === undefined) return text;
    const mine = arithmetic[arg.operator];
    const around = arithmetic[parent];
    return mine !== undefined && around !== undefined && mine > around ? stripParens(text) : text;
  }

  #call(expr: Expr & { kind: "call" | "setCall" | "sequence" }, showImplicit: boolean): string {
    if (expr.kind === "call") {
      if (expr.cast !== undefined) return this.#cast(expr.args[0]!, expr.type, expr.cast, showImplicit);
      if (expr.operator !== undefined) {
        if (expr.args.length === 1) return `(${expr.operator} ${this.#operand(expr.args[0]!, "u")})`;
        const [left, right] = expr.args as [Expr, Expr];
        return `(${this.#operand(left, expr.operator)} ${expr.operator} ${this.#operand(right, expr.operator)})`;
      }
    }
    const { name } = expr.fn;
    if (expr.args.length === 0 && sqlForms[name] !== undefined) return sqlForms[name];
    if (name === "extract" && expr.args.length === 2) {
      const field = expr.args[0]!;
      if (field.kind === "const" && typeof field.value === "string") {
        return `EXTRACT(${field.value} FROM ${this.print(expr.args[1]!, true)})`;
      }
    }
    return `${quoteIdentifier(name)}(${this.#list(expr.args, true)})`;
  }

  #cast(
    arg: Expr,
    type: TypeRef,
    cast: "implicit" | "assignment" | "explicit",
    showImplicit: boolean,
  ): string {
    if (cast !== "explicit" && !showImplicit) return this.print(arg, false);
    const to = formatType(type.oid, type.typmod);
    if (arg.kind === "const" && arg.type.oid === type.oid) return deparseConstant(arg.value, type);
    // A length coercion over the cast to its own base type is one cast as written.
    const inner = arg.kind === "relabel" || arg.kind === "ioCast" ? arg : undefined;
    if (inner !== undefined && inner.type.oid === type.oid && inner.type.typmod === -1) {
      return this.#cast(inner.arg, type, cast, showImplicit);
    }
    return `(${this.print(arg, false)})::${to}`;
  }

  #case(expr: Expr & { kind: "case" }): string {
    const { operand } = expr;
    let out = "CASE";
    if (operand !== undefined) out += ` ${this.print(operand, true)}`;
    for (const arm of expr.whens) {
      let when: string;
      if (operand === undefined) when = this.print(arm.when, false);
      else {
        // CASE x WHEN y: Bind made x = y of it.
        const test = arm.when;
        const simple = test.kind === "call" && test.args.length === 2 && containsCaseTest(test.args[0]!);
        this.#caseOperands.push(operand);
        when = this.print(simple ? test.args[1]! : test, false);
        this.#caseOperands.pop();
      }
      out += ` WHEN ${this.names.pretty === true ? stripParens(when) : when} THEN ${this.print(arm.then, true)}`;
    }
    return `${out} ELSE ${this.print(expr.otherwise, true)} END`;
  }

  #sortKeys(keys: readonly SortKey[]): string {
    return keys.map((key) => this.print(key.expr, false) + direction(key)).join(", ");
  }

  #window(expr: Expr & { kind: "windowCall" }): string {
    const parts: string[] = [];
    if (expr.partitionBy.length > 0) parts.push(`PARTITION BY ${this.#list(expr.partitionBy, false)}`);
    if (expr.orderBy.length > 0) parts.push(`ORDER BY ${this.#sortKeys(expr.orderBy)}`);
    const { frame } = expr;
    const usual =
      frame.mode === "range" &&
      frame.start.kind === "unboundedPreceding" &&
      frame.end.kind === "currentRow" &&
      frame.exclude === undefined;
    if (!usual) {
      const bound = (item: FrameBound): string =>
        item.offset === undefined
          ? frameNames[item.kind]
          : `${this.print(item.offset, false)} ${frameNames[item.kind]}`;
      const exclude = frame.exclude === undefined ? "" : ` EXCLUDE ${excludeNames[frame.exclude]}`;
      parts.push(
        `${frame.mode.toUpperCase()} BETWEEN ${bound(frame.start)} AND ${bound(frame.end)}${exclude}`,
      );
    }
    return parts.join(" ");
  }

  #subquery(expr: Expr & { kind: "subquery" }): string {
    const text = this.names.query?.(expr.query as BoundQuery) ?? "SELECT";
    switch (expr.form) {
      case "scalar":
        return `(${text})`;
      case "exists":
        return `(EXISTS (${text}))`;
      case "array":
        return `ARRAY(${text})`;
      case "any":
      case "all": {
        const left = expr.left!;
        const shown = left.length === 1 ? this.print(left[0]!, true) : `(${this.#list(left, true)})`;
        if (expr.form === "any" && expr.operator === "=") return `(${shown} IN (${text}))`;
        return `(${shown} ${expr.operator} ${expr.form.toUpperCase()} (${text}))`;
      }
    }
  }
}

function containsCaseTest(expr: Expr): boolean {
  if (expr.kind === "caseTest") return true;
  if (expr.kind === "relabel" || expr.kind === "ioCast") return containsCaseTest(expr.arg);
  return expr.kind === "call" && expr.cast !== undefined && containsCaseTest(expr.args[0]!);
}

const frameNames: Record<FrameBound["kind"], string> = {
  unboundedPreceding: "UNBOUNDED PRECEDING",
  preceding: "PRECEDING",
  currentRow: "CURRENT ROW",
  following: "FOLLOWING",
  unboundedFollowing: "UNBOUNDED FOLLOWING",
};
const excludeNames = { currentRow: "CURRENT ROW", group: "GROUP", ties: "TIES" } as const;

export function direction(key: { readonly descending: boolean; readonly nullsFirst: boolean }): string {
  if (key.descending) return key.nullsFirst ? " DESC" : " DESC NULLS LAST";
  return key.nullsFirst ? " NULLS FIRST" : "";
}

// ---------------------------------------------------------------------------------------------------------- queries

export interface DeparseOptions {
  readonly catalog: CatalogReader;
  /** Whether a relation may be named without its schema. Default: never. */
  readonly visible?: ((relationId: number) => boolean) | undefined;
  readonly pretty?: boolean | undefined;
  /** On one line: for storing. Otherwise as pg_get_viewdef lays it out. */
  readonly oneLine?: boolean | undefined;
}

/** SQL text of a bound query (or a data-modifying WITH item is 0A000 in views, so queries alone). */
export function deparseQuery(query: BoundQuery, options: DeparseOptions): string {
  const writer = new QueryWriter(options);
  const text = writer.query(query, 0);
  return options.oneLine === true ? text.replace(/\n\s*/g, " ").trim() : text;
}

/** An expression over one table's columns, with the queries in it: the columns are qualified inside these alone. */
export function deparseOverTable(expr: Expr, entry: RangeEntry, options: DeparseOptions): string {
  return new QueryWriter(options).overTable(expr, entry);
}

class QueryWriter {
  readonly #aliases = new Map<number, string>();
  readonly #entries = new Map<number, RangeEntry>();
  readonly #used = new Map<string, number>();
  readonly #names: DeparseNames;
  #indent = 0;

  constructor(readonly options: DeparseOptions) {
    this.#names = {
      column: (relation, column) => this.#column(relation, column),
      query: (query) => this.query(query, this.#indent + 8, false),
      pretty: options.pretty,
    };
  }

  #column(relation: number, column: number): string {
    const entry = this.#entries.get(relation);
    assert(entry !== undefined, `relation ${relation} is not named yet`);
    return `${quoteIdentifier(this.#aliases.get(relation)!)}.${quoteIdentifier(entry.columns[column]!.name)}`;
  }

  #register(entry: RangeEntry): void {
    if (this.#aliases.has(entry.id)) return;
    const seen = this.#used.get(entry.alias);
    this.#used.set(entry.alias, (seen ?? 0) + 1);
    this.#aliases.set(entry.id, seen === undefined ? entry.alias : `${entry.alias}_${seen}`);
    this.#entries.set(entry.id, entry);
  }

  #expr(expr: Expr): string {
    return deparseExpr(expr, this.#names);
  }
  overTable(expr: Expr, entry: RangeEntry): string {
    this.#register(entry);
    return deparseExpr(expr, {
      column: (_, column) => quoteIdentifier(entry.columns[column]!.name),
      query: (query) => this.query(query, 0, false),
    });
  }
  #condition(expr: Expr): string {
    const text = this.#expr(expr);
    return this.options.pretty === true ? stripParens(text) : text;
  }

  /** `named`: somebody sees the names of its columns; a query in an expression has none that matter. */
  query(query: BoundQuery, indent: number, named = true): string {
    const saved = this.#indent;
    this.#indent = indent;
    const pad = " ".repeat(indent);
    let out = this.#with(query.ctes, query.recursiveWith === true);
    switch (query.kind) {
      case "select":
        out += this.#select(query, pad, named);
        break;
      case "values":
        out += ` VALUES ${query.rows.map((row) => `(${row.map((expr) => this.#expr(expr)).join(",")})`).join(", ")}`;
        break;
      case "setOperation": {
        const arm = (side: BoundQuery): string => {
          const text = this.query(side, indent, named);
          const wrapped =
            side.orderBy.length > 0 ||
            side.limit !== undefined ||
            side.offset !== undefined ||
            side.kind === "setOperation" ||
            side.ctes.length > 0;
          return wrapped ? `(${text})` : text;
        };
        const word = `${query.operation.toUpperCase()}${query.all ? " ALL" : ""}`;
        out += `${arm(query.left)}\n${pad}${word}\n${pad}${arm(query.right)}`;
        break;
      }
    }
    if (query.orderBy.length > 0) out += `\n${pad}  ORDER BY ${this.#orderBy(query)}`;
    if (query.offset !== undefined) out += `\n${pad} OFFSET ${this.#expr(query.offset)}`;
    if (query.limit !== undefined) {
      out +=
        query.withTies === true
          ? `\n${pad} FETCH FIRST ${this.#expr(query.limit)} ROWS WITH TIES`
          : `\n${pad} LIMIT ${this.#expr(query.limit)}`;
    }
    if (query.kind === "select") {
      for (const lock of query.locks) {
        out += `\n${pad} ${lockWords[lock.strength]} OF ${quoteIdentifier(this.#aliases.get(lock.relation)!)}`;
        if (lock.waitPolicy === "noWait") out += " NOWAIT";
        if (lock.waitPolicy === "skipLocked") out += " SKIP LOCKED";
      }
    }
    this.#indent = saved;
    return out;
  }

  #with(ctes: readonly BoundCte[], recursive: boolean): string {
    if (ctes.length === 0) return "";
    const items = ctes.map((cte) => {
      const columns = cte.columns.map((column) => quoteIdentifier(column.name)).join(", ");
      const how =
        cte.materialized === undefined ? "" : cte.materialized ? "MATERIALIZED " : "NOT MATERIALIZED ";
      const body = this.#statement(cte.query);
      const text =
        cte.recursive === undefined
          ? body
          : `${body}\n UNION ${cte.recursive.all ? "ALL" : ""} ${this.query(cte.recursive.step, this.#indent + 8)}`;
      return `${quoteIdentifier(cte.name)}(${columns}) AS ${how}(${text})`;
    });
    return ` WITH ${recursive ? "RECURSIVE " : ""}${items.join(", ")}\n`;
  }

  #statement(statement: BoundQuery | BoundModify): string {
    assert(
      statement.kind === "select" || statement.kind === "values" || statement.kind === "setOperation",
      "data-modifying statements are not stored",
    );
    return this.query(statement, this.#indent + 8);
  }

  #orderBy(query: BoundQuery): string {
    return query.orderBy
      .map((item: TargetOrder) => {
        const shown =
          query.kind === "select"
            ? this.#orderTarget(query, item.target)
            : quoteIdentifier(query.columns[item.target]!.name);
        return shown + direction(item);
      })
      .join(", ");
  }

  #orderTarget(query: BoundSelect, target: number): string {
    const { expr } = query.targets[target]!;
    // A constant would read back as a position.
    if (expr.kind === "const" && !query.targets[target]!.junk) return String(target + 1);
    const text = this.#expr(expr);
    return expr.kind === "column" ? text : text;
  }

  #select(query: BoundSelect, pad: string, named: boolean): string {
    for (const entry of query.relations) this.#register(entry);
    const targets = query.targets
      .filter((target) => !target.junk)
      .map((target) => {
        const text = this.#expr(target.expr);
        const plain =
          target.expr.kind === "column" &&
          this.#entries.get(target.expr.relation)?.columns[target.expr.column]?.name === target.name;
        const shown = this.options.pretty === true ? stripParens(text) : text;
        return plain || (!named && target.name === "?column?")
          ? shown
          : `${shown} AS ${quoteIdentifier(target.name)}`;
      });
    let out = " SELECT ";
    if (query.distinct === "all") out += "DISTINCT ";
    else if (query.distinct !== "none") {
      out += `DISTINCT ON (${query.distinct.map((target) => this.#expr(query.targets[target]!.expr)).join(", ")}) `;
    }
    out += targets.join(`,\n${pad}    `);
    if (query.from.length > 0) {
      out += `\n${pad}   FROM ${query.from.map((node) => this.#from(node, query, pad)).join(`,\n${pad}    `)}`;
    }
    if (query.where !== undefined) out += `\n${pad}  WHERE ${this.#condition(query.where)}`;
    if (query.groupBy.length > 0) {
      out += `\n${pad}  GROUP BY ${query.groupBy.map((expr) => this.#expr(expr)).join(", ")}`;
    }
    if (query.having !== undefined) out += `\n${pad} HAVING ${this.#condition(query.having)}`;
    return out;
  }

  #from(node: FromNode, query: BoundSelect, pad: string): string {
    if (node.kind === "relation") {
      const entry = query.relations.find((item) => item.id === node.relation);
      assert(entry !== undefined, "a FROM node names a relation of its query");
      return this.#entry(entry);
    }
    const left = this.#from(node.left, query, pad);
    const right = this.#from(node.right, query, pad);
    const shownRight = node.right.kind === "join" && this.options.pretty === true ? `(${right})` : right;
    const word = joinWords[node.type];
    const on =
      node.on === undefined
        ? node.type === "cross"
          ? ""
          : " ON (true)"
        : ` ON ${this.options.pretty === true ? this.#condition(node.on) : `(${this.#expr(node.on)})`}`;
    const cross = node.on === undefined && node.type === "inner" ? "CROSS JOIN" : word;
    const text = `${left}\n${pad}     ${cross} ${shownRight}${cross === "CROSS JOIN" ? "" : on}`;
    return this.options.pretty === true ? text : `(${text})`;
  }

  #entry(entry: RangeEntry): string {
    const alias = this.#aliases.get(entry.id)!;
    const columns = entry.columns.filter((column) => column.dropped !== true);
    const list = `(${columns.map((column) => quoteIdentifier(column.name)).join(", ")})`;
    switch (entry.kind) {
      case "table":
      case "virtual": {
        const { table } = entry;
        const renamed = entry.columnAliases === true ? list : "";
        const name = this.#relationName(table.schemaId, table.name, table.id);
        return alias === table.name && renamed === "" ? name : `${name} ${quoteIdentifier(alias)}${renamed}`;
      }
      case "subquery": {
        if (entry.view !== undefined) {
          const { view } = entry;
          const name = this.#relationName(view.schemaId, view.name, view.id);
          const renamed = entry.columnAliases === true ? list : "";
          return alias === view.name && renamed === "" ? name : `${name} ${quoteIdentifier(alias)}${renamed}`;
        }
        const renamed = entry.columnAliases === true || entry.query.kind === "values" ? list : "";
        const text = this.query(entry.query, this.#indent + 8);
        return `${entry.lateral ? "LATERAL " : ""}(${text}) ${quoteIdentifier(alias)}${renamed}`;
      }
      case "function": {
        const args = entry.args.map((arg) => deparseExpr(arg, this.#names, true)).join(", ");
        const ordinality = entry.ordinality ? " WITH ORDINALITY" : "";
        return `${quoteIdentifier(entry.fn.name)}(${args})${ordinality} ${quoteIdentifier(alias)}${list}`;
      }
      case "cte": {
        const name = quoteIdentifier(entry.cte.name);
        const renamed = entry.columnAliases === true ? list : "";
        return alias === entry.cte.name && renamed === ""
          ? name
          : `${name} ${quoteIdentifier(alias)}${renamed}`;
      }
      case "excluded":
        return "excluded";
    }
  }

  #relationName(schemaId: number, name: string, id: number): string {
    if (this.options.visible?.(id) === true) return quoteIdentifier(name);
    const schema = this.options.catalog.schemaById(schemaId);
    return schema === undefined
      ? quoteIdentifier(name)
      : `${quoteIdentifier(schema.name)}.${quoteIdentifier(name)}`;
  }
}

const joinWords = {
  inner: "JOIN",
  left: "LEFT JOIN",
  right: "RIGHT JOIN",
  full: "FULL JOIN",
  cross: "CROSS JOIN",
} as const;

const lockWords = {
  update: "FOR UPDATE",
  noKeyUpdate: "FOR NO KEY UPDATE",
  share: "FOR SHARE",
  keyShare: "FOR KEY SHARE",
} as const;
