/**
 * Connection rules: which one decides about an attempt to log in, and what may be shown of it. Pure functions of a catalog.
 *
 * Rules are asked in their order, the built-in one last; the first that matches database, address, encryption and role
 * decides. No match refuses.
 *
 * Which roles there are, and which of them have rules of their own, is nobody's business who has not logged in: what a client is
 * shown must not depend on the role's name. So a decision says, beside what this user has to prove (`method`), what any
 * user might have to prove in his place (`shown`): whoever is refused goes through the same exchange as somebody who knows no
 * password.
 *
 * Invariants: an unknown name takes the same steps as a known one, so `decide` looks names up in sets that were made before;
 * a rule never matches more when one of its objects is gone.
 */
import type {
  CatalogObject,
  CatalogReader,
  ConnectionMethod,
  ConnectionRuleDesc,
  ObjectId,
  RoleDesc,
} from "../model/schema.js";
import { defaultConnectionRuleId } from "../model/schema.js";
import { addressBytes, liesIn, type Network, parseNetwork } from "./addresses.js";
import { rolesOf } from "./privileges.js";

export const defaultConnectionRule: ConnectionRuleDesc = {
  kind: "connectionRule",
  id: defaultConnectionRuleId,
  name: "default_rule",
  ordinal: Number.MAX_SAFE_INTEGER,
  members: false,
  tls: "optional",
  method: "scram",
};

/** What is asked of a catalog: the applied state's, or a draft's. */
export interface RuleCatalog extends CatalogReader {
  get(id: ObjectId): { readonly kind: string } | undefined;
  connectionRules(): readonly ConnectionRuleDesc[];
}

/** An attempt to log in, as far as rules look at it. */
export interface LoginAttempt {
  readonly user: string;
  readonly database: string;
  /** Without a port; anything that is no address comes from no network. */
  readonly address: string;
  readonly encrypted: boolean;
}

export interface LoginDecision {
  /** Undefined: no rule matches. */
  readonly rule: ConnectionRuleDesc | undefined;
  readonly method: ConnectionMethod;
  /** What users of any name might meet here: `method` is among them. */
  readonly shown: ReadonlySet<ConnectionMethod>;
}

/** All rules in the order in which they are asked. */
export function orderedRules(catalog: Pick<RuleCatalog, "connectionRules">): readonly ConnectionRuleDesc[] {
  const made = catalog.connectionRules();
  const last = made.find((rule) => rule.id === defaultConnectionRuleId) ?? defaultConnectionRule;
  const others = made.filter((rule) => rule.id !== defaultConnectionRuleId);
  others.sort((left, right) => left.ordinal - right.ordinal || left.id - right.id);
  return [...others, last];
}

interface ReadyRule {
  readonly rule: ConnectionRuleDesc;
  readonly roles: ReadonlySet<string> | undefined;
  readonly databases: ReadonlySet<string> | undefined;
  readonly networks: readonly Network[] | undefined;
}

/** Names instead of ids, networks instead of texts; made once for each version of the catalog. */
const ready = new WeakMap<object, { readonly version: number; readonly rules: readonly ReadyRule[] }>();

function readyRules(catalog: RuleCatalog): readonly ReadyRule[] {
  const known = ready.get(catalog);
  if (known?.version === catalog.version) return known.rules;
  const rules = orderedRules(catalog).map(
    (rule): ReadyRule => ({
      rule,
      roles: rule.roles && roleNames(catalog, rule.roles, rule.members),
      databases: rule.databases && databaseNames(catalog, rule.databases),
      networks: rule.addresses?.map(parseNetwork),
    }),
  );
  ready.set(catalog, { version: catalog.version, rules });
  return rules;
}

function roleNames(catalog: RuleCatalog, ids: readonly ObjectId[], members: boolean): Set<string> {
  const names = new Set<string>();
  for (const id of ids) {
    const role = catalog.roleById(id);
    if (role !== undefined) names.add(role.name);
  }
  if (!members) return names;
  for (const object of catalog.objects())
    if (object.kind === "role" && holdsOne(catalog, object, ids)) names.add(object.name);
  return names;
}

function holdsOne(catalog: RuleCatalog, role: RoleDesc, ids: readonly ObjectId[]): boolean {
  const held = rolesOf(catalog, role.id, false);
  return ids.some((id) => held.has(id));
}

function databaseNames(catalog: RuleCatalog, ids: readonly ObjectId[]): Set<string> {
  const names = new Set<string>();
  for (const id of ids) {
    const object = catalog.get(id) as CatalogObject | undefined;
    if (object?.kind === "database") names.add(object.name);
  }
  return names;
}

/** Whether a rule is about attempts like this one, whoever makes them. */
function isAbout(
  { rule, databases, networks }: ReadyRule,
  { database, encrypted }: LoginAttempt,
  address: readonly number[] | undefined,
): boolean {
  if (rule.tls === (encrypted ? "none" : "required")) return false;
  if (databases !== undefined && !databases.has(database)) return false;
  return networks === undefined || networks.some((network) => liesIn(address, network));
}

/** `ignoring`: as if nobody had made any rule. */
export function decide(catalog: RuleCatalog, attempt: LoginAttempt, ignoring = false): LoginDecision {
  if (ignoring)
    return { rule: defaultConnectionRule, method: defaultConnectionRule.method, shown: onlyPasswords };
  const address = addressBytes(attempt.address);
  const shown = new Set<ConnectionMethod>();
  let decided: ConnectionRuleDesc | undefined;
  for (const ready of readyRules(catalog)) {
    if (!isAbout(ready, attempt, address)) continue;
    const { rule, roles } = ready;
    shown.add(rule.method);
    const matches = roles === undefined || roles.has(attempt.user);
    if (matches) decided ??= rule;
    // Behind a rule for everybody nobody gets.
    if (roles === undefined) return { rule: decided, method: decided!.method, shown };
  }
  shown.add("reject");
  return { rule: decided, method: decided?.method ?? "reject", shown };
}
const onlyPasswords: ReadonlySet<ConnectionMethod> = new Set([defaultConnectionRule.method]);
