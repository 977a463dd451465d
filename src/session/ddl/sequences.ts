/** CREATE and ALTER SEQUENCE, and the sequences behind SERIAL and IDENTITY. */
import { DbError } from "../../base/errors.js";
import type { ObjectId, SequenceDesc, TableDesc, TypeRef } from "../../model/schema.js";
import type { CreateSequence, SequenceOption } from "../../sql/ast.js";
import { resolveTypeName } from "../queries.js";
import { retrying } from "../transaction.js";
import { type DdlContext, nameText } from "./context.js";

const limits: Readonly<Record<number, readonly [minimum: bigint, maximum: bigint, name: string]>> = {
  21: [-32768n, 32767n, "smallint"],
  23: [-2147483648n, 2147483647n, "integer"],
  20: [-9223372036854775808n, 9223372036854775807n, "bigint"],
};

interface Shape {
  readonly type: TypeRef;
  readonly start: string;
  readonly increment: string;
  readonly minimum: string;
  readonly maximum: string;
  readonly cache: string;
  readonly cycle: boolean;
  /** RESTART was written: the value that comes next. */
  readonly restart: string | undefined;
  readonly ownedBy: readonly string[] | null | undefined;
}

/** Options over what was there before; `before` undefined: a new sequence. */
export function sequenceShape(
  options: readonly SequenceOption[],
  before: SequenceDesc | undefined,
  defaultType: number,
): Shape {
  const seen = new Set<string>();
  let type: TypeRef = before?.type ?? { oid: defaultType, typmod: -1 };
  let typeChanged = false;
  const values: Partial<Record<"increment" | "start" | "minValue" | "maxValue" | "cache", bigint>> = {};
  let noMin = before === undefined;
  let noMax = before === undefined;
  let cycle = before?.cycle ?? false;
  let restart: string | undefined;
  let restarted = false;
  let ownedBy: readonly string[] | null | undefined;
  for (const option of options) {
    const group =
      option.kind === "noMinValue"
        ? "minValue"
        : option.kind === "noMaxValue"
          ? "maxValue"
          : option.kind === "noCycle"
            ? "cycle"
            : option.kind;
    if (seen.has(group))
      throw new DbError("syntaxError", "conflicting or redundant options", { position: option.position });
    seen.add(group);
    switch (option.kind) {
      case "as":
        type = resolveTypeName(option.type);
        if (limits[type.oid] === undefined) {
          throw new DbError("invalidParameterValue", "sequence type must be smallint, integer, or bigint", {
            position: option.position,
          });
        }
        typeChanged = before !== undefined && before.type.oid !== type.oid;
        break;
      case "increment":
      case "start":
      case "minValue":
      case "maxValue":
      case "cache":
        values[option.kind] = BigInt(option.value);
        if (option.kind === "minValue") noMin = false;
        if (option.kind === "maxValue") noMax = false;
        break;
      case "noMinValue":
        noMin = true;
        break;
      case "noMaxValue":
        noMax = true;
        break;
      case "cycle":
        cycle = true;
        break;
      case "noCycle":
        cycle = false;
        break;
      case "restart":
        restarted = true;
        restart = option.value;
        break;
      case "ownedBy":
        ownedBy = option.column ?? null;
        break;
      case "sequenceName":
      case "logged":
      case "unlogged":
        break;
    }
  }
  const [typeMin, typeMax, typeName] = limits[type.oid]!;
  const increment = values.increment ?? (before === undefined ? 1n : BigInt(before.increment));
  if (increment === 0n) throw new DbError("invalidParameterValue", "INCREMENT must not be zero");
  const oldLimits = before === undefined ? undefined : limits[before.type.oid]!;
  // A bound that was the old type's limit follows the type.
  const followsMax =
    typeChanged &&
    oldLimits !== undefined &&
    (BigInt(before!.maximum) === oldLimits[1] || BigInt(before!.maximum) === oldLimits[0]);
  const followsMin =
    typeChanged &&
    oldLimits !== undefined &&
    (BigInt(before!.minimum) === oldLimits[0] || BigInt(before!.minimum) === oldLimits[1]);
  const maximum =
    noMax || (followsMax && values.maxValue === undefined)
      ? increment > 0n
        ? typeMax
        : -1n
      : (values.maxValue ?? BigInt(before!.maximum));
  const minimum =
    noMin || (followsMin && values.minValue === undefined)
      ? increment > 0n
        ? 1n
        : typeMin
      : (values.minValue ?? BigInt(before!.minimum));
  const outOf = (value: bigint): boolean => value < typeMin || value > typeMax;
  if (outOf(maximum))
    throw new DbError(
      "invalidParameterValue",
      `MAXVALUE (${maximum}) is out of range for sequence data type ${typeName}`,
    );
  if (outOf(minimum))
    throw new DbError(
      "invalidParameterValue",
      `MINVALUE (${minimum}) is out of range for sequence data type ${typeName}`,
    );
  if (minimum >= maximum)
    throw new DbError(
      "invalidParameterValue",
      `MINVALUE (${minimum}) must be less than MAXVALUE (${maximum})`,
    );
  const start =
    values.start ?? (before === undefined ? (increment > 0n ? minimum : maximum) : BigInt(before.start));
  if (start < minimum)
    throw new DbError(
      "invalidParameterValue",
      `START value (${start}) cannot be less than MINVALUE (${minimum})`,
    );
  if (start > maximum)
    throw new DbError(
      "invalidParameterValue",
      `START value (${start}) cannot be greater than MAXVALUE (${maximum})`,
    );
  if (restarted) {
    const value = restart === undefined ? start : BigInt(restart);
    checkNext(value, minimum, maximum);
    restart = String(value);
  }
  const cache = values.cache ?? (before === undefined ? 1n : BigInt(before.cache));
  if (cache <= 0n) throw new DbError("invalidParameterValue", `CACHE (${cache}) must be greater than zero`);
  return {
    type,
    start: String(start),
    increment: String(increment),
    minimum: String(minimum),
    maximum: String(maximum),
    cache: String(cache),
    cycle,
    restart,
    ownedBy,
  };
}

/** A sequence's value stays within its bounds, whichever of them changes. */
function checkNext(value: bigint, minimum: bigint, maximum: bigint): void {
  if (value < minimum)
    throw new DbError(
      "invalidParameterValue",
      `RESTART value (${value}) cannot be less than MINVALUE (${minimum})`,
    );
  if (value > maximum)
    throw new DbError(
      "invalidParameterValue",
      `RESTART value (${value}) cannot be greater than MAXVALUE (${maximum})`,
    );
}

function descOf(
  shape: Shape,
): Pick<SequenceDesc, "type" | "start" | "increment" | "minimum" | "maximum" | "cache" | "cycle"> {
  const { type, start, increment, minimum, maximum, cache, cycle } = shape;
  return { type, start, increment, minimum, maximum, cache, cycle };
}

/** Puts a new sequence into the draft and its storage into the shard. */
export async function makeSequence(
  ddl: DdlContext,
  options: readonly SequenceOption[],
  defaultType: number,
  place: {
    readonly schemaId: ObjectId;
    readonly name: string;
    readonly owner: ObjectId;
    readonly ownedBy?: SequenceDesc["ownedBy"];
  },
): Promise<SequenceDesc> {
  const shape = sequenceShape(options, undefined, defaultType);
  const storageId = ddl.draft.draw();
  const desc: SequenceDesc = {
    kind: "sequence",
    id: ddl.draft.draw(),
    name: place.name,
    schemaId: place.schemaId,
    owner: place.owner,
    storageId,
    ...descOf(shape),
    ...(place.ownedBy === undefined ? {} : { ownedBy: place.ownedBy }),
  };
  await retrying(() => ddl.transaction.shard.engine.createSequence(storageId, shape.start));
  ddl.transaction.storageCreated(storageId);
  ddl.draft.put(desc);
  return desc;
}

export async function createSequence(ddl: DdlContext, statement: CreateSequence): Promise<void> {
  const schema = ddl.creationSchema(statement.name);
  if (statement.persistence === "temporary")
    throw new DbError("featureNotSupported", "temporary sequences are not supported yet");
  if (ddl.isTaken(schema.id, statement.name.name)) {
    if (!statement.ifNotExists)
      throw new DbError("duplicateTable", `relation "${statement.name.name}" already exists`);
    ddl.notice(`relation "${statement.name.name}" already exists, skipping`, "42P07");
    return;
  }
  const shape = sequenceShape(statement.options, undefined, 20);
  const ownedBy = ownerColumn(ddl, shape.ownedBy, schema.id);
  await makeSequence(ddl, statement.options, 20, {
    schemaId: schema.id,
    name: statement.name.name,
    owner: ddl.roleId,
    ownedBy,
  });
}

function ownerColumn(
  ddl: DdlContext,
  path: readonly string[] | null | undefined,
  schemaId: ObjectId,
): SequenceDesc["ownedBy"] {
  if (path === undefined || path === null) return undefined;
  const column = path.at(-1)!;
  const name = path.at(-2);
  if (name === undefined)
    throw new DbError("syntaxError", "invalid OWNED BY option", {
      hint: "Specify OWNED BY table.column or OWNED BY NONE.",
    });
  const table = ddl.table({ schema: path.at(-3), name, position: 0 });
  const place = table.columns.findIndex((one) => one.name === column && one.dropped !== true);
  if (place < 0)
    throw new DbError("undefinedColumn", `column "${column}" of relation "${table.name}" does not exist`);
  if (table.schemaId !== schemaId)
    throw new DbError(
      "objectNotInPrerequisiteState",
      "sequence must be in same schema as table it is linked to",
    );
  return { tableId: table.id, column: place };
}

export async function alterSequence(
  ddl: DdlContext,
  desc: SequenceDesc,
  options: readonly SequenceOption[],
): Promise<void> {
  ddl.mustOwnRelation(desc);
  const shape = sequenceShape(options, desc, desc.type.oid);
  const { ownedBy: before, ...rest } = desc;
  const ownedBy = shape.ownedBy === undefined ? before : ownerColumn(ddl, shape.ownedBy, desc.schemaId);
  await ddl.lock(desc.id, "ShareRowExclusive", desc.name);
  ddl.draft.put({ ...rest, ...descOf(shape), ...(ownedBy === undefined ? {} : { ownedBy }) });
  const { restart } = shape;
  const sequence = ddl.transaction.shard.engine.sequence(desc.storageId);
  const next = restart === undefined ? (await retrying(() => sequence.read())).lastValue : BigInt(restart);
  checkNext(next, BigInt(shape.minimum), BigInt(shape.maximum));
  if (restart !== undefined) {
    await retrying(() => sequence.set(next, false));
  }
}

/** A name for the sequence of a SERIAL or IDENTITY column. */
export function ownedSequenceName(
  ddl: DdlContext,
  schemaId: ObjectId,
  table: string,
  column: string,
  taken: ReadonlySet<string>,
): string {
  return ddl.freeName(schemaId, table, column, "seq", taken);
}

export function sequenceNamed(options: readonly SequenceOption[]): string | undefined {
  for (const option of options)
    if (option.kind === "sequenceName")
      return nameText({ ...option.name, schema: undefined, catalog: undefined });
  return undefined;
}

export type { TableDesc };
