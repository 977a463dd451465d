/** EXPLAIN [ANALYZE]: the plan as text or JSON, with what really happened where it was run. */
import { DbError, notSupported } from "../base/errors.js";
import { buildPlan, type Instrumentation, runPlan } from "../exec/index.js";
import type { Explain, Option } from "../sql/ast.js";

import { explainPlan } from "../sql/index.js";

import type { OutputColumn } from "../sql/plan.js";
import { isPlannable, type UtilityResult } from "./prepared.js";
import { type PreparedPlan, planQuery } from "./queries.js";
import { RunningContext } from "./running.js";
import type { ServerSession } from "./session.js";

const isOn = (option: Option): boolean => {
  const { value } = option;
  if (value === undefined) return true;
  if (value.kind === "boolean") return value.value;
  return "text" in value && ["true", "on", "1"].includes(value.text.toLowerCase());
};

function formatOf(options: readonly Option[]): string {
  const option = options.find((one) => one.name === "format");
  return option?.value !== undefined && "text" in option.value ? option.value.text.toLowerCase() : "text";
}

export function explainColumns(ast: Explain): readonly OutputColumn[] {
  return [{ name: "QUERY PLAN", type: { oid: formatOf(ast.options) === "json" ? 114 : 25, typmod: -1 } }];
}

export async function explain(session: ServerSession, ast: Explain): Promise<UtilityResult> {
  const known = [
    "analyze",
    "verbose",
    "costs",
    "settings",
    "generic_plan",
    "buffers",
    "wal",
    "timing",
    "summary",
    "format",
  ];
  for (const option of ast.options) {
    if (!known.includes(option.name))
      throw new DbError("syntaxError", `unrecognized EXPLAIN option "${option.name}"`, {
        position: option.position,
      });
  }
  const flag = (name: string, otherwise: boolean): boolean => {
    const option = ast.options.filter((one) => one.name === name).at(-1);
    return option === undefined ? otherwise : isOn(option);
  };
  const format = formatOf(ast.options);
  if (format !== "text" && format !== "json")
    throw notSupported(`EXPLAIN (FORMAT ${format.toUpperCase()})`, ast.position);
  const inner = ast.statement.kind === "createTableAs" ? ast.statement.source : ast.statement;
  if (!isPlannable(inner)) throw notSupported(`EXPLAIN of ${inner.kind}`, ast.position);
  const started = session.clock.monotonic();
  const analyze = flag("analyze", false);
  const make = (): PreparedPlan => planQuery(inner, session.bindEnv([], undefined, true), session);
  let plan = make();
  const planningMs = session.clock.monotonic() - started;
  session.shard.admit(session.catalog, session.currentRoleId, plan.privileges);
  let instrumentation: Instrumentation | undefined;
  let executionMs: number | undefined;
  if (analyze) {
    plan = await session.lockedPlan(make);
    session.auditUse(plan);
    instrumentation = { clock: () => session.clock.monotonic(), nodes: new Map() };
    const context = new RunningContext(session, session.workMemory());
    const operator = buildPlan(plan.plan, { ...session.buildContext(), instrument: instrumentation });
    context.transaction = session.transaction.rows();
    context.snapshot = session.engine.statementSnapshot(context.transaction);
    const begun = session.clock.monotonic();
    try {
      await runPlan(operator, context, plan.columns.length, {
        clock: session.clock,
        checks: context.checks,
        onBatch: () => true,
      });
    } finally {
      if (context.transaction.state === "active") session.engine.releaseSnapshot(context.transaction);
    }
    executionMs = session.clock.monotonic() - begun;
  }
  const lines = explainPlan(plan, {
    catalog: session.catalog,
    format,
    costs: flag("costs", true),
    verbose: flag("verbose", false),
    timing: flag("timing", true),
    summary: flag("summary", analyze),
    planningMs,
    ...(instrumentation === undefined ? {} : { nodes: instrumentation.nodes, executionMs: executionMs! }),
  });
  return { tag: "EXPLAIN", columns: explainColumns(ast), rows: lines.map((line) => [line]) };
}
