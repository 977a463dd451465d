/**
 * The rules of a security bundle as the planner takes them (`SecurityRules`): the current one's for every session, and
 * another's for one session that tries it (SEC-17).
 *
 * Invariant: two bundles never have the same version here, so a plan made under one is not run under the other.
 */
import { assert, DbError } from "../base/errors.js";
import type { BundleRules, ClusterView } from "../cluster/contract.js";
import { unenforcedIn } from "../cluster/index.js";
import type { TableDesc } from "../model/schema.js";
import type { ColumnRule, RowRule, SecurityRules } from "../model/security-rules.js";
import { holdsOnCluster } from "./cluster-call.js";
import type { ServerSession } from "./session.js";

/** By number of the table. */
interface ByTable {
  readonly rows: ReadonlyMap<number, readonly RowRule[]>;
  readonly columns: ReadonlyMap<number, readonly ColumnRule[]>;
}

function grouped<In extends { readonly table: number }, Out>(
  rules: readonly In[],
  toOut: (rule: In) => Out,
): ReadonlyMap<number, readonly Out[]> {
  const out = new Map<number, Out[]>();
  for (const rule of rules) {
    const known = out.get(rule.table);
    if (known === undefined) out.set(rule.table, [toOut(rule)]);
    else known.push(toOut(rule));
  }
  return out;
}

function byTable({ rls, cls, masking }: BundleRules): ByTable {
  const masks = new Map(masking.map((one) => [one.id, one.body]));
  const ordered = [...rls].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    rows: grouped(ordered, ({ name, kind, command, roles, using, check, appliesToOwner }) => ({
      name,
      permissive: kind === "permissive",
      command,
      roles,
      bindsOwner: appliesToOwner,
      usingSql: using,
      checkSql: check,
    })),
    columns: grouped(cls, ({ name, column, action, granted, mask }): ColumnRule => {
      const head = { name, column: column - 1, grantedRoles: granted };
      if (action !== "mask") return { ...head, action };
      const expressionSql = masks.get(mask!);
      assert(expressionSql !== undefined, "a CLS policy masks with a function of its bundle");
      return { ...head, action, expressionSql };
    }),
  };
}

const none: readonly never[] = [];

/** Of the newest epoch's bundle, as this node has it. */
export class BundleSecurityRules implements SecurityRules {
  #known: ByTable | undefined;
  #knownVersion = 0;
  #problem: DbError | undefined;
  constructor(private readonly admin: { readonly view: Pick<ClusterView, "bundle" | "bundleRules"> }) {}

  get version(): number {
    return this.admin.view.bundle.version;
  }
  /** Rules that this version does not keep: it serves nobody then. */
  get problem(): DbError | undefined {
    this.#rules();
    return this.#problem;
  }
  rowRulesOf(table: TableDesc): readonly RowRule[] {
    return this.#rules().rows.get(table.id) ?? none;
  }
  columnRulesOf(table: TableDesc): readonly ColumnRule[] {
    return this.#rules().columns.get(table.id) ?? none;
  }

  #rules(): ByTable {
    const { view } = this.admin;
    const { version } = view.bundle;
    if (this.#known === undefined || this.#knownVersion !== version) {
      const rules = view.bundleRules(version);
      // Better nobody is served than that somebody is served without them.
      assert(rules !== undefined, "the current security bundle is always whole");
      this.#known = byTable(rules);
      this.#problem = unkept(rules);
      this.#knownVersion = version;
    }
    return this.#known;
  }
}

function unkept(rules: BundleRules): DbError | undefined {
  const open = unenforcedIn(rules);
  if (open === undefined) return undefined;
  return new DbError("cannotConnectNow", "this node does not keep the cluster's security rules", {
    detail: `BUNDLE_NOT_ENFORCED: ${open}. A newer version of the server has published them.`,
    hint: "Start this node with that version.",
  });
}

/**
 * What sessions try: each set of rules has a version of its own, below those of bundles, as long as it is the same. A draft's
 * rules are another object with every change; a bundle that is kept never changes.
 */
export class TriedBundles {
  readonly #drafts = new WeakMap<BundleRules, SecurityRules>();
  readonly #kept = new Map<number, SecurityRules>();
  #last = -(2 ** 40);

  ofDraft(rules: BundleRules): SecurityRules {
    let known = this.#drafts.get(rules);
    if (known === undefined) {
      known = fixedRules(rules, --this.#last);
      this.#drafts.set(rules, known);
    }
    return known;
  }
  ofKept(version: number, rules: () => BundleRules | undefined): SecurityRules | undefined {
    const known = this.#kept.get(version);
    if (known !== undefined) return known;
    const read = rules();
    if (read === undefined) return undefined;
    const made = fixedRules(read, -version);
    if (this.#kept.size >= keptTriedMax) this.#kept.clear();
    this.#kept.set(version, made);
    return made;
  }
}
const keptTriedMax = 16;

function fixedRules(rules: BundleRules, version: number): SecurityRules {
  const { rows, columns } = byTable(rules);
  return {
    version,
    rowRulesOf: (table) => rows.get(table.id) ?? none,
    columnRulesOf: (table) => columns.get(table.id) ?? none,
  };
}

/**
 * The rules of the draft, or of a bundle that is kept, for one session that tries them. The draft has the number that it
 * was opened with, or else that of the next epoch.
 * @throws DbError insufficientPrivilege (42501), invalidParameterValue (22023): there is no such version
 */
export function triedRules(session: ServerSession, version: number): SecurityRules {
  // Who has logged in: an administrator tries the rules in the role of somebody else.
  const { catalog, loginRoleId } = session;
  if (
    catalog.roleById(loginRoleId) === undefined ||
    !holdsOnCluster(catalog, loginRoleId, "CLUSTER_SECURITY_ADMIN")
  )
    throw new DbError("insufficientPrivilege", "permission denied to try a security bundle", {
      detail: "User does not have CLUSTER_SECURITY_ADMIN privilege.",
    });
  const { view } = session.server.admin;
  const draft = view.bundleDraft;
  const next = (view.epochs.at(-1)?.epoch.number ?? 0) + 1;
  const isDraft = draft !== undefined && version === (draft.version ?? next);
  const { triedBundles } = session.server;
  const rules = isDraft
    ? triedBundles.ofDraft(draft.rules)
    : triedBundles.ofKept(version, () => view.bundleRules(version));
  if (rules === undefined)
    throw new DbError("invalidParameterValue", `there is no security bundle ${version} to be tried`, {
      detail: draft === undefined ? "No draft is open." : `The draft has version ${draft.version ?? next}.`,
      hint: "SET scratchbird.test_bundle_version = 0 goes back to the current one.",
    });
  return rules;
}
