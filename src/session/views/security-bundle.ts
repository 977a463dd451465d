/**
 * Rows of the views about security bundles (SEC-20): history and convergence, which everybody may read, and the rules of the
 * current one and of the draft, which tell an attacker what to go round: only who may change them sees them.
 */
import type { BundleRules, RuleSet } from "../../cluster/contract.js";
import { ruleSets } from "../../cluster/index.js";
import { canonicalJsonb } from "../../model/json.js";
import type { ObjectId } from "../../model/schema.js";
import { formatType } from "../../model/types.js";
import { holdsOnCluster } from "../cluster-call.js";
import { postgresEpochMs } from "../eval-context.js";
import type { Provider, ViewContext } from "./context.js";
import { qualifiedName } from "./definitions.js";
import type { CatalogRow } from "./registry.js";

/** As a timestamptz. */
const time = (ms: number): number => Math.round((ms - postgresEpochMs) * 1000);

function* history({ cluster: { view } }: ViewContext): Iterable<CatalogRow> {
  const row = (version: number, hash: string, createdAt: number, description: string): CatalogRow => {
    const epoch = view.epochs[version - 1];
    return {
      bundle_version: version,
      bundle_hash: hash,
      created_at: time(createdAt),
      created_by: epoch?.by ?? null,
      description,
      applied_at: epoch === undefined ? null : time(epoch.epoch.publishedAt),
    };
  };
  for (const { version, hash, createdAt, description, supersededAt, content } of view.pastBundles)
    yield {
      ...row(version, hash, createdAt, description),
      superseded_at: time(supersededAt),
      is_whole: content !== undefined,
    };
  const { version, hash } = view.bundle;
  const { createdAt = 0, description = "" } = view.signedBundle?.bundle ?? {};
  yield { ...row(version, hash, createdAt, description), superseded_at: null, is_whole: true };
}

/** By what each node has attested: the newest epoch's bundle is the one that is in force. */
function* bundleConvergence({ cluster: { view } }: ViewContext): Iterable<CatalogRow> {
  const isConverging = view.epochs.at(-1)?.state === "CONVERGING";
  for (const { uuid, state } of view.members.values()) {
    if (state === "REMOVED") continue;
    const word = view.bundleWords.get(uuid);
    const isCurrent = word?.version === view.bundle.version && word.hash === view.bundle.hash;
    yield {
      node_uuid: uuid,
      version: word?.version ?? null,
      hash: word?.hash ?? null,
      applied_at: word === undefined ? null : time(word.appliedAt),
      status: isCurrent
        ? "CONVERGED"
        : state === "ENABLED" && isConverging
          ? "CONVERGING"
          : word === undefined
            ? "UNKNOWN"
            : "BEHIND",
    };
  }
}

function* ruleRows({ catalog }: ViewContext, rules: BundleRules): Iterable<CatalogRow> {
  const tables = (ids: readonly ObjectId[]): string[] => ids.map((id) => qualifiedName(catalog, id));
  const roles = (ids: readonly ObjectId[]): string[] =>
    ids.map((id) => (id === 0 ? "public" : (catalog.roleById(id)?.name ?? String(id))));
  const row = (set: RuleSet, name: string, table: ObjectId | null, definition: object): CatalogRow => ({
    rule_set: set.toUpperCase(),
    rule_name: name,
    relation: table === null ? null : qualifiedName(catalog, table),
    definition: canonicalJsonb(JSON.stringify(definition)),
  });
  const masks = new Map(rules.masking.map((one) => [one.id, one.name]));
  for (const one of rules.rls)
    yield row("rls", one.name, one.table, {
      kind: one.kind.toUpperCase(),
      command: one.command.toUpperCase(),
      roles: roles(one.roles),
      using: one.using,
      with_check: one.check,
      applies_to_owner: one.appliesToOwner,
    });
  for (const one of rules.cls) {
    const relation = catalog.relationById(one.table);
    const column = relation?.kind === "table" ? relation.columns[one.column - 1]?.name : undefined;
    yield row("cls", one.name, one.table, {
      column: column ?? one.column,
      action: one.action.toUpperCase(),
      granted: roles(one.granted),
      mask: one.mask === undefined ? undefined : masks.get(one.mask),
    });
  }
  for (const { name, input, output, body, classification } of rules.masking)
    yield row("masking", name, null, {
      takes: formatType(input.oid, input.typmod),
      returns: formatType(output.oid, output.typmod),
      body,
      classification,
    });
  for (const one of rules.audit)
    yield row("audit", one.name, null, {
      level: one.level,
      scope: one.scope,
      objects: tables(one.objects),
      users: roles(one.users),
      success: one.success,
      failure: one.failure,
      parameters: one.parameters,
      row_count: one.rowCounts,
    });
}

function maySee({ catalog, roleId }: ViewContext): boolean {
  return holdsOnCluster(catalog, roleId, "CLUSTER_SECURITY_ADMIN");
}

function* currentRules(context: ViewContext): Iterable<CatalogRow> {
  const { view } = context.cluster;
  const rules = view.bundleRules(view.bundle.version);
  if (rules === undefined || !maySee(context)) return;
  for (const row of ruleRows(context, rules)) yield { bundle_version: view.bundle.version, ...row };
}

/** One row for each rule; of an empty draft one without a rule. */
function* draft(context: ViewContext): Iterable<CatalogRow> {
  const open = context.cluster.view.bundleDraft;
  if (open === undefined || !maySee(context)) return;
  const facts: CatalogRow = {
    opened_by: open.by,
    opened_at: time(open.openedAt),
    bundle_version: open.version ?? null,
    from_version: open.from,
    description: open.description,
  };
  if (ruleSets.every((set) => open.rules[set].length === 0))
    yield { ...facts, rule_set: null, rule_name: null, relation: null, definition: null };
  for (const row of ruleRows(context, open.rules)) yield { ...facts, ...row };
}

export const bundleProviders: Readonly<Record<string, Provider>> = {
  security_bundle_history: history,
  security_bundle_convergence: bundleConvergence,
  security_bundle_rules: currentRules,
  security_bundle_draft: draft,
};
