/**
 * The syntax tree: what a statement says, before any name is looked up. Plain readonly objects, one union per family,
 * told apart by `kind`.
 *
 * Invariants: `position` is the 1-based character offset in the statement text of the token that PostgreSQL would
 * blame (for an operator the operator, for a call its name, for a cast the `::` or the word CAST). Identifiers are
 * already folded and truncated. Nothing here depends on a catalog; names of built-in types written as keywords
 * (`integer`, `timestamp with time zone`) arrive qualified with pg_catalog, others as written.
 */

// ------------------------------------------------------------------------------------------------- names and types

/** A possibly qualified name: `name`, `schema.name`, `catalog.schema.name`. */
export interface QualifiedName {
  readonly catalog?: string | undefined;
  readonly schema?: string | undefined;
  readonly name: string;
  readonly position: number;
}

/** A type as written. `integer` is `{schema: "pg_catalog", name: "int4"}`; a typmod list is expressions, mostly integers. */
export interface TypeName {
  readonly kind: "typeName";
  readonly name: QualifiedName;
  readonly typmods: readonly Expr[];
  /** One entry per `[]`: the declared bound or -1. Empty: not an array. `ARRAY` is one entry. */
  readonly arrayBounds: readonly number[];
  readonly setOf: boolean;
  /** `t.c%TYPE`. */
  readonly percentType: boolean;
  /** `interval day to second`; the precision is then in typmods. */
  readonly intervalFields?: IntervalFields | undefined;
  readonly position: number;
}

export type IntervalFields =
  | "year"
  | "month"
  | "day"
  | "hour"
  | "minute"
  | "second"
  | "year to month"
  | "day to hour"
  | "day to minute"
  | "day to second"
  | "hour to minute"
  | "hour to second"
  | "minute to second";

// --------------------------------------------------------------------------------------------------- expressions

export type LiteralClass = "int4" | "int8" | "numeric" | "string";

export type Expr =
  /** `class` follows PostgreSQL: int4 if it fits, else int8, else numeric. `text` has no sign. */
  | {
      readonly kind: "number";
      readonly class: "int4" | "int8" | "numeric";
      readonly text: string;
      readonly position: number;
    }
  /** Any quoted string: of unknown type until bound. Escapes are resolved. */
  | { readonly kind: "string"; readonly value: string; readonly position: number }
  /** B'0101' or X'1F': type bit. `value` holds the digits as written. */
  | {
      readonly kind: "bitString";
      readonly base: "binary" | "hex";
      readonly value: string;
      readonly position: number;
    }
  | { readonly kind: "boolean"; readonly value: boolean; readonly position: number }
  | { readonly kind: "null"; readonly position: number }
  /** A literal that the fingerprint stripped: its value is `literals[index]` of that fingerprint (index from 0). */
  | {
      readonly kind: "literalParam";
      readonly index: number;
      readonly class: LiteralClass;
      readonly position: number;
    }
  /** `date '2024-01-01'`, `interval '1' year`, `mytype 'x'`: a constant of that type, by its input function. */
  | {
      readonly kind: "typedLiteral";
      readonly type: TypeName;
      readonly value: string;
      readonly position: number;
    }
  /** `$1` has number 1. */
  | { readonly kind: "param"; readonly number: number; readonly position: number }
  /** `a`, `t.a`, `s.t.a`, `t.*` (then `star`, and parts are the qualifier, possibly empty for a bare `*`). */
  | {
      readonly kind: "columnRef";
      readonly parts: readonly string[];
      readonly star: boolean;
      readonly position: number;
    }
  /** `(e).field`, or `(e).*` with field undefined. */
  | {
      readonly kind: "fieldSelect";
      readonly arg: Expr;
      readonly field?: string | undefined;
      readonly position: number;
    }
  /** `e[1][2:3]`: all adjacent subscripts in one node. */
  | {
      readonly kind: "subscript";
      readonly arg: Expr;
      readonly indexes: readonly Subscript[];
      readonly position: number;
    }
  | {
      readonly kind: "unary";
      readonly operator: OperatorName;
      readonly arg: Expr;
      readonly position: number;
    }
  /** `!=` arrives as `<>`. */
  | {
      readonly kind: "binary";
      readonly operator: OperatorName;
      readonly left: Expr;
      readonly right: Expr;
      readonly position: number;
    }
  /** Flat: `a AND b AND c` is one node of three. */
  | { readonly kind: "and" | "or"; readonly args: readonly Expr[]; readonly position: number }
  | { readonly kind: "not"; readonly arg: Expr; readonly position: number }
  | { readonly kind: "isNull"; readonly arg: Expr; readonly negated: boolean; readonly position: number }
  | {
      readonly kind: "isTruth";
      readonly arg: Expr;
      readonly test: "true" | "false" | "unknown";
      readonly negated: boolean;
      readonly position: number;
    }
  | {
      readonly kind: "isDistinct";
      readonly left: Expr;
      readonly right: Expr;
      readonly negated: boolean;
      readonly position: number;
    }
  | {
      readonly kind: "in";
      readonly arg: Expr;
      readonly list: readonly Expr[];
      readonly negated: boolean;
      readonly position: number;
    }
  /** `(a, b) IN (SELECT ..)`: arg is then a row. */
  | {
      readonly kind: "inQuery";
      readonly arg: Expr;
      readonly query: Query;
      readonly negated: boolean;
      readonly position: number;
    }
  | {
      readonly kind: "between";
      readonly arg: Expr;
      readonly low: Expr;
      readonly high: Expr;
      readonly symmetric: boolean;
      readonly negated: boolean;
      readonly position: number;
    }
  /** SIMILAR TO is `similar`. Operators when bound: ~~ and ~~*; similar is ~ over similar_to_escape(pattern[, escape]). */
  | {
      readonly kind: "like";
      readonly operator: "like" | "ilike" | "similar";
      readonly arg: Expr;
      readonly pattern: Expr;
      readonly escape?: Expr | undefined;
      readonly negated: boolean;
      readonly position: number;
    }
  /** `x op ANY (array)`; SOME is ANY. `x NOT LIKE ANY (..)` has operator `!~~`. */
  | {
      readonly kind: "quantified";
      readonly operator: OperatorName;
      readonly all: boolean;
      readonly left: Expr;
      readonly array: Expr;
      readonly position: number;
    }
  | {
      readonly kind: "quantifiedQuery";
      readonly operator: OperatorName;
      readonly all: boolean;
      readonly left: Expr;
      readonly query: Query;
      readonly position: number;
    }
  | { readonly kind: "exists"; readonly query: Query; readonly position: number }
  /** A scalar subquery. */
  | { readonly kind: "subquery"; readonly query: Query; readonly position: number }
  | { readonly kind: "arrayQuery"; readonly query: Query; readonly position: number }
  /** `ARRAY[1, 2]`; nested brackets are nested `array` nodes. */
  | { readonly kind: "array"; readonly elements: readonly Expr[]; readonly position: number }
  /** `ROW(..)` (explicit) or `(a, b)`. */
  | {
      readonly kind: "row";
      readonly args: readonly Expr[];
      readonly explicit: boolean;
      readonly position: number;
    }
  | {
      readonly kind: "case";
      readonly operand?: Expr | undefined;
      readonly whens: readonly { readonly when: Expr; readonly then: Expr }[];
      readonly otherwise?: Expr | undefined;
      readonly position: number;
    }
  | {
      readonly kind: "coalesce" | "greatest" | "least";
      readonly args: readonly Expr[];
      readonly position: number;
    }
  | { readonly kind: "nullIf"; readonly left: Expr; readonly right: Expr; readonly position: number }
  | FunctionCall
  /** current_date and its kin, with `precision` where written. current_role is currentUser's twin, as in PostgreSQL. */
  | {
      readonly kind: "sqlValue";
      readonly name: SqlValueName;
      readonly precision?: number | undefined;
      readonly position: number;
    }
  | {
      readonly kind: "cast";
      readonly arg: Expr;
      readonly type: TypeName;
      readonly syntax: "::" | "cast";
      readonly position: number;
    }
  | {
      readonly kind: "collate";
      readonly arg: Expr;
      readonly collation: QualifiedName;
      readonly position: number;
    }
  | { readonly kind: "grouping"; readonly args: readonly Expr[]; readonly position: number }
  /** UPDATE/DELETE .. WHERE CURRENT OF cursor: stands alone as the condition. */
  | { readonly kind: "currentOf"; readonly cursor: string; readonly position: number }
  /** DEFAULT as a value: allowed in VALUES of INSERT and in SET. */
  | { readonly kind: "default"; readonly position: number }
  /** Parsed, not built: answers 0A000 by name (XMLELEMENT, IS DOCUMENT, ..). */
  | { readonly kind: "unsupportedExpr"; readonly feature: string; readonly position: number };

export interface OperatorName {
  /** Of `OPERATOR(schema.+)`. */
  readonly schema?: string | undefined;
  readonly name: string;
}

export type Subscript =
  | { readonly slice: false; readonly index: Expr }
  | { readonly slice: true; readonly lower?: Expr | undefined; readonly upper?: Expr | undefined };

/**
 * A call. Special spellings become ordinary calls of the pg_catalog function behind them, marked by `syntax` so that
 * deparsing can write them back: EXTRACT(f FROM x) = extract('f', x); x AT TIME ZONE z = timezone(z, x);
 * POSITION(a IN b) = position(b, a); SUBSTRING(x FROM a FOR b) = substring(x, a, b), x SIMILAR p ESCAPE e = substring(x, p, e);
 * OVERLAY(x PLACING y FROM a FOR b) = overlay(x, y, a, b); TRIM = btrim/ltrim/rtrim(x[, chars]);
 * (a, b) OVERLAPS (c, d) = overlaps(a, b, c, d); NORMALIZE(x, NFC) = normalize(x, 'NFC');
 * x IS NFC NORMALIZED = is_normalized(x, 'NFC'); COLLATION FOR (x) = pg_collation_for(x).
 */
export interface FunctionCall {
  readonly kind: "call";
  readonly name: QualifiedName;
  readonly args: readonly FunctionArgument[];
  /** `count(*)`. */
  readonly star: boolean;
  readonly distinct: boolean;
  /** The last argument is spread (VARIADIC). */
  readonly variadic: boolean;
  readonly orderBy: readonly SortItem[];
  /** WITHIN GROUP (ORDER BY ..): then `orderBy` above is that list. */
  readonly withinGroup: boolean;
  readonly filter?: Expr | undefined;
  readonly over?: WindowSpec | undefined;
  readonly syntax?: CallSyntax | undefined;
  readonly position: number;
}

export type CallSyntax =
  | "extract"
  | "atTimeZone"
  | "position"
  | "substring"
  | "substringSimilar"
  | "overlay"
  | "trim"
  | "overlaps"
  | "normalize"
  | "isNormalized"
  | "collationFor"
  | "treat";

export interface FunctionArgument {
  /** `name => value`, `name := value`. */
  readonly name?: string | undefined;
  readonly value: Expr;
}

export type SqlValueName =
  | "currentDate"
  | "currentTime"
  | "currentTimestamp"
  | "localTime"
  | "localTimestamp"
  | "currentRole"
  | "currentUser"
  | "user"
  | "sessionUser"
  | "currentCatalog"
  | "currentSchema";

/** `OVER name` sets only `reference`; `OVER (name PARTITION BY ..)` sets `base`. In a WINDOW clause `name` is its name. */
export interface WindowSpec {
  readonly name?: string | undefined;
  readonly reference?: string | undefined;
  readonly base?: string | undefined;
  readonly partitionBy: readonly Expr[];
  readonly orderBy: readonly SortItem[];
  readonly frame?: WindowFrame | undefined;
  readonly position: number;
}

export interface WindowFrame {
  readonly mode: "rows" | "range" | "groups";
  readonly start: FrameBound;
  /** Missing: CURRENT ROW. */
  readonly end?: FrameBound | undefined;
  readonly exclude?: "currentRow" | "group" | "ties" | undefined;
  readonly position: number;
}

export type FrameBound =
  | { readonly kind: "unboundedPreceding" | "unboundedFollowing" | "currentRow" }
  | { readonly kind: "preceding" | "following"; readonly offset: Expr };

export interface SortItem {
  readonly expr: Expr;
  /** Undefined: as ASC. */
  readonly direction?: "asc" | "desc" | undefined;
  /** ORDER BY x USING >. */
  readonly using?: OperatorName | undefined;
  readonly nulls?: "first" | "last" | undefined;
  readonly position: number;
}

// -------------------------------------------------------------------------------------------------------- queries

/** What may follow any query. */
interface QueryTail {
  readonly with?: WithClause | undefined;
  readonly orderBy: readonly SortItem[];
  /** LIMIT ALL and LIMIT NULL: the latter is a null literal, the former leaves it undefined. */
  readonly limit?: Expr | undefined;
  readonly withTies: boolean;
  readonly offset?: Expr | undefined;
  readonly locking: readonly LockingClause[];
  readonly position: number;
}

export type Query = Select | SetOperation | Values;

/** `TABLE t` arrives as SELECT * FROM t. */
export interface Select extends QueryTail {
  readonly kind: "select";
  /** `on` empty: plain DISTINCT. */
  readonly distinct?: { readonly on: readonly Expr[] } | undefined;
  readonly targets: readonly Target[];
  readonly into?: IntoClause | undefined;
  /** Comma-separated items: cross joins. */
  readonly from: readonly FromItem[];
  readonly where?: Expr | undefined;
  readonly groupBy: readonly GroupItem[];
  readonly groupDistinct: boolean;
  readonly having?: Expr | undefined;
  readonly windows: readonly WindowSpec[];
}

export interface SetOperation extends QueryTail {
  readonly kind: "setOperation";
  readonly operation: "union" | "intersect" | "except";
  readonly all: boolean;
  readonly left: Query;
  readonly right: Query;
}

export interface Values extends QueryTail {
  readonly kind: "values";
  readonly rows: readonly (readonly Expr[])[];
}

/** One output column (SELECT list, RETURNING). No alias: PostgreSQL derives the name from the expression. */
export interface Target {
  readonly expr: Expr;
  readonly alias?: string | undefined;
  readonly position: number;
}

export interface IntoClause {
  readonly table: QualifiedName;
  readonly persistence: Persistence;
}

export type Persistence = "permanent" | "temporary" | "unlogged";

export interface WithClause {
  readonly recursive: boolean;
  readonly ctes: readonly CommonTableExpr[];
  readonly position: number;
}

export interface CommonTableExpr {
  readonly name: string;
  readonly columns: readonly string[];
  readonly materialized?: boolean | undefined;
  readonly statement: Query | Insert | Update | Delete;
  readonly search?:
    | {
        readonly order: "breadth" | "depth";
        readonly columns: readonly string[];
        readonly sequence: string;
        readonly position: number;
      }
    | undefined;
  readonly cycle?:
    | {
        readonly columns: readonly string[];
        readonly mark: string;
        readonly value?: Expr | undefined;
        readonly otherwise?: Expr | undefined;
        readonly path: string;
        readonly position: number;
      }
    | undefined;
  readonly position: number;
}

export interface LockingClause {
  readonly strength: "update" | "noKeyUpdate" | "share" | "keyShare";
  /** Empty: all tables of the query. */
  readonly tables: readonly QualifiedName[];
  readonly waitPolicy: "wait" | "noWait" | "skipLocked";
  readonly position: number;
}

export type GroupItem =
  | { readonly kind: "expr"; readonly expr: Expr }
  /** `GROUPING SETS (..)`, `ROLLUP (..)`, `CUBE (..)`; members may nest. `()` is the empty set. */
  | {
      readonly kind: "groupingSets" | "rollup" | "cube";
      readonly items: readonly GroupItem[];
      readonly position: number;
    }
  | { readonly kind: "emptySet"; readonly position: number };

export interface Alias {
  readonly name: string;
  /** Column aliases, possibly fewer than the columns. */
  readonly columns: readonly string[];
  readonly position: number;
}

export type FromItem = TableRef | SubqueryRef | FunctionRef | Join;

export interface TableRef {
  readonly kind: "table";
  readonly name: QualifiedName;
  /** ONLY t: without descendants. */
  readonly only: boolean;
  readonly alias?: Alias | undefined;
  readonly sample?:
    | {
        readonly method: QualifiedName;
        readonly args: readonly Expr[];
        readonly repeatable?: Expr | undefined;
        readonly position: number;
      }
    | undefined;
  readonly position: number;
}

export interface SubqueryRef {
  readonly kind: "subqueryRef";
  readonly lateral: boolean;
  readonly query: Query;
  readonly alias?: Alias | undefined;
  readonly position: number;
}

/** A function in FROM, or ROWS FROM (f(), g()). */
export interface FunctionRef {
  readonly kind: "functionRef";
  readonly lateral: boolean;
  readonly rowsFrom: boolean;
  readonly functions: readonly {
    readonly call: Expr;
    /** ROWS FROM (f() AS (a int, b text)). */
    readonly columns: readonly ColumnDef[];
  }[];
  readonly ordinality: boolean;
  readonly alias?: Alias | undefined;
  /** `f() AS t(a int, b text)`. */
  readonly columns: readonly ColumnDef[];
  readonly position: number;
}

export interface Join {
  readonly kind: "join";
  readonly type: "inner" | "left" | "right" | "full" | "cross";
  readonly natural: boolean;
  readonly left: FromItem;
  readonly right: FromItem;
  readonly using?: readonly string[] | undefined;
  /** JOIN .. USING (a) AS x. */
  readonly usingAlias?: string | undefined;
  readonly on?: Expr | undefined;
  /** `(a JOIN b ..) AS x`. */
  readonly alias?: Alias | undefined;
  readonly position: number;
}

// ------------------------------------------------------------------------------------------------------------- DML

/** A target table of DML. */
export interface Relation {
  readonly name: QualifiedName;
  readonly only: boolean;
  readonly alias?: string | undefined;
  readonly position: number;
}

/** A column in an INSERT list or SET: `a`, `a[1]`, `a.b`. */
export interface AssignTarget {
  readonly column: string;
  /** Field names and subscripts below the column, outermost first. */
  readonly path: readonly (
    | { readonly kind: "field"; readonly name: string }
    | { readonly kind: "index"; readonly subscript: Subscript }
  )[];
  readonly position: number;
}

export type SetItem =
  | { readonly kind: "set"; readonly target: AssignTarget; readonly value: Expr }
  /** `(a, b) = (1, 2)`, `= ROW(..)`, `= (SELECT ..)`: value is a row, a subquery or any row-valued expression. */
  | {
      readonly kind: "setRow";
      readonly targets: readonly AssignTarget[];
      readonly value: Expr;
      readonly position: number;
    };

export interface Insert {
  readonly kind: "insert";
  readonly with?: WithClause | undefined;
  readonly into: Relation;
  /** Undefined: no list. */
  readonly columns?: readonly AssignTarget[] | undefined;
  readonly overriding?: "user" | "system" | undefined;
  /** Undefined: DEFAULT VALUES. */
  readonly source?: Query | undefined;
  readonly onConflict?: OnConflictClause | undefined;
  readonly returning: readonly Target[];
  readonly position: number;
}

export interface OnConflictClause {
  readonly action: "nothing" | "update";
  /** Inference elements; undefined when no target or a constraint is given. */
  readonly columns?: readonly IndexElement[] | undefined;
  readonly targetWhere?: Expr | undefined;
  readonly constraint?: string | undefined;
  readonly set: readonly SetItem[];
  readonly where?: Expr | undefined;
  readonly position: number;
}

export interface Update {
  readonly kind: "update";
  readonly with?: WithClause | undefined;
  readonly table: Relation;
  readonly set: readonly SetItem[];
  readonly from: readonly FromItem[];
  readonly where?: Expr | undefined;
  readonly returning: readonly Target[];
  readonly position: number;
}

export interface Delete {
  readonly kind: "delete";
  readonly with?: WithClause | undefined;
  readonly table: Relation;
  readonly using: readonly FromItem[];
  readonly where?: Expr | undefined;
  readonly returning: readonly Target[];
  readonly position: number;
}

export interface Merge {
  readonly kind: "merge";
  readonly with?: WithClause | undefined;
  readonly into: Relation;
  readonly using: FromItem;
  readonly on: Expr;
  readonly whens: readonly {
    readonly matched: boolean;
    readonly condition?: Expr | undefined;
    readonly action:
      | { readonly kind: "nothing" | "delete" }
      | { readonly kind: "update"; readonly set: readonly SetItem[] }
      | {
          readonly kind: "insert";
          readonly columns?: readonly AssignTarget[] | undefined;
          readonly overriding?: "user" | "system" | undefined;
          /** Undefined: DEFAULT VALUES. */
          readonly values?: readonly Expr[] | undefined;
        };
    readonly position: number;
  }[];
  readonly position: number;
}

// -------------------------------------------------------------------------------------------------- DDL: tables

/** `WITH (name = value)`, COPY options, DEFINE lists. No value: undefined. */
export interface Option {
  /** Of `toast.autovacuum_enabled`. */
  readonly namespace?: string | undefined;
  /** Folded to lower case. */
  readonly name: string;
  readonly value?: OptionValue | undefined;
  readonly action?: "add" | "set" | "drop" | undefined;
  readonly position: number;
}

/** Words arrive as text; numbers keep their text and sign; lists only where the syntax has them. */
export type OptionValue =
  | { readonly kind: "word" | "string" | "number"; readonly text: string; readonly position: number }
  | { readonly kind: "boolean"; readonly value: boolean; readonly position: number }
  | { readonly kind: "star"; readonly position: number }
  | { readonly kind: "type"; readonly type: TypeName; readonly position: number }
  | { readonly kind: "operator"; readonly operator: OperatorName; readonly position: number }
  | { readonly kind: "list"; readonly items: readonly OptionValue[]; readonly position: number };

export interface ColumnDef {
  readonly kind: "column";
  readonly name: string;
  /** Undefined in `CREATE TABLE t OF type (c WITH OPTIONS ..)`, PARTITION OF and CREATE TABLE AS lists. */
  readonly type?: TypeName | undefined;
  readonly collation?: QualifiedName | undefined;
  readonly compression?: string | undefined;
  readonly constraints: readonly ColumnConstraint[];
  readonly position: number;
}

/** Deferrability as written; undefined where nothing was said. */
export interface ConstraintTiming {
  readonly deferrable?: boolean | undefined;
  readonly initiallyDeferred?: boolean | undefined;
  readonly notValid?: boolean | undefined;
  readonly noInherit?: boolean | undefined;
}

export type ReferentialAction = "noAction" | "restrict" | "cascade" | "setNull" | "setDefault";

export type ColumnConstraint = ConstraintTiming & {
  readonly name?: string | undefined;
  readonly position: number;
} & (
    | { readonly kind: "notNull" | "null" }
    | { readonly kind: "default"; readonly expr: Expr }
    | { readonly kind: "check"; readonly expr: Expr }
    | { readonly kind: "generated"; readonly expr: Expr }
    | { readonly kind: "identity"; readonly always: boolean; readonly options: readonly SequenceOption[] }
    | {
        readonly kind: "unique" | "primaryKey";
        readonly nullsNotDistinct: boolean;
        readonly with: readonly Option[];
        readonly tablespace?: string | undefined;
      }
    | {
        readonly kind: "references";
        readonly table: QualifiedName;
        readonly columns: readonly string[];
        readonly match: "simple" | "full" | "partial";
        readonly onDelete: ReferentialAction;
        readonly onDeleteColumns: readonly string[];
        readonly onUpdate: ReferentialAction;
      }
  );

export type TableConstraint = ConstraintTiming & {
  readonly name?: string | undefined;
  readonly position: number;
} & (
    | { readonly kind: "check"; readonly expr: Expr }
    | {
        readonly kind: "unique" | "primaryKey";
        readonly columns: readonly string[];
        readonly nullsNotDistinct: boolean;
        readonly include: readonly string[];
        readonly with: readonly Option[];
        readonly tablespace?: string | undefined;
        /** ADD CONSTRAINT .. USING INDEX i. */
        readonly usingIndex?: string | undefined;
      }
    | {
        readonly kind: "foreignKey";
        readonly columns: readonly string[];
        readonly table: QualifiedName;
        readonly referenced: readonly string[];
        readonly match: "simple" | "full" | "partial";
        readonly onDelete: ReferentialAction;
        readonly onDeleteColumns: readonly string[];
        readonly onUpdate: ReferentialAction;
      }
    | {
        readonly kind: "exclude";
        readonly method?: string | undefined;
        readonly elements: readonly { readonly element: IndexElement; readonly operator: OperatorName }[];
        readonly include: readonly string[];
        readonly with: readonly Option[];
        readonly tablespace?: string | undefined;
        readonly where?: Expr | undefined;
      }
  );

export interface LikeClause {
  readonly kind: "like";
  readonly table: QualifiedName;
  /** In order: INCLUDING / EXCLUDING x, x one of all, comments, compression, constraints, defaults, generated, identity, indexes, statistics, storage. */
  readonly options: readonly { readonly including: boolean; readonly what: string }[];
  readonly position: number;
}

export type TableElement =
  | ColumnDef
  | { readonly kind: "constraint"; readonly constraint: TableConstraint; readonly position: number }
  | LikeClause;

export type ShardClause =
  | { readonly kind: "hash"; readonly columns: readonly string[]; readonly position: number }
  /** RANGE parses and is refused (SQL-34). */
  | { readonly kind: "range"; readonly columns: readonly string[]; readonly position: number }
  | { readonly kind: "none" | "replicated"; readonly position: number };

export type PartitionBound =
  | { readonly kind: "default" }
  | { readonly kind: "in"; readonly values: readonly Expr[] }
  /** MINVALUE and MAXVALUE are column references of these names. */
  | { readonly kind: "range"; readonly from: readonly Expr[]; readonly to: readonly Expr[] }
  | { readonly kind: "hash"; readonly modulus: number; readonly remainder: number };

export interface PartitionSpec {
  readonly strategy: string;
  readonly elements: readonly IndexElement[];
  readonly position: number;
}

export interface CreateTable {
  readonly kind: "createTable";
  readonly name: QualifiedName;
  readonly persistence: Persistence;
  readonly ifNotExists: boolean;
  readonly elements: readonly TableElement[];
  readonly inherits: readonly QualifiedName[];
  readonly ofType?: QualifiedName | undefined;
  readonly partitionOf?: { readonly parent: QualifiedName; readonly bound: PartitionBound } | undefined;
  readonly partitionBy?: PartitionSpec | undefined;
  readonly using?: string | undefined;
  readonly with: readonly Option[];
  readonly onCommit?: "preserve" | "delete" | "drop" | undefined;
  readonly tablespace?: string | undefined;
  readonly shard?: ShardClause | undefined;
  readonly position: number;
}

/** Also CREATE MATERIALIZED VIEW (`materialized`), and EXECUTE as a source. */
export interface CreateTableAs {
  readonly kind: "createTableAs";
  readonly name: QualifiedName;
  readonly materialized: boolean;
  readonly persistence: Persistence;
  readonly ifNotExists: boolean;
  readonly columns: readonly string[];
  readonly using?: string | undefined;
  readonly with: readonly Option[];
  readonly onCommit?: "preserve" | "delete" | "drop" | undefined;
  readonly tablespace?: string | undefined;
  readonly shard?: ShardClause | undefined;
  readonly source: Query | Execute;
  readonly withData: boolean;
  readonly position: number;
}

/** ALTER {TABLE | INDEX | VIEW | MATERIALIZED VIEW | SEQUENCE | FOREIGN TABLE} x with its actions. */
export interface AlterTable {
  readonly kind: "alterTable";
  readonly objectType: "table" | "index" | "view" | "materializedView" | "sequence" | "foreignTable" | "type";
  readonly name: QualifiedName;
  readonly only: boolean;
  readonly ifExists: boolean;
  readonly actions: readonly AlterTableAction[];
  readonly position: number;
}

export type AlterTableAction = { readonly position: number } & (
  | { readonly kind: "addColumn"; readonly column: ColumnDef; readonly ifNotExists: boolean }
  | {
      readonly kind: "dropColumn";
      readonly column: string;
      readonly ifExists: boolean;
      readonly cascade: boolean;
    }
  | {
      readonly kind: "alterType";
      readonly column: string;
      readonly type: TypeName;
      readonly collation?: QualifiedName | undefined;
      readonly using?: Expr | undefined;
    }
  | { readonly kind: "setDefault"; readonly column: string; readonly expr: Expr }
  | { readonly kind: "dropDefault" | "setNotNull" | "dropNotNull"; readonly column: string }
  | { readonly kind: "dropExpression"; readonly column: string; readonly ifExists: boolean }
  | {
      readonly kind: "addIdentity";
      readonly column: string;
      readonly always: boolean;
      readonly options: readonly SequenceOption[];
    }
  | {
      readonly kind: "setIdentity";
      readonly column: string;
      readonly always?: boolean | undefined;
      readonly options: readonly SequenceOption[];
    }
  | { readonly kind: "dropIdentity"; readonly column: string; readonly ifExists: boolean }
  /** `column` by number in ALTER INDEX. */
  | { readonly kind: "setStatistics"; readonly column: string | number; readonly target: number }
  | { readonly kind: "setStorage" | "setCompression"; readonly column: string; readonly value: string }
  | {
      readonly kind: "setColumnOptions" | "resetColumnOptions";
      readonly column: string;
      readonly options: readonly Option[];
    }
  | { readonly kind: "addConstraint"; readonly constraint: TableConstraint }
  | { readonly kind: "alterConstraint"; readonly name: string; readonly timing: ConstraintTiming }
  | { readonly kind: "validateConstraint"; readonly name: string }
  | {
      readonly kind: "dropConstraint";
      readonly name: string;
      readonly ifExists: boolean;
      readonly cascade: boolean;
    }
  | { readonly kind: "setOptions" | "resetOptions"; readonly options: readonly Option[] }
  | { readonly kind: "ownerTo"; readonly role: RoleSpec }
  | { readonly kind: "setTablespace"; readonly tablespace: string; readonly noWait: boolean }
  | { readonly kind: "setLogged" | "setUnlogged" | "setWithoutCluster" | "setWithoutOids" }
  | { readonly kind: "clusterOn"; readonly index: string }
  | { readonly kind: "inherit" | "noInherit"; readonly parent: QualifiedName }
  | { readonly kind: "ofType"; readonly type: QualifiedName }
  | { readonly kind: "notOf" }
  | {
      readonly kind: "replicaIdentity";
      readonly identity: "default" | "full" | "nothing" | "index";
      readonly index?: string | undefined;
    }
  | { readonly kind: "rowSecurity"; readonly mode: "enable" | "disable" | "force" | "noForce" }
  | {
      readonly kind: "trigger" | "rule";
      readonly mode: "enable" | "enableAlways" | "enableReplica" | "disable";
      /** Undefined: ALL (`user`: only the user's own). */
      readonly name?: string | undefined;
      readonly user: boolean;
    }
  | { readonly kind: "setAccessMethod"; readonly method: string }
  | {
      readonly kind: "attachPartition";
      readonly table: QualifiedName;
      readonly bound?: PartitionBound | undefined;
    }
  | {
      readonly kind: "detachPartition";
      readonly table: QualifiedName;
      readonly concurrently: boolean;
      readonly finalize: boolean;
    }
  | { readonly kind: "shardBy"; readonly shard: ShardClause }
  /** ALTER SEQUENCE: the options. */
  | { readonly kind: "sequenceOptions"; readonly options: readonly SequenceOption[] }
  /** Composite types: ALTER TYPE t ADD | DROP | ALTER ATTRIBUTE. */
  | {
      readonly kind: "addAttribute";
      readonly column: ColumnDef;
      readonly cascade: boolean;
    }
  | {
      readonly kind: "dropAttribute";
      readonly name: string;
      readonly ifExists: boolean;
      readonly cascade: boolean;
    }
  | {
      readonly kind: "alterAttribute";
      readonly name: string;
      readonly type: TypeName;
      readonly collation?: QualifiedName | undefined;
      readonly cascade: boolean;
    }
  | { readonly kind: "unsupportedAction"; readonly feature: string }
);

export type SequenceOption = { readonly position: number } & (
  | { readonly kind: "as"; readonly type: TypeName }
  /** Values keep their sign in the text. */
  | { readonly kind: "increment" | "start" | "minValue" | "maxValue" | "cache"; readonly value: string }
  | { readonly kind: "noMinValue" | "noMaxValue" | "noCycle" | "cycle" | "logged" | "unlogged" }
  /** RESTART without a value: undefined. */
  | { readonly kind: "restart"; readonly value?: string | undefined }
  /** OWNED BY NONE: undefined; otherwise the parts of [schema.]table.column. */
  | { readonly kind: "ownedBy"; readonly column?: readonly string[] | undefined }
  | { readonly kind: "sequenceName"; readonly name: QualifiedName }
);

export interface IndexElement {
  readonly column?: string | undefined;
  /** Exactly one of column and expr. */
  readonly expr?: Expr | undefined;
  readonly collation?: QualifiedName | undefined;
  readonly opclass?: QualifiedName | undefined;
  readonly opclassOptions: readonly Option[];
  readonly direction?: "asc" | "desc" | undefined;
  readonly nulls?: "first" | "last" | undefined;
  readonly position: number;
}

export interface CreateIndex {
  readonly kind: "createIndex";
  readonly unique: boolean;
  readonly concurrently: boolean;
  readonly ifNotExists: boolean;
  /** Undefined: chosen by the server. */
  readonly name?: string | undefined;
  readonly table: QualifiedName;
  readonly only: boolean;
  readonly method?: string | undefined;
  readonly elements: readonly IndexElement[];
  readonly include: readonly IndexElement[];
  readonly nullsNotDistinct: boolean;
  readonly with: readonly Option[];
  readonly tablespace?: string | undefined;
  readonly where?: Expr | undefined;
  readonly position: number;
}

// -------------------------------------------------------------------------------------------- DDL: other objects

/** A role: by name, or one of the words that stand for one. */
export type RoleSpec =
  | { readonly kind: "name"; readonly name: string; readonly position: number }
  | { readonly kind: "public" | "currentUser" | "currentRole" | "sessionUser"; readonly position: number };

export interface CreateSchema {
  readonly kind: "createSchema";
  /** Undefined: named as the owner. */
  readonly name?: string | undefined;
  readonly ifNotExists: boolean;
  readonly owner?: RoleSpec | undefined;
  /** CREATE TABLE, VIEW, INDEX, SEQUENCE, TRIGGER and GRANT inside the schema. */
  readonly elements: readonly Statement[];
  readonly position: number;
}

export interface CreateView {
  readonly kind: "createView";
  readonly name: QualifiedName;
  readonly orReplace: boolean;
  readonly recursive: boolean;
  readonly persistence: Persistence;
  readonly columns: readonly string[];
  readonly with: readonly Option[];
  readonly query: Query;
  /** Character offsets (0-based, end exclusive) of the query in the statement text. */
  readonly queryStart: number;
  readonly queryEnd: number;
  readonly checkOption?: "local" | "cascaded" | undefined;
  readonly position: number;
}

export interface CreateSequence {
  readonly kind: "createSequence";
  readonly name: QualifiedName;
  readonly persistence: Persistence;
  readonly ifNotExists: boolean;
  readonly options: readonly SequenceOption[];
  readonly position: number;
}

export interface CreateType {
  readonly kind: "createType";
  readonly name: QualifiedName;
  readonly definition:
    | { readonly kind: "enum"; readonly labels: readonly string[] }
    | { readonly kind: "composite"; readonly attributes: readonly ColumnDef[] }
    | { readonly kind: "range" | "base"; readonly options: readonly Option[] }
    | { readonly kind: "shell" };
  readonly position: number;
}

export interface AlterEnum {
  readonly kind: "alterEnum";
  readonly name: QualifiedName;
  readonly action:
    | {
        readonly kind: "addValue";
        readonly label: string;
        readonly ifNotExists: boolean;
        readonly before?: string | undefined;
        readonly after?: string | undefined;
      }
    | { readonly kind: "renameValue"; readonly from: string; readonly to: string };
  readonly position: number;
}

export interface CreateDomain {
  readonly kind: "createDomain";
  readonly name: QualifiedName;
  readonly type: TypeName;
  readonly collation?: QualifiedName | undefined;
  readonly constraints: readonly ColumnConstraint[];
  readonly position: number;
}

export interface AlterDomain {
  readonly kind: "alterDomain";
  readonly name: QualifiedName;
  readonly action:
    | { readonly kind: "setDefault"; readonly expr: Expr }
    | { readonly kind: "dropDefault" | "setNotNull" | "dropNotNull" }
    | { readonly kind: "addConstraint"; readonly constraint: TableConstraint }
    | {
        readonly kind: "dropConstraint";
        readonly name: string;
        readonly ifExists: boolean;
        readonly cascade: boolean;
      }
    | { readonly kind: "validateConstraint"; readonly name: string };
  readonly position: number;
}

export interface FunctionParameter {
  readonly mode: "in" | "out" | "inout" | "variadic" | "table";
  readonly name?: string | undefined;
  readonly type: TypeName;
  readonly default?: Expr | undefined;
  readonly position: number;
}

export interface CreateFunction {
  readonly kind: "createFunction";
  readonly procedure: boolean;
  readonly orReplace: boolean;
  readonly name: QualifiedName;
  readonly parameters: readonly FunctionParameter[];
  readonly returns?: TypeName | undefined;
  /** RETURNS TABLE (..): these parameters have mode table. */
  readonly returnsTable: boolean;
  /** language, as (one or two strings), immutable, stable, volatile, strict, calledOnNull, securityDefiner, cost, rows, set, .. */
  readonly options: readonly FunctionOption[];
  /** SQL-standard body: RETURN expr or BEGIN ATOMIC .. END. */
  readonly body?:
    | { readonly kind: "return"; readonly expr: Expr }
    | { readonly kind: "atomic"; readonly statements: readonly Statement[] }
    | undefined;
  readonly position: number;
}

export type FunctionOption = { readonly position: number } & (
  | { readonly kind: "language"; readonly language: string }
  | { readonly kind: "as"; readonly definition: string; readonly symbol?: string | undefined }
  | { readonly kind: "volatility"; readonly value: "immutable" | "stable" | "volatile" }
  | { readonly kind: "strict"; readonly value: boolean }
  | { readonly kind: "security"; readonly definer: boolean }
  | { readonly kind: "leakproof"; readonly value: boolean }
  | { readonly kind: "window" }
  | { readonly kind: "parallel"; readonly value: string }
  | { readonly kind: "cost" | "rows"; readonly value: string }
  | { readonly kind: "support"; readonly name: QualifiedName }
  | { readonly kind: "transform"; readonly types: readonly TypeName[] }
  | { readonly kind: "set"; readonly set: SetVariable }
);

export interface CreateTrigger {
  readonly kind: "createTrigger";
  readonly name: string;
  readonly orReplace: boolean;
  readonly constraint: boolean;
  readonly timing: "before" | "after" | "insteadOf";
  readonly events: readonly {
    readonly event: "insert" | "update" | "delete" | "truncate";
    readonly columns: readonly string[];
  }[];
  readonly table: QualifiedName;
  readonly from?: QualifiedName | undefined;
  readonly timingOptions: ConstraintTiming;
  readonly referencing: readonly { readonly new: boolean; readonly table: boolean; readonly name: string }[];
  readonly forEachRow: boolean;
  readonly when?: Expr | undefined;
  readonly function: QualifiedName;
  readonly args: readonly string[];
  readonly position: number;
}

export interface CreateRole {
  readonly kind: "createRole";
  readonly roleKind: "role" | "user" | "group";
  readonly name: string;
  readonly options: readonly RoleOption[];
  readonly position: number;
}

export interface AlterRole {
  readonly kind: "alterRole";
  readonly role: RoleSpec;
  readonly options: readonly RoleOption[];
  readonly position: number;
}

/** ALTER ROLE .. [IN DATABASE d] SET | RESET; role undefined: ALL. */
export interface AlterRoleSet {
  readonly kind: "alterRoleSet";
  readonly role?: RoleSpec | undefined;
  readonly database?: string | undefined;
  readonly set: SetVariable | ResetVariable;
  readonly position: number;
}

/** ALTER GROUP g ADD | DROP USER u. */
export interface AlterGroup {
  readonly kind: "alterGroup";
  readonly group: RoleSpec;
  readonly add: boolean;
  readonly members: readonly RoleSpec[];
  readonly position: number;
}

export type RoleOption = { readonly position: number } & (
  | {
      readonly kind:
        | "superuser"
        | "createDb"
        | "createRole"
        | "inherit"
        | "login"
        | "replication"
        | "bypassRls";
      readonly value: boolean;
    }
  /** PASSWORD NULL: undefined. */
  | { readonly kind: "password"; readonly password?: string | undefined }
  | { readonly kind: "connectionLimit"; readonly limit: number }
  | { readonly kind: "validUntil"; readonly timestamp: string }
  | { readonly kind: "inRole" | "role" | "admin"; readonly roles: readonly RoleSpec[] }
  | { readonly kind: "sysId"; readonly id: number }
);

export interface CreateDatabase {
  readonly kind: "createDatabase";
  readonly name: string;
  /** owner, template, encoding, locale, lc_collate, tablespace, connection_limit, .. */
  readonly options: readonly Option[];
  readonly position: number;
}

export interface AlterDatabase {
  readonly kind: "alterDatabase";
  /** Undefined: the current one (ALTER DATABASE SET SWEEP INTERVAL n). */
  readonly name?: string | undefined;
  readonly action:
    | { readonly kind: "options"; readonly options: readonly Option[] }
    | { readonly kind: "set"; readonly set: SetVariable | ResetVariable }
    | { readonly kind: "setTablespace"; readonly tablespace: string }
    | { readonly kind: "refreshCollationVersion" }
    | { readonly kind: "sweepInterval"; readonly interval: number };
  readonly position: number;
}

export interface CreateExtension {
  readonly kind: "createExtension";
  readonly name: string;
  readonly ifNotExists: boolean;
  readonly schema?: string | undefined;
  readonly version?: string | undefined;
  readonly cascade: boolean;
  readonly position: number;
}

export interface CreatePolicy {
  readonly kind: "createPolicy";
  readonly name: string;
  readonly table: QualifiedName;
  readonly permissive: boolean;
  readonly command: "all" | "select" | "insert" | "update" | "delete";
  readonly roles: readonly RoleSpec[];
  readonly using?: Expr | undefined;
  readonly withCheck?: Expr | undefined;
  readonly position: number;
}

export interface AlterPolicy {
  readonly kind: "alterPolicy";
  readonly name: string;
  readonly table: QualifiedName;
  readonly roles?: readonly RoleSpec[] | undefined;
  readonly using?: Expr | undefined;
  readonly withCheck?: Expr | undefined;
  readonly position: number;
}

/**
 * CREATE, ALTER and DROP CONNECTION RULE. A clause that is absent says nothing: the default of a new rule, no change of an
 * old one; `"all"` is said.
 */
export interface ConnectionRule {
  readonly kind: "connectionRule";
  readonly verb: "create" | "alter" | "drop";
  readonly name: string;
  readonly ifExists: boolean;
  readonly newName?: string | undefined;
  readonly place?: { readonly side: "before" | "after"; readonly other: string } | undefined;
  readonly roles?: "all" | { readonly members: boolean; readonly specs: readonly RoleSpec[] } | undefined;
  readonly databases?: "all" | readonly string[] | undefined;
  readonly addresses?: "all" | readonly string[] | undefined;
  readonly tls?: "optional" | "required" | "none" | undefined;
  readonly method?: "scram" | "plus" | "certificate" | "scramAndCertificate" | "reject" | undefined;
  /** Also if the session that says so could not connect again. */
  readonly force: boolean;
  readonly position: number;
}

/** What DROP, COMMENT, RENAME, OWNER TO, SET SCHEMA and GRANT can name. */
export type ObjectType =
  | "table"
  | "index"
  | "view"
  | "materializedView"
  | "sequence"
  | "foreignTable"
  | "schema"
  | "type"
  | "domain"
  | "function"
  | "procedure"
  | "routine"
  | "aggregate"
  | "trigger"
  | "rule"
  | "policy"
  | "role"
  | "database"
  | "tablespace"
  | "extension"
  | "collation"
  | "conversion"
  | "column"
  | "attribute"
  | "constraint"
  | "domainConstraint"
  | "statistics"
  | "language"
  | "largeObject"
  | "operator"
  | "operatorClass"
  | "operatorFamily"
  | "cast"
  | "publication"
  | "subscription"
  | "server"
  | "foreignDataWrapper"
  | "eventTrigger"
  | "accessMethod"
  | "transform"
  | "textSearchConfiguration"
  | "textSearchDictionary"
  | "textSearchParser"
  | "textSearchTemplate"
  | "parameter"
  | "cluster"
  | "job";

/** An object named in DROP or COMMENT. Functions may carry argument types; rules, triggers, policies and constraints their table. */
export interface ObjectName {
  readonly name: QualifiedName;
  /** `f(int, text)`; undefined: no parentheses. */
  readonly args?: readonly TypeName[] | undefined;
  /** `ON table` of trigger, rule, policy, constraint. */
  readonly on?: QualifiedName | undefined;
}

export interface Drop {
  readonly kind: "drop";
  readonly objectType: ObjectType;
  readonly names: readonly ObjectName[];
  readonly ifExists: boolean;
  readonly concurrently: boolean;
  readonly cascade: boolean;
  /** DROP DATABASE .. WITH (FORCE). */
  readonly force: boolean;
  readonly position: number;
}

/** ALTER x RENAME [COLUMN a | CONSTRAINT a | ATTRIBUTE a | VALUE ..] TO b. */
export interface Rename {
  readonly kind: "rename";
  readonly objectType: ObjectType;
  readonly name: ObjectName;
  readonly only: boolean;
  readonly ifExists: boolean;
  /** For column, attribute and constraint: what is renamed within the object; `within` says what the object is. */
  readonly part?: string | undefined;
  readonly within?: ObjectType | undefined;
  readonly newName: string;
  readonly cascade: boolean;
  readonly position: number;
}

export interface AlterOwner {
  readonly kind: "alterOwner";
  readonly objectType: ObjectType;
  readonly name: ObjectName;
  readonly role: RoleSpec;
  readonly position: number;
}

export interface AlterObjectSchema {
  readonly kind: "alterObjectSchema";
  readonly objectType: ObjectType;
  readonly name: ObjectName;
  readonly ifExists: boolean;
  readonly schema: string;
  readonly position: number;
}

export interface AlterFunction {
  readonly kind: "alterFunction";
  readonly objectType: "function" | "procedure" | "routine";
  readonly name: ObjectName;
  readonly options: readonly FunctionOption[];
  readonly position: number;
}

export interface Truncate {
  readonly kind: "truncate";
  readonly tables: readonly Relation[];
  readonly restartIdentity: boolean;
  readonly cascade: boolean;
  readonly position: number;
}

/** COMMENT ON x IS 'text' | NULL (undefined). A column's name is table-qualified: schema.table is `on`, name the column. */
export interface Comment {
  readonly kind: "comment";
  readonly objectType: ObjectType;
  readonly name: ObjectName;
  readonly text?: string | undefined;
  readonly position: number;
}

export interface Privilege {
  /** Lower case; undefined name is ALL. Unknown names are kept: the session judges them. */
  readonly name?: string | undefined;
  readonly columns: readonly string[];
  readonly position: number;
}

/** GRANT and REVOKE on objects. `grantOption`: WITH GRANT OPTION, or GRANT OPTION FOR. */
export interface Grant {
  readonly kind: "grant";
  readonly grant: boolean;
  readonly privileges: readonly Privilege[];
  readonly objectType: ObjectType;
  /** Empty with `allInSchemas` or objectType cluster. */
  readonly objects: readonly ObjectName[];
  /** ALL TABLES IN SCHEMA a, b. */
  readonly allInSchemas: readonly string[];
  readonly grantees: readonly RoleSpec[];
  readonly grantOption: boolean;
  readonly grantedBy?: RoleSpec | undefined;
  readonly cascade: boolean;
  readonly position: number;
}

export interface GrantRole {
  readonly kind: "grantRole";
  readonly grant: boolean;
  readonly roles: readonly Privilege[];
  readonly grantees: readonly RoleSpec[];
  readonly adminOption: boolean;
  readonly grantedBy?: RoleSpec | undefined;
  readonly cascade: boolean;
  readonly position: number;
}

export interface AlterDefaultPrivileges {
  readonly kind: "alterDefaultPrivileges";
  readonly roles: readonly RoleSpec[];
  readonly schemas: readonly string[];
  /** `objects` is empty in it. */
  readonly grant: Grant;
  readonly position: number;
}

export interface ReassignOwned {
  readonly kind: "reassignOwned";
  readonly roles: readonly RoleSpec[];
  readonly to: RoleSpec;
  readonly position: number;
}

export interface DropOwned {
  readonly kind: "dropOwned";
  readonly roles: readonly RoleSpec[];
  readonly cascade: boolean;
  readonly position: number;
}

// ---------------------------------------------------------------------------------- transactions and settings

export interface TransactionModes {
  /** `snapshot` is REPEATABLE READ in Firebird's words; snapshotTableStability locks tables besides. */
  readonly isolation?:
    | "serializable"
    | "repeatableRead"
    | "readCommitted"
    | "readUncommitted"
    | "snapshot"
    | "snapshotTableStability"
    | undefined;
  /** READ COMMITTED READ CONSISTENCY | RECORD_VERSION | NO RECORD_VERSION. */
  readonly readCommittedVariant?: "readConsistency" | "recordVersion" | "noRecordVersion" | undefined;
  readonly readOnly?: boolean | undefined;
  readonly deferrable?: boolean | undefined;
  readonly wait?: boolean | undefined;
  /** LOCK TIMEOUT n, in seconds. */
  readonly lockTimeoutSeconds?: number | undefined;
  readonly reserving: readonly {
    readonly tables: readonly QualifiedName[];
    readonly protected: boolean;
    readonly write: boolean;
  }[];
}

/** BEGIN, START TRANSACTION. */
export interface Begin {
  readonly kind: "begin";
  readonly start: boolean;
  readonly modes: TransactionModes;
  readonly position: number;
}
export interface Commit {
  readonly kind: "commit";
  readonly chain: boolean;
  readonly position: number;
}
export interface Rollback {
  readonly kind: "rollback";
  readonly chain: boolean;
  readonly position: number;
}
export interface Savepoint {
  readonly kind: "savepoint" | "releaseSavepoint" | "rollbackToSavepoint";
  readonly name: string;
  readonly position: number;
}
/** PREPARE TRANSACTION 'id', COMMIT PREPARED 'id', ROLLBACK PREPARED 'id'. */
export interface TwoPhase {
  readonly kind: "prepareTransaction" | "commitPrepared" | "rollbackPrepared";
  readonly id: string;
  readonly position: number;
}
/** SET TRANSACTION, SET SESSION CHARACTERISTICS AS TRANSACTION (`session`). */
export interface SetTransaction {
  readonly kind: "setTransaction";
  readonly session: boolean;
  readonly modes: TransactionModes;
  readonly position: number;
}
/** SET TRANSACTION SNAPSHOT 'id'. */
export interface SetTransactionSnapshot {
  readonly kind: "setTransactionSnapshot";
  readonly id: string;
  readonly position: number;
}
export interface SetConstraints {
  readonly kind: "setConstraints";
  /** Empty: ALL. */
  readonly constraints: readonly QualifiedName[];
  readonly deferred: boolean;
  readonly position: number;
}

/** A value in SET: a word, a string or a number (text with sign), or an interval with fields for TIME ZONE. */
export type SettingValue =
  | { readonly kind: "word" | "string" | "number"; readonly text: string; readonly position: number }
  | {
      readonly kind: "interval";
      readonly text: string;
      readonly fields?: IntervalFields | undefined;
      readonly position: number;
    };

/**
 * SET [LOCAL | SESSION] name = value, .. ; SET TIME ZONE is name `timezone`, SET NAMES `client_encoding`, SET SCHEMA
 * `search_path`, SET ROLE `role`, SET SESSION AUTHORIZATION `session_authorization`, SET XML OPTION `xmloption`.
 */
export interface SetVariable {
  readonly kind: "set";
  readonly name: string;
  readonly local: boolean;
  /** Undefined: TO DEFAULT. */
  readonly values?: readonly SettingValue[] | undefined;
  /** SET x FROM CURRENT (only inside CREATE FUNCTION). */
  readonly fromCurrent?: boolean | undefined;
  readonly position: number;
}
/** RESET name; undefined: ALL. */
export interface ResetVariable {
  readonly kind: "reset";
  readonly name?: string | undefined;
  readonly position: number;
}
/** SHOW name; undefined: ALL. SHOW TIME ZONE is `timezone`, SHOW TRANSACTION ISOLATION LEVEL `transaction_isolation`. */
export interface ShowVariable {
  readonly kind: "show";
  readonly name?: string | undefined;
  readonly position: number;
}
/** ALTER SYSTEM SET | RESET. */
export interface AlterSystem {
  readonly kind: "alterSystem";
  readonly set: SetVariable | ResetVariable;
  readonly position: number;
}
/** DISCARD. */
export interface Discard {
  readonly kind: "discard";
  readonly what: "all" | "plans" | "sequences" | "temp";
  readonly position: number;
}

// --------------------------------------------------------------------------------- prepared, cursors, COPY, utility

export interface Prepare {
  readonly kind: "prepare";
  readonly name: string;
  readonly parameterTypes: readonly TypeName[];
  readonly statement: PreparableStatement;
  /** 0-based character offsets of the inner statement. */
  readonly statementStart: number;
  readonly statementEnd: number;
  readonly position: number;
}
export interface Execute {
  readonly kind: "execute";
  readonly name: string;
  readonly args: readonly Expr[];
  readonly position: number;
}
/** DEALLOCATE; undefined: ALL. */
export interface Deallocate {
  readonly kind: "deallocate";
  readonly name?: string | undefined;
  readonly position: number;
}
export interface DeclareCursor {
  readonly kind: "declareCursor";
  readonly name: string;
  readonly binary: boolean;
  readonly sensitivity?: "insensitive" | "asensitive" | undefined;
  readonly scroll?: boolean | undefined;
  readonly hold: boolean;
  readonly query: Query;
  readonly position: number;
}
/** FETCH and MOVE (`move`). `count` undefined: ALL. */
export interface Fetch {
  readonly kind: "fetch";
  readonly move: boolean;
  readonly cursor: string;
  readonly direction: "forward" | "backward" | "absolute" | "relative";
  readonly count?: number | undefined;
  readonly position: number;
}
/** CLOSE; undefined: ALL. */
export interface CloseCursor {
  readonly kind: "close";
  readonly name?: string | undefined;
  readonly position: number;
}

/** Old-style options arrive as the new ones: DELIMITER 'x' is option delimiter, CSV HEADER is format csv, header. */
export interface Copy {
  readonly kind: "copy";
  readonly table?: QualifiedName | undefined;
  readonly columns: readonly string[];
  /** COPY (query) TO. */
  readonly query?: Query | Insert | Update | Delete | undefined;
  readonly from: boolean;
  readonly target: { readonly kind: "std" } | { readonly kind: "file" | "program"; readonly path: string };
  readonly options: readonly Option[];
  readonly where?: Expr | undefined;
  readonly position: number;
}

export interface Explain {
  readonly kind: "explain";
  /** analyze, verbose, costs, buffers, format, .. ; EXPLAIN ANALYZE VERBOSE is two of them. */
  readonly options: readonly Option[];
  readonly statement: Statement;
  readonly position: number;
}

/** VACUUM and ANALYZE in both syntaxes. No targets: everything. */
export interface Vacuum {
  readonly kind: "vacuum" | "analyze";
  /** full, freeze, verbose, analyze, skip_locked, .. */
  readonly options: readonly Option[];
  readonly targets: readonly {
    readonly table: QualifiedName;
    readonly columns: readonly string[];
  }[];
  readonly position: number;
}

/** SWEEP [VERBOSE] [ANALYZE] [DATABASE], SWEEP STATUS [VERBOSE] (SQL-57). */
export interface Sweep {
  readonly kind: "sweep";
  readonly status: boolean;
  readonly verbose: boolean;
  readonly analyze: boolean;
  readonly position: number;
}

export interface Reindex {
  readonly kind: "reindex";
  readonly target: "index" | "table" | "schema" | "system" | "database";
  readonly name: QualifiedName;
  readonly concurrently: boolean;
  readonly options: readonly Option[];
  readonly position: number;
}
/** CLUSTER [VERBOSE] [table [USING index]]. */
export interface ClusterTable {
  readonly kind: "clusterTable";
  readonly table?: QualifiedName | undefined;
  readonly index?: string | undefined;
  readonly options: readonly Option[];
  readonly position: number;
}
export interface Checkpoint {
  readonly kind: "checkpoint";
  readonly position: number;
}
export interface LockTable {
  readonly kind: "lockTable";
  readonly tables: readonly Relation[];
  readonly mode:
    | "accessShare"
    | "rowShare"
    | "rowExclusive"
    | "shareUpdateExclusive"
    | "share"
    | "shareRowExclusive"
    | "exclusive"
    | "accessExclusive";
  readonly noWait: boolean;
  readonly position: number;
}
/** LISTEN c; UNLISTEN c (undefined: *). */
export interface Listen {
  readonly kind: "listen" | "unlisten";
  readonly channel?: string | undefined;
  readonly position: number;
}
export interface Notify {
  readonly kind: "notify";
  readonly channel: string;
  readonly payload?: string | undefined;
  readonly position: number;
}
export interface Do {
  readonly kind: "do";
  readonly body: string;
  readonly language?: string | undefined;
  readonly position: number;
}
export interface Call {
  readonly kind: "callProcedure";
  readonly call: FunctionCall;
  readonly position: number;
}
export interface Load {
  readonly kind: "load";
  readonly file: string;
  readonly position: number;
}
export interface RefreshMaterializedView {
  readonly kind: "refreshMaterializedView";
  readonly name: QualifiedName;
  readonly concurrently: boolean;
  readonly withData: boolean;
  readonly position: number;
}

/** A statement that PostgreSQL knows and we do not run: 0A000 naming `feature` (for instance "CREATE OPERATOR"). */
export interface UnsupportedStatement {
  readonly kind: "unsupported";
  readonly feature: string;
  readonly position: number;
}

// --------------------------------------------------------------------------------------------------------- cluster

/** Names of the cluster statements (spec/15): the leading keywords, which are also the command tag. */
export type ClusterCommand =
  | "ADD NODE"
  | "ENABLE NODE"
  | "DISABLE NODE"
  | "REMOVE NODE"
  | "ALTER NODE"
  | "ALTER CLUSTER"
  | "ROTATE CA"
  | "CREATE CA"
  | "BACKUP CA KEY"
  | "RECOVER CA KEY"
  | "REVOKE CERTIFICATE"
  | "ISSUE CERTIFICATE"
  | "CREATE SECURITY BUNDLE"
  | "PUBLISH SECURITY BUNDLE"
  | "ROLLBACK SECURITY BUNDLE"
  | "CREATE RLS POLICY"
  | "ALTER RLS POLICY"
  | "DROP RLS POLICY"
  | "DROP SECURITY BUNDLE"
  | "CREATE CLS POLICY"
  | "DROP CLS POLICY"
  | "CREATE MASKING FUNCTION"
  | "DROP MASKING FUNCTION"
  | "CREATE AUDIT RULE"
  | "DROP AUDIT RULE"
  | "CREATE SHARD MAP"
  | "ASSIGN SHARD"
  | "PUBLISH SHARD MAP"
  | "SET SHARD MAP"
  | "RETIRE SHARD MAP"
  | "ALTER SHARD"
  | "CREATE SHARD"
  | "DROP SHARD"
  | "ALTER TABLE SHARDS"
  | "CANCEL SHARD MIGRATION"
  | "BACKUP CLUSTER"
  | "BACKUP SHARD"
  | "VERIFY BACKUP SET"
  | "RESTORE CLUSTER"
  | "CREATE BACKUP SCHEDULE"
  | "ALTER BACKUP SCHEDULE"
  | "DROP BACKUP SCHEDULE"
  | "CREATE BACKUP TARGET"
  | "DROP BACKUP TARGET"
  | "CREATE JOB"
  | "RECREATE JOB"
  | "ALTER JOB"
  | "DROP JOB"
  | "EXECUTE JOB"
  | "CANCEL JOB RUN"
  | "SHOW JOBS"
  | "SHOW JOB"
  | "SHOW JOB RUNS"
  | "ALTER TABLE AUDIT"
  | "ALTER USER AUDIT"
  | "SHOW CLUSTER"
  | "SHOW SHARD MAP"
  | "SHOW REPLICATION LAG";

/** A word (lower case unless quoted), a literal, a parenthesised or bracketed list, an expression, or a statement's text. */
export type ClusterValue =
  | { readonly kind: "word" | "string" | "number"; readonly text: string; readonly position: number }
  | { readonly kind: "list"; readonly items: readonly ClusterValue[]; readonly position: number }
  /** Inside a list: `DAILY_RETENTION = 7`. */
  | {
      readonly kind: "option";
      readonly name: string;
      readonly value: ClusterValue;
      readonly position: number;
    }
  | { readonly kind: "expr"; readonly expr: Expr; readonly position: number }
  | { readonly kind: "type"; readonly type: TypeName; readonly position: number }
  | { readonly kind: "call"; readonly call: FunctionCall; readonly position: number };

/**
 * A cluster statement. Clauses are named by their keywords in lower case joined with blanks ("stability window",
 * "with name", "schedule"); a flag has no values. The object acted upon is in `name`.
 */
export interface ClusterStatement {
  readonly kind: "cluster";
  readonly command: ClusterCommand;
  /** The statement's own object: a node, shard, job, target, table .. */
  readonly name?: string | undefined;
  readonly table?: QualifiedName | undefined;
  readonly ifExists: boolean;
  readonly clauses: readonly ClusterClause[];
  readonly position: number;
}

export interface ClusterClause {
  readonly name: string;
  readonly values: readonly ClusterValue[];
  readonly position: number;
}

// ------------------------------------------------------------------------------------------------------ statements

export type PreparableStatement = Query | Insert | Update | Delete | Merge;

export type Statement =
  | Query
  | Insert
  | Update
  | Delete
  | Merge
  | CreateTable
  | CreateTableAs
  | AlterTable
  | CreateIndex
  | CreateSchema
  | CreateView
  | CreateSequence
  | CreateType
  | AlterEnum
  | CreateDomain
  | AlterDomain
  | CreateFunction
  | AlterFunction
  | CreateTrigger
  | CreateRole
  | AlterRole
  | AlterRoleSet
  | AlterGroup
  | CreateDatabase
  | AlterDatabase
  | CreateExtension
  | CreatePolicy
  | AlterPolicy
  | ConnectionRule
  | Drop
  | Rename
  | AlterOwner
  | AlterObjectSchema
  | Truncate
  | Comment
  | Grant
  | GrantRole
  | AlterDefaultPrivileges
  | ReassignOwned
  | DropOwned
  | Begin
  | Commit
  | Rollback
  | Savepoint
  | TwoPhase
  | SetTransaction
  | SetTransactionSnapshot
  | SetConstraints
  | SetVariable
  | ResetVariable
  | ShowVariable
  | AlterSystem
  | Discard
  | Prepare
  | Execute
  | Deallocate
  | DeclareCursor
  | Fetch
  | CloseCursor
  | Copy
  | Explain
  | Vacuum
  | Sweep
  | Reindex
  | ClusterTable
  | Checkpoint
  | LockTable
  | Listen
  | Notify
  | Do
  | Call
  | Load
  | RefreshMaterializedView
  | UnsupportedStatement
  | ClusterStatement;

export type StatementKind = Statement["kind"];

// --------------------------------------------------------------------------------------------------- constructors

/** A plain call, with nothing of the aggregate and window syntax. */
export function call(
  name: QualifiedName,
  args: readonly Expr[],
  position: number,
  syntax?: CallSyntax,
): FunctionCall {
  return {
    kind: "call",
    name,
    args: args.map((value) => ({ value })),
    star: false,
    distinct: false,
    variadic: false,
    orderBy: [],
    withinGroup: false,
    filter: undefined,
    over: undefined,
    syntax,
    position,
  };
}

/** A name in pg_catalog: what special spellings stand for. */
export function systemName(name: string, position: number): QualifiedName {
  return { catalog: undefined, schema: "pg_catalog", name, position };
}

export function typeName(name: QualifiedName, typmods: readonly Expr[] = []): TypeName {
  return {
    kind: "typeName",
    name,
    typmods,
    arrayBounds: [],
    setOf: false,
    percentType: false,
    intervalFields: undefined,
    position: name.position,
  };
}
