/**
 * Errors: every condition a user can meet, with its SQLSTATE, in one table; and the assertions that stop a node
 * whose own invariants are broken.
 *
 * Invariants: a `DbError` is always something a client may see; a failed `assert` never is (it ends the node or the
 * simulated run). Nothing catches an error without passing it on or answering a client with it.
 */

/** Condition names are PostgreSQL's (errcodes.txt appendix A of its manual). `deterministic`: would every replica fail alike? */
export const conditions = {
  successfulCompletion: "00000",
  warning: "01000",
  noData: "02000",
  connectionException: "08000",
  connectionFailure: "08006",
  transactionResolutionUnknown: "08007",
  protocolViolation: "08P01",
  featureNotSupported: "0A000",
  invalidGrantor: "0L000",
  invalidGrantOperation: "0LP01",
  invalidRoleSpecification: "0P000",
  cardinalityViolation: "21000",
  stringDataRightTruncation: "22001",
  numericValueOutOfRange: "22003",
  nullValueNotAllowed: "22004",
  invalidDatetimeFormat: "22007",
  datetimeFieldOverflow: "22008",
  invalidTimeZoneDisplacementValue: "22009",
  substringError: "22011",
  divisionByZero: "22012",
  invalidPrecedingOrFollowingSize: "22013",
  invalidArgumentForNtile: "22014",
  intervalFieldOverflow: "22015",
  invalidArgumentForLogarithm: "2201E",
  invalidArgumentForPowerFunction: "2201F",
  invalidArgumentForWidthBucketFunction: "2201G",
  invalidRowCountInLimitClause: "2201W",
  invalidRowCountInResultOffsetClause: "2201X",
  characterNotInRepertoire: "22021",
  invalidParameterValue: "22023",
  invalidEscapeSequence: "22025",
  invalidRegularExpression: "2201B",
  invalidTextRepresentation: "22P02",
  sequenceGeneratorLimitExceeded: "2200H",
  invalidBinaryRepresentation: "22P03",
  badCopyFileFormat: "22P04",
  untranslatableCharacter: "22P05",
  arraySubscriptError: "2202E",
  invalidJsonText: "22032",
  invalidEscapeCharacter: "22019",
  stringDataLengthMismatch: "22026",
  trimError: "22027",
  restrictViolation: "23001",
  notNullViolation: "23502",
  foreignKeyViolation: "23503",
  uniqueViolation: "23505",
  checkViolation: "23514",
  withCheckOptionViolation: "44000",
  invalidCursorState: "24000",
  invalidTransactionState: "25000",
  activeSqlTransaction: "25001",
  readOnlySqlTransaction: "25006",
  noActiveSqlTransaction: "25P01",
  inFailedSqlTransaction: "25P02",
  idleInTransactionSessionTimeout: "25P03",
  invalidSqlStatementName: "26000",
  invalidAuthorizationSpecification: "28000",
  invalidPassword: "28P01",
  dependentObjectsStillExist: "2BP01",
  invalidTransactionTermination: "2D000",
  invalidCursorName: "34000",
  invalidCatalogName: "3D000",
  invalidSchemaName: "3F000",
  serializationFailure: "40001",
  deadlockDetected: "40P01",
  statementCompletionUnknown: "40003",
  syntaxError: "42601",
  insufficientPrivilege: "42501",
  cannotCoerce: "42846",
  groupingError: "42803",
  windowingError: "42P20",
  invalidRecursion: "42P19",
  invalidForeignKey: "42830",
  invalidName: "42602",
  nameTooLong: "42622",
  reservedName: "42939",
  datatypeMismatch: "42804",
  indeterminateDatatype: "42P18",
  collationMismatch: "42P21",
  indeterminateCollation: "42P22",
  wrongObjectType: "42809",
  generatedAlways: "428C9",
  undefinedColumn: "42703",
  undefinedFunction: "42883",
  undefinedTable: "42P01",
  undefinedParameter: "42P02",
  undefinedObject: "42704",
  duplicateColumn: "42701",
  duplicateCursor: "42P03",
  duplicateDatabase: "42P04",
  duplicateFunction: "42723",
  duplicatePreparedStatement: "42P05",
  duplicateSchema: "42P06",
  duplicateTable: "42P07",
  duplicateAlias: "42712",
  duplicateObject: "42710",
  ambiguousColumn: "42702",
  ambiguousFunction: "42725",
  ambiguousParameter: "42P08",
  ambiguousAlias: "42P09",
  invalidColumnReference: "42P10",
  invalidColumnDefinition: "42611",
  invalidCursorDefinition: "42P11",
  invalidDatabaseDefinition: "42P12",
  invalidFunctionDefinition: "42P13",
  invalidPreparedStatementDefinition: "42P14",
  invalidSchemaDefinition: "42P15",
  invalidTableDefinition: "42P16",
  invalidObjectDefinition: "42P17",
  invalidSavepointSpecification: "3B001",
  diskFull: "53100",
  outOfMemory: "53200",
  tooManyConnections: "53300",
  configurationLimitExceeded: "53400",
  programLimitExceeded: "54000",
  statementTooComplex: "54001",
  tooManyColumns: "54011",
  tooManyArguments: "54023",
  objectNotInPrerequisiteState: "55000",
  objectInUse: "55006",
  cantChangeRuntimeParam: "55P02",
  lockNotAvailable: "55P03",
  operatorIntervention: "57000",
  queryCanceled: "57014",
  adminShutdown: "57P01",
  crashShutdown: "57P02",
  cannotConnectNow: "57P03",
  databaseDropped: "57P04",
  ioError: "58030",
  configFileError: "F0000",
  internalError: "XX000",
  dataCorrupted: "XX001",
  indexCorrupted: "XX002",
} as const;

export type Condition = keyof typeof conditions;

/** What an ErrorResponse may carry besides severity, code and message (protocol: error and notice fields). */
export interface ErrorFields {
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** 1-based character position in the statement text. */
  readonly position?: number | undefined;
  readonly where?: string | undefined;
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  readonly dataType?: string | undefined;
  readonly constraint?: string | undefined;
}

/** An error meant for a client: it has a SQLSTATE and a message in PostgreSQL's manner. */
export class DbError extends Error {
  override readonly name = "DbError";
  constructor(
    readonly condition: Condition,
    message: string,
    readonly fields: ErrorFields = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
  }
  /** One that is an answer like others, made often and perhaps of another thread or node: without a stack. */
  static answer(condition: Condition, message: string, fields: ErrorFields = {}): DbError {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      return new DbError(condition, message, fields);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }
  get sqlstate(): string {
    return conditions[this.condition];
  }
  /** The same error with a position, if it had none: inner layers do not know where in the text they stand. */
  at(position: number | undefined): DbError {
    if (position === undefined || this.fields.position !== undefined) return this;
    return new DbError(this.condition, this.message, { ...this.fields, position }, this.cause);
  }
}

/** The one way to refuse what is not built: names the feature (contract: never a syntax error). */
export function notSupported(feature: string, position?: number): DbError {
  return new DbError("featureNotSupported", `${feature} is not supported yet`, { position });
}

/** A broken invariant of the program itself, never of its input. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

export function unreachable(value: never, what: string): never {
  throw new InvariantError(`unreachable ${what}: ${JSON.stringify(value)}`);
}
