/**
 * EXPLAIN: a plan as text in PostgreSQL's shape, or as JSON with its keys.
 *
 * Nodes that PostgreSQL does not show as such are folded away: a projection belongs to its input, a filter's condition
 * is its input's Filter where that is a scan or an aggregate, a hash join shows its right side under a Hash node.
 *
 * Invariants: pure; every node's cost is that of the plan, costs are printed with two digits, rows without.
 */
import type { CatalogReader } from "../model/schema.js";
import { type DeparseNames, deparseExpr, direction } from "./deparse.js";
import type { Expr, SortKey } from "./expr.js";
import { quoteIdentifier } from "./functions/index.js";
import type { AggregateCall, IndexBounds, JoinType, OutputColumn, PlanNode, ScanNode } from "./plan.js";

export interface ExplainOptions {
  readonly catalog: CatalogReader;
  readonly format?: "text" | "json" | undefined;
  readonly costs?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  readonly timing?: boolean | undefined;
  readonly summary?: boolean | undefined;
  readonly planningMs?: number | undefined;
  readonly executionMs?: number | undefined;
  /** What happened, for EXPLAIN ANALYZE. */
  readonly nodes?: ReadonlyMap<PlanNode, NodeFigures> | undefined;
}

export interface NodeFigures {
  readonly rows: number;
  readonly loops: number;
  readonly startupMs: number;
  readonly totalMs: number;
}

/** One shown node. */
interface Shown {
  /** First line without cost: "Index Scan using t_pkey on t". */
  readonly title: string;
  readonly type: string;
  /** The plan node whose estimate and figures are shown. */
  readonly node: PlanNode;
  /** Lines under it, in order: key and text (a list in JSON when an array). */
  readonly details: [string, string | string[] | number][];
  readonly children: {
    readonly relationship: string;
    readonly name?: string | undefined;
    readonly shown: Shown;
  }[];
  /** Keys of JSON that the title carries. */
  readonly attributes: [string, string | boolean][];
}

export function explainLines(
  plan: { readonly plan: PlanNode } | PlanNode,
  options: ExplainOptions,
): string[] {
  const root = "plan" in plan && !("kind" in plan) ? plan.plan : (plan as PlanNode);
  const shown = new Explainer(options).show(root, false);
  if (options.format === "json") return [JSON.stringify([jsonOf(shown, options, true)], undefined, 2)];
  const lines: string[] = [];
  textOf(shown, options, 0, "", lines);
  if (options.summary === true && options.planningMs !== undefined) {
    lines.push(`Planning Time: ${options.planningMs.toFixed(3)} ms`);
  }
  if (options.executionMs !== undefined) lines.push(`Execution Time: ${options.executionMs.toFixed(3)} ms`);
  return lines;
}

export { explainLines as explainPlan };

function costText({ node }: Shown, options: ExplainOptions): string {
  let out = "";
  if (options.costs !== false) {
    const { startupCost, totalCost, rows, width } = node.estimate;
    out += `  (cost=${startupCost.toFixed(2)}..${totalCost.toFixed(2)} rows=${Math.round(rows)} width=${Math.round(width)})`;
  }
  if (options.nodes !== undefined) {
    const figures = options.nodes.get(node);
    if (figures === undefined || figures.loops === 0) out += `${out === "" ? " " : ""} (never executed)`;
    else {
      const { loops } = figures;
      const time =
        options.timing === false
          ? ""
          : `time=${(figures.startupMs / loops).toFixed(3)}..${(figures.totalMs / loops).toFixed(3)} `;
      out += `${out === "" ? " " : ""} (actual ${time}rows=${Math.round(figures.rows / loops)} loops=${loops})`;
    }
  }
  return out;
}

function textOf(shown: Shown, options: ExplainOptions, depth: number, prefix: string, lines: string[]): void {
  const arrow = depth === 0 ? "" : `${" ".repeat(depth * 6 - 4)}->  `;
  lines.push(`${arrow}${prefix}${shown.title}${costText(shown, options)}`);
  const pad = " ".repeat(depth === 0 ? 2 : depth * 6 + 2);
  for (const [key, value] of shown.details) {
    lines.push(`${pad}${key}: ${Array.isArray(value) ? value.join(", ") : value}`);
  }
  for (const child of shown.children) {
    if (child.name !== undefined) {
      lines.push(`${pad}${child.name}`);
      const inner: string[] = [];
      textOf(child.shown, options, 1, "", inner);
      const shift = pad.length === 2 ? "  " : pad.slice(2);
      for (const line of inner) lines.push(`${shift}${line}`);
    } else textOf(child.shown, options, depth + 1, "", lines);
  }
}

function jsonOf(
  shown: Shown,
  options: ExplainOptions,
  top: boolean,
  relationship?: string,
  name?: string,
): object {
  const out: Record<string, unknown> = { "Node Type": shown.type };
  if (relationship !== undefined) out["Parent Relationship"] = relationship;
  if (name !== undefined) out["Subplan Name"] = name;
  out["Parallel Aware"] = false;
  out["Async Capable"] = false;
  for (const [key, value] of shown.attributes) out[key] = value;
  if (options.costs !== false) {
    const { startupCost, totalCost, rows, width } = shown.node.estimate;
    out["Startup Cost"] = Number(startupCost.toFixed(2));
    out["Total Cost"] = Number(totalCost.toFixed(2));
    out["Plan Rows"] = Math.round(rows);
    out["Plan Width"] = Math.round(width);
  }
  if (options.nodes !== undefined) {
    const figures = options.nodes.get(shown.node);
    const loops = figures?.loops ?? 0;
    if (options.timing !== false) {
      out["Actual Startup Time"] = Number(((figures?.startupMs ?? 0) / Math.max(1, loops)).toFixed(3));
      out["Actual Total Time"] = Number(((figures?.totalMs ?? 0) / Math.max(1, loops)).toFixed(3));
    }
    out["Actual Rows"] = Math.round((figures?.rows ?? 0) / Math.max(1, loops));
    out["Actual Loops"] = loops;
  }
  for (const [key, value] of shown.details) out[key] = value;
  if (shown.children.length > 0) {
    out["Plans"] = shown.children.map((child) =>
      jsonOf(child.shown, options, false, child.relationship, child.name),
    );
  }
  if (!top) return out;
  const whole: Record<string, unknown> = { Plan: out };
  if (options.summary === true && options.planningMs !== undefined) {
    whole["Planning Time"] = Number(options.planningMs.toFixed(3));
  }
  if (options.executionMs !== undefined) whole["Execution Time"] = Number(options.executionMs.toFixed(3));
  return whole;
}

const joinNames: Record<JoinType, string> = {
  inner: "Inner",
  left: "Left",
  right: "Right",
  full: "Full",
  semi: "Semi",
  anti: "Anti",
};

type SlotNames = readonly string[];

const scanKinds: ReadonlySet<PlanNode["kind"]> = new Set([
  "seqScan",
  "indexScan",
  "virtualScan",
  "functionScan",
  "cteScan",
]);

/** A computed value of the node below is shown in parentheses. */
function upper(text: string): string {
  return text.startsWith("(") || /^("[^"]*"|[\w$]+)(\.("[^"]*"|[\w$]+))?$/.test(text) ? text : `(${text})`;
}

class Explainer {
  /** What each execParam holds, for printing. */
  readonly #params = new Map<number, string>();
  #subplans = 0;
  #initPlans = 0;
  readonly #multiple: boolean;

  constructor(readonly options: ExplainOptions) {
    this.#multiple = options.verbose === true;
  }

  #names(slots: SlotNames, subplans: Shown["children"]): DeparseNames {
    return {
      column: (relation, column) => `r${relation}.${column}`,
      slot: (slot) => slots[slot] ?? `slot${slot}`,
      execParam: (id) => this.#params.get(id) ?? `$${id}`,
      subplan: (expr) => {
        const name = `SubPlan ${++this.#subplans}`;
        const _left = expr.left?.map((item) => deparseExpr(item, this.#names(slots, subplans), true)) ?? [];
        for (const { id, value } of expr.bindings) {
          this.#params.set(id, deparseExpr(value, this.#names(slots, subplans)));
        }
        subplans.push({ relationship: "SubPlan", name, shown: this.show(expr.plan, false) });
        if (expr.hashed) return `(hashed ${name})`;
        return expr.form === "array" || expr.form === "scalar" || expr.form === "exists"
          ? `(${name})`
          : `(${name})`;
      },
    };
  }

  #expr(expr: Expr, slots: SlotNames, subplans: Shown["children"]): string {
    return deparseExpr(expr, this.#names(slots, subplans));
  }

  /** A condition, always in one pair of parentheses. */
  #condition(expr: Expr, slots: SlotNames, subplans: Shown["children"]): string {
    const text = this.#expr(expr, slots, subplans);
    return text.startsWith("(") ? text : expr.kind === "slot" ? text : `(${text})`;
  }

  /** Names of a node's output columns, as conditions above print them. */
  slotNames(node: PlanNode, qualified: boolean): string[] {
    const own = (alias: string, columns: readonly OutputColumn[]): string[] =>
      columns.map((column) =>
        qualified
          ? `${quoteIdentifier(alias)}.${quoteIdentifier(column.name)}`
          : quoteIdentifier(column.name),
      );
    switch (node.kind) {
      case "seqScan":
      case "indexScan":
        return own(node.alias, node.columns);
      case "virtualScan":
        return own(node.name, node.columns);
      case "functionScan":
        return own(node.alias ?? node.fn.name, node.columns);
      case "cteScan":
        return own(node.alias ?? node.name, node.columns);
      case "nestedLoop":
      case "hashJoin":
      case "mergeJoin": {
        const left = this.slotNames(node.left, true);
        return node.type === "semi" || node.type === "anti"
          ? left
          : [...left, ...this.slotNames(node.right, true)];
      }
      case "project": {
        const input = this.slotNames(node.input, qualified);
        return node.exprs.map((expr) => this.#quiet(expr, input));
      }
      case "projectSet": {
        const input = this.slotNames(node.input, qualified);
        return node.exprs.map((expr) =>
          expr.kind === "set"
            ? `${quoteIdentifier(expr.fn.name)}(${expr.args.map((arg) => this.#quiet(arg, input)).join(", ")})`
            : this.#quiet(expr, input),
        );
      }
      case "aggregate": {
        const input = this.slotNames(node.input, qualified);
        return [
          ...node.groups.map((expr) => this.#quiet(expr, input)),
          ...node.aggregates.map((call) => this.#aggregate(call, input)),
        ];
      }
      case "window": {
        const input = this.slotNames(node.input, qualified);
        return [
          ...input,
          ...node.calls.map(
            (call) =>
              `${call.builtin ?? call.aggregate?.name ?? ""}(${call.args.map((arg) => this.#quiet(arg, input)).join(", ")}) OVER (?)`,
          ),
        ];
      }
      case "filter":
      case "sort":
      case "topN":
      case "limit":
      case "unique":
      case "materialize":
      case "lockRows":
        return this.slotNames(node.input, qualified);
      case "initPlans":
      case "with":
        return this.slotNames(node.body, qualified);
      case "append":
        return node.columns.map((column) => quoteIdentifier(column.name));
      default:
        return node.columns.map((column) => quoteIdentifier(column.name));
    }
  }

  #quiet(expr: Expr, slots: SlotNames): string {
    return deparseExpr(expr, {
      column: (relation, column) => `r${relation}.${column}`,
      slot: (slot) => slots[slot] ?? `slot${slot}`,
      execParam: (id) => this.#params.get(id) ?? `$${id}`,
      subplan: () => "(SubPlan)",
    });
  }

  #aggregate(call: AggregateCall, slots: SlotNames): string {
    return this.#quiet(
      {
        kind: "aggregate",
        type: call.type,
        fn: call.fn,
        args: call.args,
        star: call.star,
        distinct: call.distinct,
        orderBy: call.orderBy,
        filter: call.filter,
        directArgs: call.directArgs,
        level: 0,
        owner: 0,
      },
      slots,
    );
  }

  #sortKeys(keys: readonly SortKey[], slots: SlotNames, subplans: Shown["children"]): string[] {
    return keys.map((key) => {
      return upper(this.#expr(key.expr, slots, subplans)) + direction(key);
    });
  }

  /** `joined`: more than one relation is in sight, so columns are qualified. */
  show(node: PlanNode, joined: boolean): Shown {
    const details: Shown["details"] = [];
    const children: Shown["children"] = [];
    const attributes: Shown["attributes"] = [];
    const of = (title: string, type = title): Shown => ({ title, type, node, details, children, attributes });
    const qualified = joined || this.#multiple;
    const add = (input: PlanNode, relationship = "Outer", inJoin = joined): void => {
      children.push({ relationship, shown: this.show(input, inJoin) });
    };
    switch (node.kind) {
      case "seqScan":
      case "indexScan":
        return this.#scan(node, of, this.#multiple, details, children, attributes);
      case "virtualScan": {
        const names = this.slotNames(node, this.#multiple);
        if (node.filter !== undefined)
          details.push(["Filter", this.#condition(node.filter, names, children)]);
        attributes.push(["Relation Name", node.name]);
        return of(`Seq Scan on ${quoteIdentifier(node.name)}`, "Seq Scan");
      }
      case "functionScan": {
        const alias = node.alias ?? node.fn.name;
        const shown =
          alias === node.fn.name
            ? quoteIdentifier(alias)
            : `${quoteIdentifier(node.fn.name)} ${quoteIdentifier(alias)}`;
        attributes.push(["Function Name", node.fn.name], ["Alias", alias]);
        return of(`Function Scan on ${shown}`, "Function Scan");
      }
      case "cteScan": {
        const alias = node.alias ?? node.name;
        attributes.push(["CTE Name", node.name], ["Alias", alias]);
        return of(
          `CTE Scan on ${quoteIdentifier(node.name)}${alias === node.name ? "" : ` ${quoteIdentifier(alias)}`}`,
          "CTE Scan",
        );
      }
      case "values":
        if (node.rows.length > 1) return of('Values Scan on "*VALUES*"', "Values Scan");
        if (node.rows.length === 0) details.push(["One-Time Filter", "false"]);
        return of("Result");
      case "filter": {
        const inner = this.show(node.input, joined);
        // A scan's own conditions name its columns bare.
        const bare = scanKinds.has(node.input.kind);
        const names = this.slotNames(node.input, bare ? this.#multiple : qualified);
        const extra: Shown["children"] = [];
        const text = this.#condition(node.predicate, names, extra);
        return {
          ...inner,
          node,
          details: [...inner.details, ["Filter", text]],
          children: [...inner.children, ...extra],
        };
      }
      case "project": {
        const inner = this.show(node.input, joined);
        const extra: Shown["children"] = [];
        const names = this.slotNames(node.input, qualified);
        // Subplans in the list are shown under the node that carries it.
        for (const expr of node.exprs) this.#expr(expr, names, extra);
        return { ...inner, node, children: [...inner.children, ...extra] };
      }
      case "projectSet":
        add(node.input);
        return of("ProjectSet");
      case "limit":
        add(node.input);
        return of("Limit");
      case "sort": {
        details.push([
          "Sort Key",
          this.#sortKeys(node.keys, this.slotNames(node.input, qualified), children),
        ]);
        add(node.input);
        return of("Sort");
      }
      case "topN": {
        const sortDetails: Shown["details"] = [
          ["Sort Key", this.#sortKeys(node.keys, this.slotNames(node.input, qualified), children)],
        ];
        const sort: Shown = {
          title: "Sort",
          type: "Sort",
          node,
          details: sortDetails,
          children: [{ relationship: "Outer", shown: this.show(node.input, joined) }],
          attributes: [],
        };
        children.push({ relationship: "Outer", shown: sort });
        return of("Limit");
      }
      case "unique":
        add(node.input);
        return of("Unique");
      case "materialize":
        add(node.input);
        return of("Materialize");
      case "lockRows":
        add(node.input);
        return of("LockRows");
      case "append":
        for (const input of node.inputs) add(input, "Member", false);
        return of("Append");
      case "setOperation": {
        const command = `${node.operation === "intersect" ? "Intersect" : "Except"}${node.all ? " All" : ""}`;
        add(node.left, "Outer", false);
        add(node.right, "Inner", false);
        attributes.push(["Strategy", "Hashed"], ["Command", command]);
        return of(`HashSetOp ${command}`, "SetOp");
      }
      case "aggregate": {
        const names = this.slotNames(node.input, qualified);
        if (node.groups.length > 0) {
          details.push(["Group Key", node.groups.map((expr) => upper(this.#quiet(expr, names)))]);
        }
        add(node.input);
        const title =
          node.strategy === "hash"
            ? "HashAggregate"
            : node.strategy === "sorted"
              ? node.aggregates.length === 0
                ? "Group"
                : "GroupAggregate"
              : "Aggregate";
        attributes.push([
          "Strategy",
          node.strategy === "hash" ? "Hashed" : node.strategy === "sorted" ? "Sorted" : "Plain",
        ]);
        return of(title, "Aggregate");
      }
      case "window":
        add(node.input);
        return of("WindowAgg");
      case "nestedLoop": {
        const names = [...this.slotNames(node.left, true), ...this.slotNames(node.right, true)];
        for (const { id, value } of node.bindings) this.#params.set(id, this.#quiet(value, names));
        if (node.condition !== undefined) {
          details.push(["Join Filter", this.#condition(node.condition, names, children)]);
        }
        add(node.left, "Outer", true);
        add(node.right, "Inner", true);
        attributes.push(["Join Type", joinNames[node.type]]);
        return of(
          `Nested Loop${node.type === "inner" ? "" : ` ${joinNames[node.type]} Join`}`,
          "Nested Loop",
        );
      }
      case "hashJoin": {
        const left = this.slotNames(node.left, true);
        const right = this.slotNames(node.right, true);
        details.push(["Hash Cond", this.#keys(node.leftKeys, node.rightKeys, left, right)]);
        if (node.condition !== undefined) {
          details.push(["Join Filter", this.#condition(node.condition, [...left, ...right], children)]);
        }
        add(node.left, "Outer", true);
        const inner = this.show(node.right, true);
        children.push({
          relationship: "Inner",
          shown: {
            title: "Hash",
            type: "Hash",
            node: node.right,
            details: [],
            children: [{ relationship: "Outer", shown: inner }],
            attributes: [],
          },
        });
        attributes.push(["Join Type", joinNames[node.type]]);
        return of(`Hash ${node.type === "inner" ? "" : `${joinNames[node.type]} `}Join`, "Hash Join");
      }
      case "mergeJoin": {
        const left = this.slotNames(node.left, true);
        const right = this.slotNames(node.right, true);
        const exprs = (keys: readonly SortKey[]): Expr[] => keys.map((key) => key.expr);
        details.push(["Merge Cond", this.#keys(exprs(node.leftKeys), exprs(node.rightKeys), left, right)]);
        if (node.condition !== undefined) {
          details.push(["Join Filter", this.#condition(node.condition, [...left, ...right], children)]);
        }
        add(node.left, "Outer", true);
        add(node.right, "Inner", true);
        attributes.push(["Join Type", joinNames[node.type]]);
        return of(`Merge ${node.type === "inner" ? "" : `${joinNames[node.type]} `}Join`, "Merge Join");
      }
      case "with": {
        const inner = this.show(node.body, joined);
        const ctes: Shown["children"] = node.ctes.map((cte) => ({
          relationship: "InitPlan",
          name: `CTE ${quoteIdentifier(cte.name)}`,
          shown:
            cte.recursive === undefined
              ? this.show(cte.plan, false)
              : {
                  title: "Recursive Union",
                  type: "Recursive Union",
                  node: cte.plan,
                  details: [],
                  children: [
                    { relationship: "Outer", shown: this.show(cte.plan, false) },
                    { relationship: "Inner", shown: this.show(cte.recursive.step, false) },
                  ],
                  attributes: [],
                },
        }));
        return { ...inner, node, children: [...ctes, ...inner.children] };
      }
      case "initPlans": {
        const plans: Shown["children"] = [];
        for (const init of node.plans) {
          const number = ++this.#initPlans;
          this.#params.set(init.id, `$${init.id}`);
          plans.push({
            relationship: "InitPlan",
            name: `InitPlan ${number} (returns $${init.id})`,
            shown: this.show(init.plan, false),
          });
        }
        const inner = this.show(node.body, joined);
        return { ...inner, node, children: [...plans, ...inner.children] };
      }
      case "modify": {
        const name = this.#relationName(node.tableId);
        const operation = node.operation[0]!.toUpperCase() + node.operation.slice(1);
        if (node.onConflict !== undefined) {
          details.push(["Conflict Resolution", node.onConflict.action.toUpperCase()]);
          if (node.onConflict.indexIds.length > 0) {
            details.push([
              "Conflict Arbiter Indexes",
              node.onConflict.indexIds.map((id) => this.options.catalog.indexById(id)?.name ?? String(id)),
            ]);
          }
        }
        add(node.input, "Outer", false);
        attributes.push(["Operation", operation], ["Relation Name", name]);
        return of(`${operation} on ${quoteIdentifier(name)}`, "ModifyTable");
      }
    }
  }

  #relationName(id: number): string {
    return this.options.catalog.relationById(id)?.name ?? String(id);
  }

  #keys(left: readonly Expr[], right: readonly Expr[], leftNames: SlotNames, rightNames: SlotNames): string {
    const parts = left.map(
      (key, index) => `(${this.#quiet(key, leftNames)} = ${this.#quiet(right[index]!, rightNames)})`,
    );
    return parts.length === 1 ? parts[0]! : `(${parts.join(" AND ")})`;
  }

  #scan(
    node: PlanNode & ScanNode,
    of: (title: string, type?: string) => Shown,
    qualified: boolean,
    details: Shown["details"],
    children: Shown["children"],
    attributes: Shown["attributes"],
  ): Shown {
    const relation = this.#relationName(node.tableId);
    const shown =
      node.alias === relation
        ? quoteIdentifier(relation)
        : `${quoteIdentifier(relation)} ${quoteIdentifier(node.alias)}`;
    const names = this.slotNames(node, qualified);
    let title = `Seq Scan on ${shown}`;
    let type = "Seq Scan";
    if (node.index !== undefined) {
      const index = this.options.catalog.indexById(node.index.indexId);
      const name = index?.name ?? String(node.index.indexId);
      title = `Index Scan ${node.index.backward ? "Backward " : ""}using ${quoteIdentifier(name)} on ${shown}`;
      type = "Index Scan";
      attributes.push(["Scan Direction", node.index.backward ? "Backward" : "Forward"], ["Index Name", name]);
      const table = this.options.catalog.relationById(node.tableId);
      const keyNames = (index?.columns ?? []).map((column) => {
        if (column.column === undefined) return `(${column.expressionSql})`;
        const text = quoteIdentifier(
          table !== undefined && "columns" in table ? table.columns[column.column]!.name : "?",
        );
        return qualified ? `${quoteIdentifier(node.alias)}.${text}` : text;
      });
      const condition = this.#indexCondition(node.index.bounds, keyNames);
      if (condition !== undefined) details.push(["Index Cond", condition]);
    }
    attributes.push(["Relation Name", relation], ["Alias", node.alias]);
    if (node.filter !== undefined) details.push(["Filter", this.#condition(node.filter, names, children)]);
    return of(title, type);
  }

  #indexCondition(bounds: IndexBounds, keys: readonly string[]): string | undefined {
    const parts: string[] = [];
    bounds.equals.forEach((value, index) => {
      parts.push(`(${keys[index]} = ${this.#quiet(value, [])})`);
    });
    const key = keys[bounds.equals.length] ?? "?";
    if (bounds.anyOf !== undefined) parts.push(`(${key} = ANY (${this.#quiet(bounds.anyOf, [])}))`);
    if (bounds.lower !== undefined) {
      parts.push(`(${key} ${bounds.lower.inclusive ? ">=" : ">"} ${this.#quiet(bounds.lower.value, [])})`);
    }
    if (bounds.upper !== undefined) {
      parts.push(`(${key} ${bounds.upper.inclusive ? "<=" : "<"} ${this.#quiet(bounds.upper.value, [])})`);
    }
    if (bounds.nullTest !== undefined)
      parts.push(`(${key} IS ${bounds.nullTest === "isNull" ? "" : "NOT "}NULL)`);
    if (parts.length === 0) return undefined;
    return parts.length === 1 ? parts[0] : `(${parts.join(" AND ")})`;
  }
}
