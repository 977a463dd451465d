/** Rows of sys.audited_objects: what is audited for itself. It tells where nobody looks, so only who decides or audits sees it. */
import { oids } from "../../model/types.js";
import { PgArray } from "../../model/value.js";
import { holdsOnCluster } from "../cluster-call.js";
import { type AuditedLetter, auditedActions } from "../ddl/audit.js";
import type { Provider, ViewContext } from "./context.js";
import type { CatalogRow } from "./registry.js";

function* auditedObjects({ catalog, roleId }: ViewContext): Iterable<CatalogRow> {
  const mayLook = (["AUDITOR", "CLUSTER_SECURITY_ADMIN"] as const).some((one) =>
    holdsOnCluster(catalog, roleId, one),
  );
  if (!mayLook) return;
  for (const object of catalog.objects()) {
    if (object.kind === "table" && object.audit !== undefined)
      yield {
        kind: "table",
        schema_name: catalog.schemaById(object.schemaId)?.name ?? null,
        name: object.name,
        actions: PgArray.of(
          oids.text,
          [...object.audit].map((letter) => auditedActions[letter as AuditedLetter]),
        ),
      };
    else if (object.kind === "role" && object.audit === true)
      yield { kind: "user", schema_name: null, name: object.name, actions: PgArray.of(oids.text, ["ALL"]) };
  }
}

export const auditedProviders: Readonly<Record<string, Provider>> = { audited_objects: auditedObjects };
