/**
 * The security bundle's audit rules (SEC-36): whose statements on what are told of in the audit chain, beside what is told of anyway.
 *
 * A rule is asked about a plan before its first row is read, and about a statement that failed without one. What it tells of a success
 * is written as the statement begins, since who breaks off has seen some rows; how many there were, when it ends. Statements
 * that change the catalog or rights leave events of their own whatever the rules say; of them rules add failures.
 *
 * Invariant: of several rules that match, what any of them asks for is told, once.
 */
import { assert } from "../base/errors.js";
import type { AuditRule, ClusterView } from "../cluster/contract.js";
import type { CatalogReader, ObjectId } from "../model/schema.js";
import { type AuditedLetter, auditedActions } from "./ddl/audit.js";

interface Need {
  readonly relationId: ObjectId;
  readonly privilege: string;
  readonly columns: readonly number[];
}

/** What the rules that match ask for. */
export interface RuledUse {
  readonly rules: readonly string[];
  readonly success: boolean;
  readonly failure: boolean;
  readonly parameters: boolean;
  readonly rowCounts: boolean;
  /** Tables and what is done with them; with COLUMN their columns too. */
  readonly detail: "STATEMENT" | "OBJECT" | "COLUMN";
}

const details = ["STATEMENT", "OBJECT", "COLUMN"] as const;

export class BundleAuditRules {
  #known: readonly AuditRule[] = [];
  #knownVersion = 0;
  constructor(private readonly admin: { readonly view: Pick<ClusterView, "bundle" | "bundleRules"> }) {}

  /** Asked at every execution. */
  get isEmpty(): boolean {
    return this.#rules().length === 0;
  }

  ofPlan(needs: readonly Need[], roles: readonly ObjectId[]): RuledUse | undefined {
    const touched = ({ objects }: AuditRule): boolean =>
      objects.length === 0 || needs.some(({ relationId }) => objects.includes(relationId));
    return merged(this.#rules().filter((rule) => isOf(rule, roles) && isData(rule) && touched(rule)));
  }
  /** Of what its plan is not known, or never was. */
  ofFailed(roles: readonly ObjectId[]): RuledUse | undefined {
    return merged(
      this.#rules().filter((rule) => isOf(rule, roles) && (!isData(rule) || rule.objects.length === 0)),
    );
  }

  #rules(): readonly AuditRule[] {
    const { view } = this.admin;
    const { version } = view.bundle;
    if (this.#knownVersion !== version) {
      const rules = view.bundleRules(version);
      assert(rules !== undefined, "the current security bundle is always whole");
      this.#known = rules.audit;
      this.#knownVersion = version;
    }
    return this.#known;
  }
}

/** By the session's role and the current one; those of PUBLIC are everybody's. */
function isOf({ users }: AuditRule, roles: readonly ObjectId[]): boolean {
  return users.length === 0 || users.some((one) => one === 0 || roles.includes(one));
}
function isData({ scope }: AuditRule): boolean {
  return scope === "DML" || scope === "ALL";
}

function merged(rules: readonly AuditRule[]): RuledUse | undefined {
  if (rules.length === 0) return undefined;
  const any = (asks: (rule: AuditRule) => boolean): boolean => rules.some(asks);
  return {
    rules: rules.map(({ name }) => name).sort(),
    success: any((one) => one.success),
    failure: any((one) => one.failure),
    parameters: any((one) => one.parameters),
    rowCounts: any((one) => one.rowCounts),
    detail: details[Math.max(...rules.map(({ level }) => details.indexOf(level)))]!,
  };
}

/** Names of what a plan reads and writes, as far as a rule asks for them. */
export function usesOf(
  catalog: CatalogReader,
  needs: readonly Need[],
  detail: RuledUse["detail"],
): { readonly objects?: string[]; readonly actions?: string[]; readonly columns?: string[] } {
  if (detail === "STATEMENT") return {};
  const objects = new Set<string>();
  const actions = new Set<string>();
  const columns = new Set<string>();
  for (const { relationId, privilege, columns: places } of needs) {
    const relation = catalog.relationById(relationId);
    if (relation === undefined || !(privilege in auditedActions)) continue;
    const name = `${catalog.schemaById(relation.schemaId)?.name ?? ""}.${relation.name}`;
    objects.add(name);
    actions.add(auditedActions[privilege as AuditedLetter]);
    if (relation.kind === "sequence") continue;
    for (const place of places) columns.add(`${name}.${relation.columns[place]?.name ?? place + 1}`);
  }
  return {
    objects: [...objects].sort(),
    actions: [...actions].sort(),
    ...(detail === "COLUMN" && { columns: [...columns].sort() }),
  };
}
