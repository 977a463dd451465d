/**
 * Binding of expressions: every syntax node becomes a typed one, with casts made explicit.
 *
 * Invariants: a literal or NULL without type stays of type unknown only until something around it settles it; an error
 * points where PostgreSQL's would. Deep trees are refused (54001) and not followed into the stack's end.
 */
import { DbError, notSupported } from "../base/errors.js";
import type { TypeRef } from "../model/schema.js";
import type * as ast from "./ast.js";
import { bindCall, bindSqlValue } from "./bind-call.js";
import { bindQuery } from "./bind-query.js";
import { type Binder, recordOid, unknownOid } from "./binder.js";
import type { Expr } from "./expr.js";
import type { BoundQuery } from "./query.js";
import {
  arrayElementType,
  arrayTypeOf,
  coerce,
  commonTypeOf,
  commonTypmod,
  constantOf,
  isSortable,
  operatorCall,
  resolveTypeName,
} from "./resolve.js";
import { findColumn, findInItem, findRelation, missingColumn, missingRelation, type Scope } from "./scope.js";
import { boolType } from "./walk.js";

const int4: TypeRef = { oid: 23, typmod: -1 };
const int8: TypeRef = { oid: 20, typmod: -1 };
const text: TypeRef = { oid: 25, typmod: -1 };
const unknown: TypeRef = { oid: unknownOid, typmod: -1 };
const record: TypeRef = { oid: recordOid, typmod: -1 };

const depthMax = 3000;

export function isUnknown(expr: Expr): boolean {
  return expr.type.oid === unknownOid;
}

export function bindExpr(binder: Binder, node: ast.Expr, scope: Scope): Expr {
  if (++binder.depth > depthMax) {
    throw new DbError("statementTooComplex", "stack depth limit exceeded", {
      hint: "The expression is nested too deeply.",
    });
  }
  const bound = bindNode(binder, node, scope);
  binder.depth--;
  return bound;
}

function bindNode(binder: Binder, node: ast.Expr, scope: Scope): Expr {
  switch (node.kind) {
    case "number":
      switch (node.class) {
        case "int4":
          return binder.at({ kind: "const", type: int4, value: Number(node.text) }, node.position);
        case "int8":
          return binder.at(constantOf(binder, int8, node.text, node.position), node.position);
        case "numeric":
          return binder.at(
            constantOf(binder, { oid: 1700, typmod: -1 }, node.text, node.position),
            node.position,
          );
      }
      break;
    case "string":
      return binder.at({ kind: "const", type: unknown, value: node.value }, node.position);
    case "null":
      return binder.at({ kind: "const", type: unknown, value: null }, node.position);
    case "boolean":
      return { kind: "const", type: boolType, value: node.value };
    case "bitString":
      throw notSupported("bit strings", node.position);
    case "literalParam":
      return binder.literal(node.index, node.class, node.position);
    case "typedLiteral": {
      const type = resolveTypeName(binder, node.type);
      const literal = binder.at({ kind: "const", type: unknown, value: node.value }, node.position);
      return coerceTo(binder, literal, type, "explicit", node.position);
    }
    case "param":
      if (node.number < 1) {
        throw new DbError("undefinedParameter", `there is no parameter $${node.number}`, {
          position: node.position,
        });
      }
      return binder.param(node.number - 1, node.position);
    case "columnRef":
      return bindColumnRef(binder, node, scope);
    case "fieldSelect":
      return bindField(binder, node, scope);
    case "subscript":
      return bindSubscript(binder, node, scope);
    case "unary": {
      const arg = bindExpr(binder, node.arg, scope);
      if (node.operator.name === "-" && arg.kind === "const" && node.arg.kind === "number") {
        return negatedLiteral(binder, node.arg, node.position);
      }
      return operatorCall(binder, node.operator.name, undefined, arg, node.position);
    }
    case "binary":
      return bindBinary(binder, node, scope);
    case "and":
    case "or": {
      const name = node.kind === "and" ? "AND" : "OR";
      const args: Expr[] = [];
      for (const arg of node.args) {
        const bound = requireBoolean(binder, bindExpr(binder, arg, scope), name, arg);
        if (bound.kind === node.kind) args.push(...bound.args);
        else args.push(bound);
      }
      return { kind: node.kind, type: boolType, args };
    }
    case "not":
      return {
        kind: "not",
        type: boolType,
        arg: requireBoolean(binder, bindExpr(binder, node.arg, scope), "NOT", node.arg),
      };
    case "isNull": {
      const arg = settled(binder, bindExpr(binder, node.arg, scope), node.arg.position);
      return { kind: "isNull", type: boolType, arg, negated: node.negated };
    }
    case "isTruth": {
      const name = `IS ${node.negated ? "NOT " : ""}${node.test.toUpperCase()}`;
      const arg = requireBoolean(binder, bindExpr(binder, node.arg, scope), name, node.arg);
      return { kind: "isTruth", type: boolType, arg, test: node.test, negated: node.negated };
    }
    case "isDistinct": {
      const left = bindExpr(binder, node.left, scope);
      const right = bindExpr(binder, node.right, scope);
      if (left.kind === "row" && right.kind === "row") return rowDistinct(binder, node, left, right);
      const call = operatorCall(binder, "=", left, right, node.position);
      if (call.kind !== "call" || call.args.length !== 2)
        throw notSupported("IS DISTINCT FROM here", node.position);
      return {
        kind: "isDistinct",
        type: boolType,
        left: call.args[0]!,
        right: call.args[1]!,
        equal: call.fn,
        negated: node.negated,
      };
    }
    case "in":
      return bindIn(binder, node, scope);
    case "inQuery": {
      const any = bindQuantifiedQuery(binder, node.arg, "=", false, node.query, node.position, scope);
      return node.negated ? { kind: "not", type: boolType, arg: any } : any;
    }
    case "between":
      return bindBetween(binder, node, scope);
    case "like":
      return bindLike(binder, node, scope);
    case "quantified":
      return bindQuantified(binder, node, scope);
    case "quantifiedQuery":
      return bindQuantifiedQuery(
        binder,
        node.left,
        node.operator.name,
        node.all,
        node.query,
        node.position,
        scope,
      );
    case "exists":
      return {
        kind: "subquery",
        type: boolType,
        form: "exists",
        query: bindQuery(binder, node.query, scope),
      };
    case "subquery":
    case "arrayQuery": {
      const query = bindQuery(binder, node.query, scope);
      if (query.columns.length !== 1) {
        throw new DbError("syntaxError", "subquery must return only one column", { position: node.position });
      }
      const { type } = query.columns[0]!;
      if (node.kind === "subquery") return { kind: "subquery", type, form: "scalar", query };
      const array = arrayTypeOf(type.oid);
      if (array === undefined) {
        throw new DbError(
          "undefinedObject",
          `could not find array type for data type ${binder.typeText(type)}`,
          {
            position: node.position,
          },
        );
      }
      return { kind: "subquery", type: { oid: array, typmod: -1 }, form: "array", query };
    }
    case "array":
      return bindArray(binder, node, scope, undefined);
    case "row": {
      const row = bindOpenRow(binder, node, scope);
      return {
        ...row,
        args: row.args.map((arg) => (isUnknown(arg) ? settled(binder, arg, node.position) : arg)),
      };
    }
    case "case":
      return bindCase(binder, node, scope);
    case "coalesce":
    case "greatest":
    case "least": {
      const list = node.args.map((arg) => bindNoSet(binder, arg, scope, node.kind.toUpperCase()));
      const type = unify(binder, list, node.args, node.kind.toUpperCase());
      return { kind: node.kind, type, args: coerceAll(binder, list, type, node.args) };
    }
    case "nullIf": {
      const left = bindExpr(binder, node.left, scope);
      const right = bindExpr(binder, node.right, scope);
      const equal = operatorCall(binder, "=", left, right, node.position);
      if (equal.type.oid !== 16) {
        throw new DbError("datatypeMismatch", "NULLIF requires = operator to yield boolean", {
          position: node.position,
        });
      }
      if (equal.kind !== "call") throw notSupported("NULLIF of rows", node.position);
      // The result has the type of the first argument as the comparison sees it.
      const shown = equal.args[0]!;
      return { kind: "nullIf", type: shown.type, left: shown, right: equal.args[1]!, equal };
    }
    case "call":
      return bindCall(binder, node, scope);
    case "sqlValue":
      return bindSqlValue(binder, node);
    case "cast": {
      const type = resolveTypeName(binder, node.type);
      if (node.arg.kind === "array") {
        const element = arrayElementType(type.oid);
        if (element !== undefined) {
          return coerceTo(
            binder,
            bindArray(binder, node.arg, scope, element),
            type,
            "explicit",
            node.position,
          );
        }
      }
      const arg = bindExpr(binder, node.arg, scope);
      return coerceTo(binder, arg, type, "explicit", node.position);
    }
    case "collate": {
      const arg = settled(binder, bindExpr(binder, node.arg, scope), node.arg.position);
      binder.requireCollation(node.collation, arg.type, node.position);
      return arg;
    }
    case "grouping":
      throw notSupported("GROUPING()", node.position);
    case "currentOf":
      throw notSupported("WHERE CURRENT OF", node.position);
    case "default":
      throw new DbError("syntaxError", "DEFAULT is not allowed in this context", { position: node.position });
    case "unsupportedExpr":
      throw notSupported(node.feature, node.position);
  }
}

function negatedLiteral(binder: Binder, node: ast.Expr & { kind: "number" }, position: number): Expr {
  // -2147483648 and -9223372036854775808 are read as PostgreSQL's grammar reads them: the sign belongs to the literal.
  const literal = (type: TypeRef): Expr => constantOf(binder, type, `-${node.text}`, position);
  if (node.class === "int4") return { kind: "const", type: int4, value: -Number(node.text) | 0 };
  if (node.class === "int8") {
    const type = node.text === "2147483648" ? int4 : int8;
    return literal(type);
  }
  if (node.text === "9223372036854775808") return literal(int8);
  return literal({ oid: 1700, typmod: -1 });
}

// --------------------------------------------------------------------------------------------------------- coercion

/** A value of unknown type that nothing will settle becomes text. */
export function settled(binder: Binder, expr: Expr, position: number): Expr {
  return isUnknown(expr) ? coerceTo(binder, expr, text, "implicit", position) : expr;
}

export type CoerceContext = "implicit" | "assignment" | "explicit";

/** The expression as `target`; throws 42846 (or what `refuse` throws) when there is no such cast in the context. */
export function coerceTo(
  binder: Binder,
  expr: Expr,
  target: TypeRef,
  context: CoerceContext,
  position: number,
  _column?: string | undefined,
  refuse?: () => never,
): Expr {
  const out = coerce(binder, expr, target, context, position);
  if (out !== undefined) return out;
  if (refuse !== undefined) refuse();
  throw new DbError(
    "cannotCoerce",
    `cannot cast type ${binder.typeText({ oid: expr.type.oid, typmod: -1 })} to ${binder.typeText({ oid: target.oid, typmod: -1 })}`,
    { position },
  );
}

/** 42804 unless the expression is (or can silently become) boolean. */
export function requireBoolean(binder: Binder, expr: Expr, what: string, node: ast.Expr): Expr {
  if (expr.type.oid === 16 && expr.kind !== "setCall") return expr;
  const out = coerce(binder, expr, boolType, "implicit", node.position);
  if (out === undefined) {
    throw new DbError(
      "datatypeMismatch",
      `argument of ${what} must be type boolean, not type ${binder.typeText(expr.type)}`,
      { position: binder.positionOf(expr) ?? node.position },
    );
  }
  return out;
}

/** 42883 for types without a default ordering. */
export function requireSortable(binder: Binder, type: TypeRef, position: number): void {
  if (isSortable(type.oid)) return;
  throw new DbError(
    "undefinedFunction",
    `could not identify an ordering operator for type ${binder.typeText(type)}`,
    { position, hint: "Use an explicit ordering operator or modify the query." },
  );
}

function unify(binder: Binder, list: readonly Expr[], nodes: readonly ast.Expr[], what: string): TypeRef {
  let oid = commonTypeOf(
    binder,
    list,
    what,
    nodes.map((node) => node.position),
  );
  if (oid === unknownOid) oid = 25;
  return { oid, typmod: commonTypmod(list, oid) };
}

function coerceAll(binder: Binder, list: readonly Expr[], type: TypeRef, nodes: readonly ast.Expr[]): Expr[] {
  return list.map((expr, index) =>
    coerceTo(binder, expr, { oid: type.oid, typmod: -1 }, "implicit", nodes[index]?.position ?? 0),
  );
}

// ---------------------------------------------------------------------------------------------------------- columns

function bindColumnRef(binder: Binder, node: ast.Expr & { kind: "columnRef" }, scope: Scope): Expr {
  const { parts, position } = node;
  if (node.star) {
    throw new DbError("syntaxError", 'row expansion via "*" is not supported here', { position });
  }
  if (scope.clause === "default") {
    throw new DbError("featureNotSupported", "cannot use column reference in DEFAULT expression", {
      position,
    });
  }
  if (parts.length === 1) {
    const name = parts[0]!;
    const found = findColumn(scope, name, position);
    if (found !== undefined) return reference(binder, found.expr, found.level, position);
    const relation = findRelation(scope, undefined, name, position);
    if (relation !== undefined) return wholeRowValue(binder, relation.item.columns, relation.level, position);
    throw missingColumn(scope, undefined, name, position);
  }
  const name = parts[parts.length - 1]!;
  const qualifier = parts[parts.length - 2]!;
  const schema = parts.length > 2 ? parts[parts.length - 3] : undefined;
  const relation = findRelation(scope, schema, qualifier, position);
  if (relation === undefined) throw missingRelation(scope, schema, qualifier, position);
  const expr = findInItem(relation.item, name, position);
  if (expr === undefined) {
    const { entry } = relation.item;
    if (name === "tableoid" && (entry?.kind === "table" || entry?.kind === "virtual")) {
      return { kind: "const", type: { oid: 26, typmod: -1 }, value: entry.table.id };
    }
    if (entry?.kind === "table" && systemColumns.has(name)) {
      throw notSupported(`the system column ${name}`, position);
    }
    throw missingColumn(scope, qualifier, name, position);
  }
  return reference(binder, expr, relation.level, position);
}

const systemColumns = new Set(["ctid", "xmin", "xmax", "cmin", "cmax"]);

function reference(binder: Binder, expr: Expr, level: number, position: number): Expr {
  binder.markRead(expr);
  const copy: Expr = expr.kind === "column" && level !== 0 ? { ...expr, level } : { ...expr };
  return binder.at(copy, position);
}

function wholeRow(binder: Binder, node: ast.Expr & { kind: "columnRef" }, scope: Scope): Expr[] {
  const qualifier = node.parts[node.parts.length - 1];
  if (qualifier === undefined) {
    return scope.items
      .filter((item) => item.columnsVisible)
      .flatMap((item) => item.columns.map((column) => reference(binder, column.expr, 0, node.position)));
  }
  const schema = node.parts.length > 1 ? node.parts[node.parts.length - 2] : undefined;
  const found = findRelation(scope, schema, qualifier, node.position);
  if (found === undefined) throw missingRelation(scope, schema, qualifier, node.position);
  return found.item.columns.map((column) => reference(binder, column.expr, found.level, node.position));
}

function wholeRowValue(
  binder: Binder,
  columns: readonly { readonly name: string; readonly expr: Expr }[],
  level: number,
  position: number,
): Expr {
  const args = columns.map((column) => reference(binder, column.expr, level, position));
  return binder.at(
    { kind: "row", type: record, args, names: columns.map((column) => column.name) },
    position,
  );
}

function bindField(binder: Binder, node: ast.Expr & { kind: "fieldSelect" }, scope: Scope): Expr {
  const arg = bindExpr(binder, node.arg, scope);
  if (arg.kind === "row" && node.field !== undefined) {
    const names = arg.names ?? arg.args.map((_, index) => `f${index + 1}`);
    const at = names.indexOf(node.field);
    if (at >= 0) return arg.args[at]!;
    throw new DbError("undefinedColumn", `column "${node.field}" not found in data type record`, {
      position: node.position,
    });
  }
  const fields = binder.fieldsOf(arg);
  const index = fields?.findIndex((field) => field.name === node.field) ?? -1;
  if (fields !== undefined && index >= 0) {
    return { kind: "field", type: { oid: fields[index]!.type, typmod: -1 }, arg, index };
  }
  if (arg.type.oid === recordOid) {
    throw new DbError("undefinedColumn", `could not identify column "${node.field}" in record data type`, {
      position: node.position,
    });
  }
  throw new DbError(
    "wrongObjectType",
    `column notation .${node.field} applied to type ${binder.typeText(arg.type)}, which is not a composite type`,
    { position: node.position },
  );
}

function bindSubscript(binder: Binder, node: ast.Expr & { kind: "subscript" }, scope: Scope): Expr {
  const arg = bindExpr(binder, node.arg, scope);
  const element = arrayElementType(arg.type.oid);
  if (element === undefined) {
    if (arg.type.oid === 3802) return jsonbSubscript(binder, node, arg, scope);
    throw new DbError(
      "datatypeMismatch",
      `cannot subscript type ${binder.typeText(arg.type)} because it does not support subscripting`,
      { position: node.position },
    );
  }
  const index = (part: ast.Expr | undefined): Expr | undefined =>
    part === undefined
      ? undefined
      : coerceTo(binder, bindExpr(binder, part, scope), int4, "assignment", part.position, undefined, () => {
          throw new DbError("datatypeMismatch", "array subscript must have type integer", {
            position: part.position,
          });
        });
  const anySlice = node.indexes.some((item) => item.slice);
  const indexes = node.indexes.map((item) =>
    item.slice
      ? { lower: index(item.lower), upper: index(item.upper), slice: true }
      : { lower: undefined, upper: index(item.index), slice: false },
  );
  return {
    kind: "subscript",
    type: anySlice
      ? { oid: arg.type.oid, typmod: arg.type.typmod }
      : { oid: element, typmod: arg.type.typmod },
    arg,
    indexes,
  };
}

function jsonbSubscript(
  binder: Binder,
  node: ast.Expr & { kind: "subscript" },
  arg: Expr,
  scope: Scope,
): Expr {
  let out = arg;
  for (const item of node.indexes) {
    if (item.slice) {
      throw new DbError("datatypeMismatch", "jsonb subscript does not support slices", {
        position: node.position,
      });
    }
    out = operatorCall(binder, "->", out, bindExpr(binder, item.index, scope), node.position);
  }
  return out;
}

// -------------------------------------------------------------------------------------------- operators and lists

function bindBinary(binder: Binder, node: ast.Expr & { kind: "binary" }, scope: Scope): Expr {
  // A long chain a + b + c leans left: walk it without recursion.
  const chain: (ast.Expr & { kind: "binary" })[] = [];
  let leftmost: ast.Expr = node;
  while (leftmost.kind === "binary") {
    chain.push(leftmost);
    leftmost = leftmost.left;
  }
  let left = bindOperand(binder, leftmost, scope, chain[chain.length - 1]!.right);
  for (let i = chain.length - 1; i >= 0; i--) {
    const step = chain[i]!;
    const right = bindOperand(binder, step.right, scope, step.left);
    left = comparison(binder, step.operator.name, left, right, step.position);
  }
  return left;
}

function comparison(binder: Binder, operator: string, left: Expr, right: Expr, position: number): Expr {
  if (left.kind === "row" && right.kind === "row")
    return rowComparison(binder, operator, left, right, position);
  if (left.kind === "row" && right.kind === "subquery" && right.form === "scalar") {
    throw notSupported("comparing a row with a subquery", position);
  }
  return binder.at(operatorCall(binder, operator, left, right, position), position);
}

/** A row whose literals have no type yet: what it is compared with may give them one. */
function bindOpenRow(binder: Binder, node: ast.Expr & { kind: "row" }, scope: Scope): Expr & { kind: "row" } {
  const args = node.args.flatMap((arg) =>
    arg.kind === "columnRef" && arg.star ? wholeRow(binder, arg, scope) : [bindExpr(binder, arg, scope)],
  );
  return { kind: "row", type: record, args };
}

function bindOperand(binder: Binder, node: ast.Expr, scope: Scope, other: ast.Expr): Expr {
  return node.kind === "row" && other.kind === "row"
    ? bindOpenRow(binder, node, scope)
    : bindExpr(binder, node, scope);
}

const rowOperators = new Set(["=", "<>", "<", "<=", ">", ">="]);

function rowComparison(
  binder: Binder,
  operator: string,
  left: Expr & { kind: "row" },
  right: Expr & { kind: "row" },
  position: number,
): Expr {
  if (left.args.length !== right.args.length) {
    throw new DbError("syntaxError", "unequal number of entries in row expressions", { position });
  }
  if (left.args.length === 0) {
    throw new DbError("featureNotSupported", "cannot compare rows of zero length", { position });
  }
  if (!rowOperators.has(operator)) {
    throw new DbError(
      "featureNotSupported",
      `could not determine interpretation of row comparison operator ${operator}`,
      { position, hint: "Row comparison operators must be associated with btree operator families." },
    );
  }
  if (left.args.length === 1) return comparison(binder, operator, left.args[0]!, right.args[0]!, position);
  const lefts: Expr[] = [];
  const rights: Expr[] = [];
  const equal = [];
  const less = [];
  for (let i = 0; i < left.args.length; i++) {
    const eq = operatorCall(binder, "=", left.args[i]!, right.args[i]!, position);
    if (eq.kind !== "call") throw notSupported("comparing nested rows", position);
    lefts.push(eq.args[0]!);
    rights.push(eq.args[1]!);
    equal.push(eq.fn);
    if (operator === "=" || operator === "<>") {
      less.push(undefined);
      continue;
    }
    const lt = operatorCall(binder, "<", eq.args[0]!, eq.args[1]!, position);
    less.push(lt.kind === "call" ? lt.fn : undefined);
  }
  return { kind: "rowCompare", type: boolType, operator, left: lefts, right: rights, equal, less };
}

function rowDistinct(
  binder: Binder,
  node: ast.Expr & { kind: "isDistinct" },
  left: Expr & { kind: "row" },
  right: Expr & { kind: "row" },
): Expr {
  if (left.args.length !== right.args.length) {
    throw new DbError("syntaxError", "unequal number of entries in row expressions", {
      position: node.position,
    });
  }
  const parts = left.args.map((arg, index): Expr => {
    const call = operatorCall(binder, "=", arg, right.args[index]!, node.position);
    if (call.kind !== "call") throw notSupported("comparing nested rows", node.position);
    return {
      kind: "isDistinct",
      type: boolType,
      left: call.args[0]!,
      right: call.args[1]!,
      equal: call.fn,
      negated: node.negated,
    };
  });
  return parts.length === 1 ? parts[0]! : { kind: node.negated ? "and" : "or", type: boolType, args: parts };
}

/** `left = right` of a join's USING. */
export function equalityOf(binder: Binder, left: Expr, right: Expr, position: number): Expr {
  return operatorCall(binder, "=", left, right, position);
}

function bindIn(binder: Binder, node: ast.Expr & { kind: "in" }, scope: Scope): Expr {
  const arg = bindExpr(binder, node.arg, scope);
  const list = node.list.map((item) => bindExpr(binder, item, scope));
  const operator = node.negated ? "<>" : "=";
  // Items without columns of their own become one array comparison; the rest stays a chain of equalities.
  const plain: number[] = [];
  const others: number[] = [];
  list.forEach((item, index) => {
    (binder.hasColumns(item) || item.kind === "row" ? others : plain).push(index);
  });
  const parts: Expr[] = [];
  if (plain.length > 1 && arg.kind !== "row") {
    const items = plain.map((index) => list[index]!);
    const positions = plain.map((index) => node.list[index]!.position);
    const common = commonTypeOf(binder, [arg, ...items], undefined, [node.arg.position, ...positions]);
    const array =
      common === undefined || common === recordOid
        ? undefined
        : arrayTypeOf(common === unknownOid ? 25 : common);
    if (array !== undefined) {
      const type: TypeRef = { oid: common === unknownOid ? 25 : common, typmod: -1 };
      const elements = items.map((item, index) =>
        coerceTo(binder, item, type, "implicit", positions[index]!),
      );
      parts.push(
        arrayComparison(
          binder,
          operator,
          arg,
          { kind: "array", type: { oid: array, typmod: -1 }, elements },
          type.oid,
          node.negated,
          node.position,
        ),
      );
    } else others.unshift(...plain);
  } else others.unshift(...plain);
  others.sort((a, b) => a - b);
  for (const index of others) {
    const item = list[index]!;
    parts.push(comparison(binder, operator, arg, item, node.position));
  }
  if (parts.length === 1) return parts[0]!;
  return { kind: node.negated ? "and" : "or", type: boolType, args: parts };
}

/** `left op ANY/ALL (array)` with the operator chosen for the element type. */
function arrayComparison(
  binder: Binder,
  operator: string,
  left: Expr,
  array: Expr,
  element: number,
  all: boolean,
  position: number,
): Expr {
  const probe: Expr = { kind: "elementRef", type: { oid: element, typmod: -1 } };
  const call = operatorCall(binder, operator, left, probe, position);
  if (call.kind !== "call" || call.type.oid !== 16) {
    throw new DbError("wrongObjectType", "op ANY/ALL (array) requires operator to yield boolean", {
      position,
    });
  }
  const wanted = call.args[1]!;
  let right = array;
  if (wanted.type.oid !== element) {
    const target = arrayTypeOf(wanted.type.oid);
    if (target === undefined) throw notSupported("this array comparison", position);
    right = coerceTo(binder, array, { oid: target, typmod: -1 }, "implicit", position);
  }
  return { kind: "arrayCompare", type: boolType, left: call.args[0]!, right, fn: call.fn, operator, all };
}

function bindQuantified(binder: Binder, node: ast.Expr & { kind: "quantified" }, scope: Scope): Expr {
  const left = bindExpr(binder, node.left, scope);
  let array = bindExpr(binder, node.array, scope);
  if (isUnknown(array)) {
    // The array takes its type from the left side.
    const element = isUnknown(left) ? 25 : left.type.oid;
    const type = arrayTypeOf(element);
    if (type === undefined) {
      throw new DbError("wrongObjectType", "op ANY/ALL (array) requires array on right side", {
        position: node.position,
      });
    }
    array = coerceTo(binder, array, { oid: type, typmod: -1 }, "implicit", node.array.position);
  }
  const element = arrayElementType(array.type.oid);
  if (element === undefined) {
    throw new DbError("wrongObjectType", "op ANY/ALL (array) requires array on right side", {
      position: node.position,
    });
  }
  return arrayComparison(binder, node.operator.name, left, array, element, node.all, node.position);
}

function bindQuantifiedQuery(
  binder: Binder,
  leftNode: ast.Expr,
  operator: string,
  all: boolean,
  queryNode: ast.Query,
  position: number,
  scope: Scope,
): Expr {
  const left = bindExpr(binder, leftNode, scope);
  const lefts = left.kind === "row" ? left.args : [left];
  const query = bindQuery(binder, queryNode, scope);
  if (query.columns.length < lefts.length) {
    throw new DbError("syntaxError", "subquery has too few columns", { position });
  }
  if (query.columns.length > lefts.length) {
    throw new DbError("syntaxError", "subquery has too many columns", { position });
  }
  if (lefts.length > 1 && !rowOperators.has(operator)) {
    throw new DbError(
      "featureNotSupported",
      `could not determine interpretation of row comparison operator ${operator}`,
      { position },
    );
  }
  const relation = binder.newRelation();
  const outLeft: Expr[] = [];
  const outRight: Expr[] = [];
  const compare = [];
  for (let i = 0; i < lefts.length; i++) {
    const column: Expr = { kind: "column", type: query.columns[i]!.type, level: 0, relation, column: i };
    const call = operatorCall(binder, operator, lefts[i]!, column, position);
    if (call.kind !== "call" || call.type.oid !== 16) {
      throw new DbError(
        "wrongObjectType",
        `operator ${operator} must return type boolean, not type ${binder.typeText(call.type)}`,
        {
          position,
        },
      );
    }
    outLeft.push(call.args[0]!);
    outRight.push(call.args[1]!);
    compare.push(call.fn);
  }
  return {
    kind: "subquery",
    type: boolType,
    form: all ? "all" : "any",
    left: outLeft,
    operator,
    compare,
    query: castColumns(binder, query, relation, outRight),
  };
}

/** The query with its columns cast as the comparison wants them. */
function castColumns(
  binder: Binder,
  query: BoundQuery,
  relation: number,
  wanted: readonly Expr[],
): BoundQuery {
  if (wanted.every((expr) => expr.kind === "column")) return query;
  const id = binder.newSelect();
  return {
    kind: "select",
    id,
    ctes: [],
    columns: query.columns.map((column, index) => ({ name: column.name, type: wanted[index]!.type })),
    relations: [
      {
        kind: "subquery",
        id: relation,
        alias: "any_subquery",
        explicitAlias: true,
        columns: query.columns.map((column) => ({ name: column.name, type: column.type })),
        query,
        lateral: false,
      },
    ],
    from: [{ kind: "relation", relation }],
    targets: wanted.map((expr, index) => ({ expr, name: query.columns[index]!.name, junk: false })),
    groupBy: [],
    grouped: false,
    hasSetCalls: false,
    distinct: "none",
    orderBy: [],
    locks: [],
  };
}

function bindBetween(binder: Binder, node: ast.Expr & { kind: "between" }, scope: Scope): Expr {
  const bind = (): Expr => bindExpr(binder, node.arg, scope);
  const low = (): Expr => bindExpr(binder, node.low, scope);
  const high = (): Expr => bindExpr(binder, node.high, scope);
  const within = (from: Expr, to: Expr): Expr => ({
    kind: "and",
    type: boolType,
    args: [
      comparison(binder, ">=", bind(), from, node.position),
      comparison(binder, "<=", bind(), to, node.position),
    ],
  });
  const outside = (from: Expr, to: Expr): Expr => ({
    kind: "or",
    type: boolType,
    args: [
      comparison(binder, "<", bind(), from, node.position),
      comparison(binder, ">", bind(), to, node.position),
    ],
  });
  if (!node.symmetric) return node.negated ? outside(low(), high()) : within(low(), high());
  return node.negated
    ? { kind: "and", type: boolType, args: [outside(low(), high()), outside(high(), low())] }
    : { kind: "or", type: boolType, args: [within(low(), high()), within(high(), low())] };
}

function bindLike(binder: Binder, node: ast.Expr & { kind: "like" }, scope: Scope): Expr {
  const arg = bindExpr(binder, node.arg, scope);
  let pattern = bindExpr(binder, node.pattern, scope);
  const escaped = node.escape === undefined ? undefined : bindExpr(binder, node.escape, scope);
  if (node.operator === "similar") {
    const args = escaped === undefined ? [pattern] : [pattern, escaped];
    pattern = binder.callByName("similar_to_escape", args, node.position);
    return operatorCall(binder, node.negated ? "!~" : "~", arg, pattern, node.position);
  }
  if (escaped !== undefined) pattern = binder.callByName("like_escape", [pattern, escaped], node.position);
  const operator = `${node.negated ? "!" : ""}~~${node.operator === "ilike" ? "*" : ""}`;
  return operatorCall(binder, operator, arg, pattern, node.position);
}

// ------------------------------------------------------------------------------------------------- ARRAY and CASE

function bindArray(
  binder: Binder,
  node: ast.Expr & { kind: "array" },
  scope: Scope,
  /** Element type asked for by a cast around. */
  wanted: number | undefined,
): Expr {
  const nested = node.elements.length > 0 && node.elements.every((element) => element.kind === "array");
  const elements = node.elements.map((element) =>
    element.kind === "array" ? bindArray(binder, element, scope, wanted) : bindExpr(binder, element, scope),
  );
  if (elements.length === 0) {
    if (wanted === undefined) {
      throw new DbError("indeterminateDatatype", "cannot determine type of empty array", {
        position: node.position,
        hint: "Explicitly cast to the desired type, for example ARRAY[]::integer[].",
      });
    }
    return { kind: "array", type: { oid: arrayTypeOf(wanted)!, typmod: -1 }, elements: [] };
  }
  let oid: number;
  if (nested) {
    oid = elements[0]!.type.oid;
  } else if (wanted !== undefined) oid = wanted;
  else {
    oid = commonTypeOf(
      binder,
      elements,
      "ARRAY",
      node.elements.map((element) => element.position),
    );
    if (oid === unknownOid) oid = 25;
  }
  // Arrays of arrays share one array type.
  const element = arrayElementType(oid);
  const type = nested || element !== undefined ? oid : arrayTypeOf(oid);
  if (type === undefined) {
    throw new DbError(
      "undefinedObject",
      `could not find array type for data type ${binder.typeText({ oid, typmod: -1 })}`,
      { position: node.position },
    );
  }
  return {
    kind: "array",
    type: { oid: type, typmod: -1 },
    elements: elements.map((expr, index) =>
      coerceTo(
        binder,
        expr,
        { oid, typmod: -1 },
        wanted === undefined ? "implicit" : "explicit",
        node.elements[index]!.position,
      ),
    ),
  };
}

function bindNoSet(binder: Binder, node: ast.Expr, scope: Scope, what: string): Expr {
  const bound = bindExpr(binder, node, scope);
  if (binder.hasSetCall(bound)) {
    throw new DbError("featureNotSupported", `set-returning functions are not allowed in ${what}`, {
      position: node.position,
      hint: "You might be able to move the set-returning function into a LATERAL FROM item.",
    });
  }
  return bound;
}

function bindCase(binder: Binder, node: ast.Expr & { kind: "case" }, scope: Scope): Expr {
  const operandBound =
    node.operand === undefined
      ? undefined
      : settled(binder, bindNoSet(binder, node.operand, scope, "CASE"), node.operand.position);
  const whens: { when: Expr; then: Expr }[] = [];
  for (const arm of node.whens) {
    const when = bindNoSet(binder, arm.when, scope, "CASE");
    const condition =
      operandBound === undefined
        ? requireBoolean(binder, when, "CASE/WHEN", arm.when)
        : requireBoolean(
            binder,
            operatorCall(binder, "=", { kind: "caseTest", type: operandBound.type }, when, arm.when.position),
            "CASE/WHEN",
            arm.when,
          );
    // biome-ignore lint/suspicious/noThenProperty: the arm of a CASE, never awaited
    whens.push({ when: condition, then: bindNoSet(binder, arm.then, scope, "CASE") });
  }
  const otherwise: Expr =
    node.otherwise === undefined
      ? { kind: "const", type: unknown, value: null }
      : bindNoSet(binder, node.otherwise, scope, "CASE");
  // PostgreSQL asks the ELSE branch first when it looks for the common type.
  const nodes = [node.otherwise ?? node.whens[0]!.then, ...node.whens.map((arm) => arm.then)];
  const list = [otherwise, ...whens.map((arm) => arm.then)];
  const type = unify(binder, list, nodes, "CASE");
  const [lastBound, ...thens] = coerceAll(binder, list, type, nodes);
  return {
    kind: "case",
    type,
    operand: operandBound,
    // biome-ignore lint/suspicious/noThenProperty: the arm of a CASE, never awaited
    whens: whens.map((arm, index) => ({ when: arm.when, then: thens[index]! })),
    otherwise: lastBound!,
  };
}

// ----------------------------------------------------------------------------------------------------- column names

const valueNames: Record<ast.SqlValueName, string> = {
  currentDate: "current_date",
  currentTime: "current_time",
  currentTimestamp: "current_timestamp",
  localTime: "localtime",
  localTimestamp: "localtimestamp",
  currentRole: "current_role",
  currentUser: "current_user",
  user: "user",
  sessionUser: "session_user",
  currentCatalog: "current_catalog",
  currentSchema: "current_schema",
};

/** Name PostgreSQL gives an output column without alias. */
export function figureColumnName(node: ast.Expr): string {
  return figure(node)?.name ?? "?column?";
}

/** `strong` names win over a CASE's own. */
function figure(node: ast.Expr): { readonly name: string; readonly strong: boolean } | undefined {
  const strong = (name: string) => ({ name, strong: true });
  switch (node.kind) {
    case "columnRef":
      return node.parts.length === 0 ? undefined : strong(node.parts[node.parts.length - 1]!);
    case "fieldSelect":
      return node.field === undefined ? undefined : strong(node.field);
    case "subscript":
    case "collate":
      return figure(node.arg);
    case "call":
      return strong(node.name.name);
    case "nullIf":
      return strong("nullif");
    case "coalesce":
    case "greatest":
    case "least":
    case "array":
    case "row":
    case "grouping":
      return strong(node.kind);
    case "arrayQuery":
      return strong("array");
    case "exists":
      return strong("exists");
    case "sqlValue":
      return strong(valueNames[node.name]);
    case "cast": {
      const inner = figure(node.arg);
      return inner?.strong ? inner : { name: node.type.name.name, strong: false };
    }
    case "typedLiteral":
      return { name: node.type.name.name, strong: false };
    case "case": {
      const inner = node.otherwise === undefined ? undefined : figure(node.otherwise);
      return inner?.strong ? inner : { name: "case", strong: false };
    }
    case "subquery": {
      let query = node.query;
      while (query.kind === "setOperation") query = query.left;
      if (query.kind === "values") return strong("column1");
      const target = query.targets[0];
      if (target === undefined) return undefined;
      if (target.alias !== undefined) return strong(target.alias);
      return figure(target.expr);
    }
    default:
      return undefined;
  }
}
