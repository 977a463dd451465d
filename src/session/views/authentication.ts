/**
 * Rows of the views about how clients come in: sys.connection_rules, pg_stat_ssl. Rules tell an attacker where to try, so only
 * who may change them sees them; of other users' connections nobody but a superuser sees more than whether they are encrypted.
 */
import { parseNumeric } from "../../model/numeric.js";
import { defaultConnectionRuleId, type ObjectId } from "../../model/schema.js";
import { oids } from "../../model/types.js";
import { PgArray } from "../../model/value.js";
import { orderedRules } from "../../security/index.js";
import { holdsOnCluster } from "../cluster-call.js";
import { methodText } from "../ddl/connection-rules.js";
import type { Provider, ViewContext } from "./context.js";
import type { CatalogRow } from "./registry.js";

const texts = (values: readonly string[]): PgArray => PgArray.of(oids.text, values);

function* connectionRules({ catalog, roleId }: ViewContext): Iterable<CatalogRow> {
  if (!holdsOnCluster(catalog, roleId, "CLUSTER_SECURITY_ADMIN")) return;
  const databases = new Map<ObjectId, string>();
  for (const object of catalog.objects())
    if (object.kind === "database") databases.set(object.id, object.name);
  let ordinal = 0;
  for (const rule of orderedRules(catalog)) {
    const roles = rule.roles?.map((id) => catalog.roleById(id)?.name ?? String(id));
    yield {
      ordinal: ++ordinal,
      name: rule.name,
      roles: texts(roles?.map((name) => (rule.members ? `members of ${name}` : name)) ?? ["all"]),
      databases: texts(rule.databases?.map((id) => databases.get(id) ?? String(id)) ?? ["all"]),
      addresses: texts(rule.addresses ?? ["all"]),
      tls: rule.tls,
      method: methodText[rule.method],
      built_in: rule.id === defaultConnectionRuleId,
    };
  }
}

function* statSsl(context: ViewContext): Iterable<CatalogRow> {
  for (const session of context.sessions()) {
    const own = context.isSuperuser || session.userId === context.roleId;
    const { tls, certificate } = session;
    yield {
      pid: session.pid,
      ssl: session.encrypted,
      version: own ? (tls?.version ?? null) : null,
      cipher: own ? (tls?.cipher ?? null) : null,
      bits: own ? (tls?.bits ?? null) : null,
      client_dn: own ? (certificate?.subjectName ?? null) : null,
      client_serial:
        own && certificate !== undefined ? parseNumeric(BigInt(`0x${certificate.serial}`).toString()) : null,
      issuer_dn: own ? (certificate?.issuerName ?? null) : null,
    };
  }
}

export const authenticationProviders: Readonly<Record<string, Provider>> = {
  "sys.connection_rules": connectionRules,
  pg_stat_ssl: statSsl,
};
