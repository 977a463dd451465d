/**
 * What statements that change the catalog work with: the transaction's draft, names resolved by the search path, rights
 * and notices. One per running statement.
 */
import { DbError } from "../../base/errors.js";
import type { BundleRules } from "../../cluster/contract.js";
import type { CatalogDraft } from "../../cluster/index.js";
import type { ExecContext } from "../../exec/index.js";
import type { Batch } from "../../model/batch.js";
import type { EvalContext } from "../../model/functions.js";
import {
  type CatalogReader,
  type DatabaseDesc,
  firstUserObjectId,
  type ObjectId,
  pgCatalogSchemaId,
  type RelationDesc,
  type RoleDesc,
  type SchemaDesc,
  type TableDesc,
} from "../../model/schema.js";
import type { Value } from "../../model/value.js";
import { type AclKind, hasRights, holdsPrivileges } from "../../security/privileges.js";
import type { RowSecurity } from "../../security/row-security.js";
import type { LockMode } from "../../shard/index.js";
import type { QualifiedName, RoleSpec } from "../../sql/ast.js";
import type { BindEnv } from "../../sql/index.js";
import type { MaybePromise, Notice, SessionStart } from "../contract.js";
import type { SessionTransaction } from "../transaction.js";

export interface DdlSession {
  readonly transaction: SessionTransaction;
  readonly database: DatabaseDesc;
  readonly currentRoleId: ObjectId;
  readonly sessionRoleId: ObjectId;
  /** How the client is connected. */
  readonly start: SessionStart;
  readonly eval: EvalContext;
  readonly access: Pick<RowSecurity, "hidesColumn">;
  /** Of the cluster's current security bundle. */
  readonly bundleRules: BundleRules | undefined;
  /** The catalog without what this transaction changes. */
  readonly committed: CatalogReader;
  /** Schema ids to look names up in, in order, those that exist. */
  searchPathIds(): readonly ObjectId[];
  /** Work inside a schema that is being created: names are looked up there first. */
  withSchemaFirst(schema: SchemaDesc, work: () => Promise<void>): Promise<void>;
  bindEnv(parameterTypes: number[]): BindEnv;
  /** For expressions that stand outside any query. */
  constantContext(): ExecContext;
  notice(notice: Notice): void;
  lockTable(tableId: ObjectId, mode: LockMode, name: string, noWait?: boolean): Promise<void>;
  setting(name: string): string;
  /** Runs SQL text inside the transaction as the system (no privilege checks); answers the number of rows. */
  internal(
    sql: string,
    params: readonly Value[],
    each?: (batch: Batch) => MaybePromise<void>,
  ): Promise<number>;
  /** Yields to the loop when the statement has worked long enough; throws when it was cancelled. */
  breathe(): Promise<void>;
  /** Runs `work` again after each Wait; a cancelled statement waits no longer. */
  retrying<T>(work: () => T): Promise<T>;
  /** Microseconds since 2000-01-01 UTC. */
  now(): number;
  /** A timestamptz from text, by the session's settings. */
  timestamp(text: string): number;
  /** The text of a setting's value once it was found valid for it (22023, 42704). */
  checkedSetting(name: string, values: readonly string[]): string;
  /** Makes a SCRAM verifier of a clear-text password. */
  passwordVerifier(password: string): Promise<string>;
}

export class DdlContext {
  constructor(readonly session: DdlSession) {}

  get draft(): CatalogDraft {
    return this.session.transaction.draft();
  }
  get transaction(): SessionTransaction {
    return this.session.transaction;
  }
  get roleId(): ObjectId {
    return this.session.currentRoleId;
  }

  hides(table: TableDesc, columns: readonly number[]): boolean {
    return columns.some((place) => this.session.access.hidesColumn(table, place));
  }
  /** What an expression reads of a table that has rows its owner learns. @throws DbError insufficientPrivilege (42501) */
  mustSee(table: TableDesc, columns: readonly number[]): void {
    for (const place of columns)
      if (this.hides(table, [place]))
        throw new DbError(
          "insufficientPrivilege",
          `permission denied for column ${table.columns[place]!.name} of table ${table.name}`,
        );
  }

  /** Waits for a table lock until the end of the transaction. */
  lock(tableId: ObjectId, mode: LockMode, name: string): Promise<void> {
    return this.session.lockTable(tableId, mode, name);
  }

  /** For changes of a table that no row may wait through. */
  async lockWhole(tableId: ObjectId, mode: LockMode, name: string, command: string): Promise<void> {
    await this.lock(tableId, mode, name);
    if (!this.transaction.hasPendingChecks(tableId)) return;
    throw new DbError("objectInUse", `cannot ${command} "${name}" because it has pending trigger events`);
  }

  notice(message: string, sqlstate = "00000", detail?: string): void {
    this.session.notice({ severity: "NOTICE", sqlstate, message, detail });
  }
  warning(message: string, sqlstate = "01000", hint?: string): void {
    this.session.notice({ severity: "WARNING", sqlstate, message, hint });
  }

  // --- names ------------------------------------------------------------------------------------------------------

  schema(name: string, position?: number): SchemaDesc {
    const schema = this.draft.schemaByName(name);
    if (schema === undefined)
      throw new DbError("invalidSchemaName", `schema "${name}" does not exist`, { position });
    return schema;
  }

  /** Where an unqualified new object goes: the first schema of the search path. */
  creationSchema(name: QualifiedName): SchemaDesc {
    this.checkCatalog(name);
    const schema =
      name.schema !== undefined
        ? this.schema(name.schema, name.position)
        : this.session
            .searchPathIds()
            .filter((id) => id !== pgCatalogSchemaId)
            .map((id) => this.draft.schemaById(id))
            .find((found) => found !== undefined);
    if (schema === undefined) {
      throw new DbError("invalidSchemaName", "no schema has been selected to create in", {
        position: name.position,
      });
    }
    this.refuseSystemSchema(schema);
    this.need("schema", schema.owner, schema.acl, "C", `permission denied for schema ${schema.name}`);
    return schema;
  }

  refuseSystemSchema(schema: SchemaDesc): void {
    if (schema.id < firstUserObjectId && schema.name !== "public") {
      throw new DbError(
        "insufficientPrivilege",
        `permission denied to create or change objects in "${schema.name}"`,
        {
          detail: "System catalog modifications are currently disallowed.",
        },
      );
    }
  }

  checkCatalog(name: QualifiedName): void {
    if (name.catalog !== undefined && name.catalog !== this.session.database.name) {
      throw new DbError(
        "featureNotSupported",
        `cross-database references are not implemented: ${nameText(name)}`,
        {
          position: name.position,
        },
      );
    }
  }

  /** Ids of the schemas a name may be in. */
  schemasOf(name: QualifiedName): readonly ObjectId[] {
    this.checkCatalog(name);
    if (name.schema === undefined) return this.session.searchPathIds();
    const schema = this.draft.schemaByName(name.schema);
    return schema === undefined ? [] : [schema.id];
  }

  findRelation(name: QualifiedName): RelationDesc | undefined {
    for (const schemaId of this.schemasOf(name)) {
      const relation = this.draft.relation(schemaId, name.name);
      if (relation !== undefined) return relation;
    }
    return undefined;
  }

  relation(name: QualifiedName): RelationDesc {
    const relation = this.findRelation(name);
    if (relation === undefined) {
      if (name.schema !== undefined && this.draft.schemaByName(name.schema) === undefined) {
        throw new DbError("invalidSchemaName", `schema "${name.schema}" does not exist`);
      }
      throw new DbError("undefinedTable", `relation "${nameText(name)}" does not exist`, {
        position: name.position,
      });
    }
    return relation;
  }

  table(name: QualifiedName): TableDesc {
    const relation = this.relation(name);
    if (relation.kind !== "table") throw wrongKind(relation, "a table");
    return relation;
  }

  findIndex(name: QualifiedName) {
    for (const schemaId of this.schemasOf(name)) {
      const index = this.draft.indexByName(schemaId, name.name);
      if (index !== undefined) return index;
    }
    return undefined;
  }

  /** Whether a relation or index of that name is there already. */
  isTaken(schemaId: ObjectId, name: string): boolean {
    return (
      this.draft.relation(schemaId, name) !== undefined ||
      this.draft.indexByName(schemaId, name) !== undefined
    );
  }

  /** PostgreSQL's names for unnamed objects: parts joined by _, cut to 63 bytes, numbered until free. */
  freeName(
    schemaId: ObjectId,
    first: string,
    second: string | undefined,
    label: string,
    taken: ReadonlySet<string> = new Set(),
  ): string {
    for (let pass = 0; ; pass++) {
      const name = objectName(first, second, pass === 0 ? label : `${label}${pass}`);
      if (!taken.has(name) && !this.isTaken(schemaId, name)) return name;
    }
  }

  // --- roles and rights -------------------------------------------------------------------------------------------

  role(spec: RoleSpec): RoleDesc {
    const id =
      spec.kind === "name"
        ? this.draft.roleByName(spec.name)?.id
        : spec.kind === "sessionUser"
          ? this.session.sessionRoleId
          : this.session.currentRoleId;
    if (spec.kind === "public") throw new DbError("undefinedObject", 'role "public" does not exist');
    const role = id === undefined ? undefined : this.draft.roleById(id);
    if (role === undefined) {
      throw new DbError("undefinedObject", `role "${spec.kind === "name" ? spec.name : ""}" does not exist`);
    }
    return role;
  }

  get isSuperuser(): boolean {
    return this.draft.roleById(this.roleId)?.superuser === true;
  }

  mustOwn(object: { readonly owner: ObjectId }, what: string, name: string): void {
    if (!hasRights(this.draft, this.roleId, object.owner)) {
      throw new DbError("insufficientPrivilege", `must be owner of ${what} ${name}`);
    }
  }

  need(
    kind: AclKind,
    owner: ObjectId,
    acl: Parameters<typeof holdsPrivileges>[4],
    letters: string,
    message: string,
  ): void {
    if (!holdsPrivileges(this.draft, this.roleId, kind, owner, acl, letters)) {
      throw new DbError("insufficientPrivilege", message);
    }
  }

  /** Owned by a user: system relations are not to be changed. */
  mustOwnRelation(relation: RelationDesc): void {
    if (relation.kind === "virtual") {
      throw new DbError("insufficientPrivilege", `permission denied: "${relation.name}" is a system catalog`);
    }
    this.mustOwn(relation, relation.kind, relation.name);
  }
}

export function nameText(name: QualifiedName): string {
  return [name.catalog, name.schema, name.name].filter((part) => part !== undefined).join(".");
}

export function wrongKind(relation: RelationDesc, wanted: string): DbError {
  return new DbError("wrongObjectType", `"${relation.name}" is not ${wanted}`);
}

export const identifierBytesMax = 63;

/** Cuts the longer of the two parts until `first_second_label` fits an identifier. */
export function objectName(first: string, second: string | undefined, label: string): string {
  const size = (text: string): number => Buffer.byteLength(text);
  const overhead = (second === undefined ? 0 : 1) + (label === "" ? 0 : size(label) + 1);
  let one = first;
  let two = second ?? "";
  while (size(one) + size(two) + overhead > identifierBytesMax) {
    if (size(one) > size(two)) one = [...one].slice(0, -1).join("");
    else two = [...two].slice(0, -1).join("");
  }
  return [one, second === undefined ? undefined : two, label === "" ? undefined : label]
    .filter((part) => part !== undefined)
    .join("_");
}
