/**
 * State of one Bind run: the catalog it reads, the numbers it gives to relations, parameter types, and what the statement
 * was found to need (objects, privileges).
 *
 * Invariants: relation, select and CTE numbers are given once per statement, views included; a parameter's type, once
 * settled, does not change.
 */
import { DbError, notSupported } from "../base/errors.js";
import type { EvalContext } from "../model/functions.js";
import {
  type CatalogReader,
  type ObjectId,
  pgCatalogSchemaId,
  type RelationDesc,
  type SchemaDesc,
  type TableDesc,
  type TypeRef,
} from "../model/schema.js";
import type { AppliedRules, TableAccess } from "../model/security-rules.js";
import { formatType } from "../model/types.js";
import type * as ast from "./ast.js";
import type { LiteralClass } from "./ast.js";
import { retypeUnknown } from "./bind-query.js";
import type { Expr } from "./expr.js";
import type { BoundQuery, PrivilegeNeed, RangeEntry } from "./query.js";
import { argument, resolveFunction } from "./resolve.js";
import type { Scope } from "./scope.js";
import { containsDeep, containsHere, visitDeep } from "./walk.js";

export interface BindEnv {
  readonly catalog: CatalogReader;
  /** Schema names in order, `$user` already replaced. pg_temp and pg_catalog are implied unless named. */
  readonly searchPath: readonly string[];
  /** Name of the session's temporary schema, when it has one. */
  readonly tempSchema?: string | undefined;
  /** Types of $1, $2, ...: 0 or 705 where the client left them open; Bind fills them in and appends. */
  readonly parameterTypes: number[];
  /** The statement may use no more parameters than `parameterTypes` has (simple protocol: none); others are 42P02. */
  readonly parametersFixed?: boolean | undefined;
  /** Parameter index of the first stripped literal (M4): literals follow the client's parameters. */
  readonly literalBase?: number | undefined;
  /** Name of the current database, for three-part names. */
  readonly database?: string | undefined;
  /** Row and column rules of tables for those who act; without it there are none (the system's own statements). */
  readonly access?: TableAccess | undefined;
  /** For constants whose input depends on the session (time zone, date style); without it such text stays a cast. */
  readonly evalContext?: EvalContext | undefined;
}

export const unknownOid = 705;
export const recordOid = 2249;

/** Types of stripped literals by class; strings take the type of their place. */
const literalTypes: Partial<Record<LiteralClass, number>> = { int4: 23, int8: 20, numeric: 1700 };
const collatable = new Set([19, 25, 1042, 1043, 1002, 1009, 1014, 1015, 1003]);

interface Need {
  readonly relation: RelationDesc;
  readonly privilege: "r" | "a" | "w" | "d";
  readonly columns: Set<number>;
  readonly asRole: ObjectId | undefined;
}

export class Binder {
  #nextRelation = 1;
  #nextSelect = 1;
  #nextCte = 1;
  readonly objects = new Set<ObjectId>();
  readonly #needs: Need[] = [];
  /** SELECT needs of range entries, by relation number. */
  readonly #readNeeds = new Map<number, Need>();
  /** Scope that a relation number belongs to. */
  readonly relationScopes = new Map<number, Scope>();
  /** Where in the text an expression stands, for errors found later. */
  readonly positions = new WeakMap<Expr, number>();
  /** Inside a view: privileges are checked as its owner. */
  asRole: ObjectId | undefined;
  viewDepth = 0;
  /** Tables whose policies' subqueries are being bound. */
  readonly policed = new Set<ObjectId>();
  readonly #rules = new Map<string, AppliedRules | undefined>();
  /** Entries whose columns a rule reads, not the statement. */
  readonly #unread = new Set<number>();
  /** Columns that the statement may not read, by entry, and what it is told then. */
  #denied: Map<number, Map<number, string>> | undefined;
  /** Depth of the expression being bound. */
  depth = 0;
  /** Whether column references ask for SELECT privilege. */
  marking = true;
  searchPath: readonly string[];

  constructor(readonly env: BindEnv) {
    this.searchPath = env.searchPath;
  }

  get catalog(): CatalogReader {
    return this.env.catalog;
  }
  newRelation(): number {
    return this.#nextRelation++;
  }
  newSelect(): number {
    return this.#nextSelect++;
  }
  newCte(): number {
    return this.#nextCte++;
  }
  get relationCount(): number {
    return this.#nextRelation;
  }
  get cteCount(): number {
    return this.#nextCte;
  }

  at(expr: Expr, position: number): Expr {
    this.positions.set(expr, position);
    return expr;
  }
  positionOf(expr: Expr): number | undefined {
    return this.positions.get(expr);
  }

  // ------------------------------------------------------------------------------------------------- parameters

  param(index: number, position: number): Expr {
    const types = this.env.parameterTypes;
    const fixed =
      this.env.parametersFixed === true && index < (this.env.literalBase ?? Number.POSITIVE_INFINITY);
    if (index < 0 || index > 65534 || (fixed && index >= types.length)) {
      throw new DbError("undefinedParameter", `there is no parameter $${index + 1}`, { position });
    }
    while (types.length <= index) types.push(0);
    const oid = types[index]!;
    return this.at(
      { kind: "param", type: { oid: oid === 0 ? unknownOid : oid, typmod: -1 }, index },
      position,
    );
  }

  /** Gives an open parameter its type; a second, different one is 42P08. */
  settleParam(index: number, oid: number, position: number | undefined): TypeRef {
    const types = this.env.parameterTypes;
    const known = types[index]!;
    if (known === 0 || known === unknownOid) types[index] = oid;
    else if (known !== oid) {
      throw new DbError("ambiguousParameter", `inconsistent types deduced for parameter $${index + 1}`, {
        position,
      });
    }
    return { oid: types[index]!, typmod: -1 };
  }

  /** A literal that a fingerprint stripped: a parameter behind the client's. */
  literal(index: number, type: LiteralClass, position: number): Expr {
    const at = (this.env.literalBase ?? 0) + index;
    const param = this.param(at, position);
    const oid = literalTypes[type];
    if (oid !== undefined) return { kind: "param", type: this.settleParam(at, oid, position), index: at };
    return param;
  }

  // ------------------------------------------------------------------------------------------------ small services

  typeText(type: TypeRef): string {
    return formatType(type.oid);
  }

  callByName(name: string, args: readonly Expr[], position: number): Expr {
    const resolved = resolveFunction(
      name,
      args.map((arg) => arg.type.oid),
    );
    if (resolved.kind !== "function") throw notSupported(`calling ${name} here`, position);
    return {
      kind: "call",
      type: { oid: resolved.returns, typmod: -1 },
      fn: resolved.fn,
      args: args.map((arg, index) => argument(this, arg, resolved.argTypes[index]!, position)),
      position,
    };
  }

  forEachColumn(expr: Expr, visit: (column: Expr & { kind: "column" }) => void): void {
    visitDeep(expr, (inner) => {
      if (inner.kind === "column") visit(inner);
    });
  }
  hasColumns(expr: Expr): boolean {
    if (expr.kind === "const" || expr.kind === "param") return false;
    return containsDeep(expr, (inner) => inner.kind === "column");
  }
  hasSetCall(expr: Expr): boolean {
    return containsHere(expr, (inner) => inner.kind === "setCall");
  }
  hasSubquery(expr: Expr): boolean {
    return containsHere(expr, (inner) => inner.kind === "subquery");
  }

  /** Fields of a composite value whose shape is known, by the function that makes it. */
  fieldsOf(expr: Expr): readonly { readonly name: string; readonly type: number }[] | undefined {
    return expr.kind === "call" || expr.kind === "setCall" ? expr.fn.outColumns : undefined;
  }

  /** Only the order of bytes is there: C, POSIX, default and their kin. */
  requireCollation(name: ast.QualifiedName, type: TypeRef, position: number): void {
    const known = ["default", "C", "POSIX", "ucs_basic", "C.UTF-8", "C.utf8"];
    if (!known.includes(name.name)) {
      throw new DbError("undefinedObject", `collation "${name.name}" for encoding "UTF8" does not exist`, {
        position,
      });
    }
    if (!collatable.has(type.oid)) {
      throw new DbError("datatypeMismatch", `collations are not supported by type ${this.typeText(type)}`, {
        position,
      });
    }
  }

  retype(query: BoundQuery, types: readonly TypeRef[]): BoundQuery {
    return retypeUnknown(this, query, types);
  }

  /** One column of a query, as a query. */
  pickColumn(query: BoundQuery, index: number): BoundQuery {
    if (query.columns.length === 1) return query;
    const relation = this.newRelation();
    const column = query.columns[index]!;
    return {
      kind: "select",
      id: this.newSelect(),
      ctes: [],
      columns: [column],
      relations: [
        {
          kind: "subquery",
          id: relation,
          alias: "source",
          explicitAlias: true,
          columns: query.columns.map((item) => ({ name: item.name, type: item.type })),
          query,
          lateral: false,
        },
      ],
      from: [{ kind: "relation", relation }],
      targets: [
        {
          expr: { kind: "column", type: column.type, level: 0, relation, column: index },
          name: column.name,
          junk: false,
        },
      ],
      groupBy: [],
      grouped: false,
      hasSetCalls: false,
      distinct: "none",
      orderBy: [],
      locks: [],
    };
  }

  // ------------------------------------------------------------------------------------------------ privileges

  need(relation: RelationDesc, privilege: "a" | "w" | "d" | "r", columns: Iterable<number> = []): Need {
    const need = { relation, privilege, columns: new Set(columns), asRole: this.asRole };
    this.#needs.push(need);
    return need;
  }
  needRead(entry: number, relation: RelationDesc): void {
    this.#readNeeds.set(entry, this.need(relation, "r"));
  }
  /** DML targets are read only if their columns are. */
  readLazily(entry: number, relation: RelationDesc): void {
    this.#readNeeds.set(entry, {
      relation,
      privilege: "r",
      columns: new Set(),
      asRole: this.asRole,
    });
  }
  /** Whether the statement reads a column of the entry: then its user must be allowed to see the rows. */
  isRead(entry: number): boolean {
    return (this.#readNeeds.get(entry)?.columns.size ?? 0) > 0;
  }
  /** Binds something whose references to the entry's columns are not the statement's. */
  unread<T>(entry: number, bind: () => T): T {
    const nested = this.#unread.has(entry);
    this.#unread.add(entry);
    const bound = bind();
    if (!nested) this.#unread.delete(entry);
    return bound;
  }
  /** From now on an entry is read through another one that has its columns. */
  moveRead(from: number, to: number): void {
    const need = this.#readNeeds.get(from);
    if (need !== undefined) this.#readNeeds.set(to, need);
    this.#readNeeds.delete(from);
    const denied = this.#denied?.get(from);
    if (denied !== undefined) this.#denied!.set(to, denied);
  }
  deny(entry: number, column: number, message: string): void {
    this.#denied ??= new Map();
    const columns = this.#denied.get(entry) ?? new Map<number, string>();
    this.#denied.set(entry, columns.set(column, message));
  }
  /** Row and column rules of a table for whom the statement, or the view it is in, acts. */
  rulesFor(table: TableDesc): AppliedRules | undefined {
    const { access } = this.env;
    if (access === undefined) return undefined;
    const key = `${table.id} ${this.asRole}`;
    if (!this.#rules.has(key)) this.#rules.set(key, access.rulesFor(table, this.asRole));
    return this.#rules.get(key);
  }
  markRead(expr: Expr): void {
    if (!this.marking) return;
    if (expr.kind === "column") {
      if (this.#unread.has(expr.relation)) return;
      const refusal = this.#denied?.get(expr.relation)?.get(expr.column);
      if (refusal !== undefined) throw new DbError("insufficientPrivilege", refusal);
      const need = this.#readNeeds.get(expr.relation);
      if (need === undefined) return;
      need.columns.add(expr.column);
      if (need.columns.size === 1 && !this.#needs.includes(need)) this.#needs.push(need);
    } else if (expr.kind !== "const")
      visitDeep(expr, (inner) => inner.kind === "column" && this.markRead(inner));
  }
  privileges(): PrivilegeNeed[] {
    return this.#needs.map((need) => ({
      relationId: need.relation.id,
      name: need.relation.name,
      relationKind: need.relation.kind,
      privilege: need.privilege,
      columns: [...need.columns].filter((column) => column >= 0).sort((a, b) => a - b),
      asRole: need.asRole,
    }));
  }

  // --------------------------------------------------------------------------------------------------- look-ups

  /** Schema of a written name; 3F000 when missing. */
  schema(name: string, position: number | undefined): SchemaDesc {
    const wanted = name === "pg_temp" && this.env.tempSchema !== undefined ? this.env.tempSchema : name;
    const schema = this.catalog.schemaByName(wanted);
    if (schema === undefined) {
      throw new DbError("invalidSchemaName", `schema "${name}" does not exist`, { position });
    }
    return schema;
  }

  /** Schema ids in search order: pg_temp first and pg_catalog next unless the path names them. */
  searchSchemas(): SchemaDesc[] {
    const out: SchemaDesc[] = [];
    const path = this.searchPath;
    const { tempSchema } = this.env;
    if (tempSchema !== undefined && !path.includes("pg_temp") && !path.includes(tempSchema)) {
      const schema = this.catalog.schemaByName(tempSchema);
      if (schema !== undefined) out.push(schema);
    }
    if (!path.includes("pg_catalog")) {
      const schema = this.catalog.schemaById(pgCatalogSchemaId);
      if (schema !== undefined) out.push(schema);
    }
    for (const name of path) {
      const real = name === "pg_temp" ? tempSchema : name;
      const schema = real === undefined ? undefined : this.catalog.schemaByName(real);
      if (schema !== undefined) out.push(schema);
    }
    return out;
  }

  /** Relation by name, or undefined. Throws 3F000 or 0A000 for a wrong qualification. */
  findRelation(name: ast.QualifiedName): RelationDesc | undefined {
    if (name.catalog !== undefined && this.env.database !== undefined && name.catalog !== this.env.database) {
      throw new DbError(
        "featureNotSupported",
        `cross-database references are not implemented: "${name.catalog}.${name.schema}.${name.name}"`,
        { position: name.position },
      );
    }
    let found: RelationDesc | undefined;
    if (name.schema !== undefined) {
      const schema = this.catalog.schemaByName(
        name.schema === "pg_temp" && this.env.tempSchema !== undefined ? this.env.tempSchema : name.schema,
      );
      if (schema !== undefined) found = this.catalog.relation(schema.id, name.name);
    } else if (this.env.tempSchema === undefined && !this.searchPath.includes("pg_catalog")) {
      // The common case, without building a list.
      found = this.catalog.relation(pgCatalogSchemaId, name.name);
      for (let i = 0; found === undefined && i < this.searchPath.length; i++) {
        const schema = this.catalog.schemaByName(this.searchPath[i]!);
        if (schema !== undefined) found = this.catalog.relation(schema.id, name.name);
      }
    } else {
      for (const schema of this.searchSchemas()) {
        found = this.catalog.relation(schema.id, name.name);
        if (found !== undefined) break;
      }
    }
    if (found !== undefined) this.objects.add(found.id);
    return found;
  }

  /** OID of a relation or index named as regclass text; undefined for numbers and `-`. 42P01 when there is none. */
  regclass(text: string, position: number): ObjectId | undefined {
    if (/^(\d+|-)$/.test(text.trim())) return undefined;
    const parts: string[] = [];
    const pattern = /\s*(?:"((?:[^"]|"")*)"|([^".\s]+))\s*(\.|$)/gy;
    let end = 0;
    for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
      parts.push(match[1] === undefined ? match[2]!.toLowerCase() : match[1].replaceAll('""', '"'));
      end = pattern.lastIndex;
      if (match[3] === "") break;
    }
    if (end !== text.length || parts.length === 0 || parts.length > 3) {
      throw new DbError("invalidName", "invalid name syntax", { position });
    }
    const [name, schema, catalog] = parts.reverse();
    const written: ast.QualifiedName = { catalog, schema, name: name!, position };
    const found = this.findRelation(written);
    if (found !== undefined) return found.id;
    const schemas = schema === undefined ? this.searchSchemas() : [this.schema(schema, position)];
    for (const place of schemas) {
      const index = this.catalog.indexByName(place.id, name!);
      if (index !== undefined) return index.id;
    }
    throw new DbError(
      "undefinedTable",
      `relation "${schema === undefined ? name : `${schema}.${name}`}" does not exist`,
      {
        position,
      },
    );
  }

  relation(name: ast.QualifiedName): RelationDesc {
    const found = this.findRelation(name);
    if (found === undefined) {
      const shown = name.schema === undefined ? name.name : `${name.schema}.${name.name}`;
      throw new DbError("undefinedTable", `relation "${shown}" does not exist`, { position: name.position });
    }
    return found;
  }
}

/** A table entry for binding and planning, numbered anew. */
export function tableEntry(
  binder: Binder,
  relation: RelationDesc & { kind: "table" | "virtual" },
  alias: string | undefined,
  columnAliases: readonly string[] = [],
): RangeEntry {
  let live = 0;
  const base = {
    id: binder.newRelation(),
    alias: alias ?? relation.name,
    explicitAlias: alias !== undefined,
    columnAliases: columnAliases.length > 0,
    columns: relation.columns.map((column) => ({
      name: column.dropped ? column.name : (columnAliases[live++] ?? column.name),
      type: column.type,
      dropped: column.dropped,
    })),
  };
  if (relation.kind === "table") return { ...base, kind: "table", table: relation };
  const schema = binder.catalog.schemaById(relation.schemaId)?.name ?? "pg_catalog";
  return { ...base, kind: "virtual", table: relation, schema };
}
