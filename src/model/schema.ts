/**
 * Descriptors of catalog objects: the vocabulary of catalog, binder, planner, executor and storage.
 *
 * Every object has an `id`: a 32-bit number that clients see as its OID, cluster-wide, never reused. Descriptors are
 * plain immutable JSON: the catalog stores, signs and ships them as they are. Types are named by OID and typmod.
 *
 * Invariants: columns are never removed from `columns` (a dropped one stays, `dropped: true`), so that an attribute
 * number (index + 1) is stable for ever; `storageId` changes when the rows are rewritten (TRUNCATE, type change).
 */

export type ObjectId = number;

export interface TypeRef {
  readonly oid: number;
  /** -1 when none. As PostgreSQL encodes it (varchar n + 4, numeric ((p << 16) | s) + 4). */
  readonly typmod: number;
}

export interface AclItem {
  /** Role id; 0 is PUBLIC. */
  readonly grantee: ObjectId;
  readonly grantor: ObjectId;
  /** Privilege letters as PostgreSQL writes them ("arwdDxt", "U", "C", "X", "c", "T"). */
  readonly privileges: string;
  /** Letters held with grant option. */
  readonly grantable: string;
}

export interface SchemaDesc {
  readonly kind: "schema";
  readonly id: ObjectId;
  readonly name: string;
  readonly owner: ObjectId;
  readonly acl?: readonly AclItem[] | undefined;
}

export interface ColumnDesc {
  readonly name: string;
  readonly type: TypeRef;
  readonly notNull: boolean;
  readonly dropped?: boolean | undefined;
  /** SQL text of the default expression, deparsed with qualified names, parsed and bound when used. */
  readonly defaultSql?: string | undefined;
  /** Text form of the value that rows written before ADD COLUMN have; null text = SQL NULL. */
  readonly missingValue?: string | undefined;
  readonly identity?: "always" | "byDefault" | undefined;
  /** Owned sequence of SERIAL or IDENTITY. */
  readonly sequenceId?: ObjectId | undefined;
  readonly collation?: string | undefined;
  readonly acl?: readonly AclItem[] | undefined;
}

export interface IndexColumn {
  /** 0-based position in the table's columns, or an expression. */
  readonly column?: number | undefined;
  readonly expressionSql?: string | undefined;
  /** Type of the key: the column's, or the expression's. */
  readonly type: TypeRef;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

export interface IndexDesc {
  readonly kind: "index";
  readonly id: ObjectId;
  readonly name: string;
  readonly schemaId: ObjectId;
  readonly tableId: ObjectId;
  readonly storageId: number;
  readonly columns: readonly IndexColumn[];
  readonly include?: readonly number[] | undefined;
  readonly unique: boolean;
  readonly primary: boolean;
  readonly nullsNotDistinct?: boolean | undefined;
  /** Of a deferrable constraint: within a transaction several rows may have a key (PostgreSQL's indimmediate, negated). */
  readonly deferrable?: boolean | undefined;
  readonly predicateSql?: string | undefined;
  /** building: writers maintain it, readers do not use it yet (rule P2). */
  readonly state: "building" | "ready";
}

export type ForeignKeyAction = "noAction" | "restrict" | "cascade" | "setNull" | "setDefault";

export type ConstraintDesc = {
  readonly kind: "constraint";
  readonly id: ObjectId;
  readonly name: string;
  readonly schemaId: ObjectId;
  readonly tableId: ObjectId;
  readonly deferrable?: boolean | undefined;
  readonly initiallyDeferred?: boolean | undefined;
  readonly notValid?: boolean | undefined;
} & (
  | {
      readonly type: "primaryKey" | "unique";
      readonly columns: readonly number[];
      readonly indexId: ObjectId;
    }
  | { readonly type: "check"; readonly expressionSql: string; readonly columns: readonly number[] }
  | {
      readonly type: "foreignKey";
      readonly columns: readonly number[];
      readonly referencedTableId: ObjectId;
      readonly referencedColumns: readonly number[];
      /** Unique index of the referenced table that proves the reference. */
      readonly referencedIndexId: ObjectId;
      readonly onDelete: ForeignKeyAction;
      readonly onUpdate: ForeignKeyAction;
      readonly match: "simple" | "full";
    }
);

export interface TableDesc {
  readonly kind: "table";
  readonly id: ObjectId;
  readonly name: string;
  readonly schemaId: ObjectId;
  readonly owner: ObjectId;
  readonly columns: readonly ColumnDesc[];
  /** Row storage in the shard; a new one is a rewritten table. */
  readonly storageId: number;
  /** Rises with each change of `columns`: pages written under an older one are still readable (MGA-14). */
  readonly format: number;
  readonly persistence: "permanent" | "temporary" | "unlogged";
  /** ENABLE ROW LEVEL SECURITY: its policies apply, and without one no row is seen. */
  readonly rowSecurity?: boolean | undefined;
  /** FORCE ROW LEVEL SECURITY: to its owner too. */
  readonly forceRowSecurity?: boolean | undefined;
  /** Letters of the privileges whose use is audited: of "rawd". */
  readonly audit?: string | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
  readonly acl?: readonly AclItem[] | undefined;
}

export type PolicyCommand = "all" | "select" | "insert" | "update" | "delete";

/** A row policy (CREATE POLICY). Its expressions are stored as a check's are, but may hold subqueries. */
export interface PolicyDesc {
  readonly kind: "policy";
  readonly id: ObjectId;
  readonly name: string;
  readonly tableId: ObjectId;
  /** Permissive ones are ORed; restrictive ones are ANDed to them. */
  readonly permissive: boolean;
  readonly command: PolicyCommand;
  /** 0 alone is PUBLIC. */
  readonly roles: readonly ObjectId[];
  readonly usingSql?: string | undefined;
  readonly checkSql?: string | undefined;
  /** What the expressions read: [object id, 0-based column or -1], its own table's columns included. */
  readonly dependsOn: readonly (readonly [ObjectId, number])[];
}

export interface ViewDesc {
  readonly kind: "view";
  readonly id: ObjectId;
  readonly name: string;
  readonly schemaId: ObjectId;
  readonly owner: ObjectId;
  readonly columns: readonly ColumnDesc[];
  /** The SELECT as deparsed text with qualified names; bound anew where it is used. */
  readonly querySql: string;
  /** Objects it depends on: [object id, 0-based column or -1]. */
  readonly dependsOn: readonly (readonly [ObjectId, number])[];
  /** security_barrier and security_invoker, as they were written. */
  readonly options?: Readonly<Record<string, string>> | undefined;
  readonly acl?: readonly AclItem[] | undefined;
}

export interface SequenceDesc {
  readonly kind: "sequence";
  readonly id: ObjectId;
  readonly name: string;
  readonly schemaId: ObjectId;
  readonly owner: ObjectId;
  readonly type: TypeRef;
  /** Decimal text: bounds and steps are 64-bit. */
  readonly start: string;
  readonly increment: string;
  readonly minimum: string;
  readonly maximum: string;
  readonly cache: string;
  readonly cycle: boolean;
  readonly storageId: number;
  readonly ownedBy?: { readonly tableId: ObjectId; readonly column: number } | undefined;
  readonly acl?: readonly AclItem[] | undefined;
}

export interface RoleDesc {
  readonly kind: "role";
  readonly id: ObjectId;
  readonly name: string;
  readonly superuser: boolean;
  readonly inherit: boolean;
  readonly createRole: boolean;
  readonly createDb: boolean;
  readonly login: boolean;
  readonly replication: boolean;
  readonly bypassRls: boolean;
  readonly connectionLimit: number;
  /** SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, as PostgreSQL stores it. */
  readonly password?: string | undefined;
  readonly validUntil?: string | undefined;
  /** Roles this one is a member of. */
  readonly memberOf: readonly {
    readonly roleId: ObjectId;
    readonly admin: boolean;
    readonly grantor: ObjectId;
  }[];
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** All that it does is audited. */
  readonly audit?: boolean | undefined;
}

export interface DatabaseDesc {
  readonly kind: "database";
  readonly id: ObjectId;
  readonly name: string;
  readonly owner: ObjectId;
  readonly settings?: Readonly<Record<string, string>> | undefined;
  readonly acl?: readonly AclItem[] | undefined;
}

/** Per column: what ANALYZE learned. Values are text forms, so that statistics outlive formats. */
export interface ColumnStatistics {
  readonly nullFraction: number;
  readonly averageWidth: number;
  /** As pg_statistic: above 0 a count, below 0 minus a fraction of the rows. */
  readonly distinct: number;
  readonly mostCommon: readonly (readonly [text: string, fraction: number])[];
  readonly histogram: readonly string[];
  readonly correlation: number;
}

export interface StatisticsDesc {
  readonly kind: "statistics";
  readonly id: ObjectId;
  readonly tableId: ObjectId;
  readonly rows: number;
  readonly pages: number;
  /** By column position. */
  readonly columns: readonly (ColumnStatistics | null)[];
  readonly analyzedAt: number;
}

export interface CommentDesc {
  readonly kind: "comment";
  readonly id: ObjectId;
  readonly objectId: ObjectId;
  /** 0-based column, or -1 for the object itself. */
  readonly column: number;
  readonly text: string;
}

export interface SettingDesc {
  readonly kind: "setting";
  readonly id: ObjectId;
  readonly name: string;
  readonly value: string;
}

/** Privileges on the cluster itself (SQL-9). One object of this kind. */
export interface ClusterDesc {
  readonly kind: "cluster";
  readonly id: ObjectId;
  readonly name: string;
  readonly uuid: string;
  readonly acl: readonly { readonly grantee: ObjectId; readonly privilege: string }[];
}

/** What a client has to prove. `plus`: the password, bound to the TLS connection (SCRAM-SHA-256-PLUS) and nothing less. */
export type ConnectionMethod = "scram" | "plus" | "certificate" | "scramAndCertificate" | "reject";

/** Who may connect from where, and what he has to prove: a line of PostgreSQL's pg_hba.conf, as a catalog object. */
export interface ConnectionRuleDesc {
  readonly kind: "connectionRule";
  readonly id: ObjectId;
  readonly name: string;
  /** Rules are asked in this order, from 1 without gaps; the built-in one stands behind all others, whatever it says here. */
  readonly ordinal: number;
  /** Absent: every role. */
  readonly roles?: readonly ObjectId[] | undefined;
  /** The roles stand for their members, direct and indirect, too. */
  readonly members: boolean;
  /** Absent: every database. */
  readonly databases?: readonly ObjectId[] | undefined;
  /** Networks as `address/bits`; absent: from anywhere. */
  readonly addresses?: readonly string[] | undefined;
  /** Which connections it is about: encrypted ones, those in the clear, or both. */
  readonly tls: "optional" | "required" | "none";
  readonly method: ConnectionMethod;
}

/** A catalog the server computes (pg_catalog, information_schema, sys, MON$): columns only, rows come from a provider. */
export interface VirtualTableDesc {
  readonly kind: "virtual";
  readonly id: ObjectId;
  readonly name: string;
  readonly schemaId: ObjectId;
  readonly owner: ObjectId;
  readonly columns: readonly ColumnDesc[];
}

export type RelationDesc = TableDesc | ViewDesc | SequenceDesc | VirtualTableDesc;

export type CatalogObject =
  | SchemaDesc
  | TableDesc
  | IndexDesc
  | ConstraintDesc
  | ViewDesc
  | SequenceDesc
  | RoleDesc
  | DatabaseDesc
  | StatisticsDesc
  | CommentDesc
  | SettingDesc
  | ClusterDesc
  | ConnectionRuleDesc
  | PolicyDesc;

/** What binder, planner and executor ask of a catalog, at one version. Look-ups never wait. */
export interface CatalogReader {
  /** Rises with every applied change; part of a plan's key (rule C5: per object, see `versionOf`). */
  readonly version: number;
  /** Version at which the object last changed. */
  versionOf(id: ObjectId): number;
  schemaByName(name: string): SchemaDesc | undefined;
  schemaById(id: ObjectId): SchemaDesc | undefined;
  relation(schemaId: ObjectId, name: string): RelationDesc | undefined;
  relationById(id: ObjectId): RelationDesc | undefined;
  indexByName(schemaId: ObjectId, name: string): IndexDesc | undefined;
  indexById(id: ObjectId): IndexDesc | undefined;
  indexesOf(tableId: ObjectId): readonly IndexDesc[];
  /** Constraints defined on the table. */
  constraintsOf(tableId: ObjectId): readonly ConstraintDesc[];
  /** Foreign keys of other tables (and its own) that refer to it. */
  referencesTo(tableId: ObjectId): readonly (ConstraintDesc & { type: "foreignKey" })[];
  /** Row policies of the table, by id. */
  policiesOf(tableId: ObjectId): readonly PolicyDesc[];
  statisticsOf(tableId: ObjectId): StatisticsDesc | undefined;
  roleByName(name: string): RoleDesc | undefined;
  roleById(id: ObjectId): RoleDesc | undefined;
  objects(): Iterable<CatalogObject>;
}

/** Fixed ids, PostgreSQL's own. */
export const pgCatalogSchemaId = 11;
export const publicSchemaId = 2200;
export const informationSchemaId = 14000;
export const sysSchemaId = 14001;
export const bootstrapRoleId = 10;
/** Of the built-in connection rule; an object of this id in the catalog takes its place. */
export const defaultConnectionRuleId = 9;
export const firstUserObjectId = 16384;
