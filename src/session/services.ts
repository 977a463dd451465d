/**
 * What system functions ask of the session: names and definitions of objects, sequences, who else is here. The
 * interfaces are sql/functions/services.ts.
 */
import { DbError, notSupported } from "../base/errors.js";
import { versionText } from "../base/version.js";
import { Wait } from "../base/wait.js";
import type { ObjectId, RelationDesc, SequenceDesc, TableDesc } from "../model/schema.js";
import { formatType, typeByName, typeByOid } from "../model/types.js";
import { type Value, type Wide, wide } from "../model/value.js";
import {
  type AclKind,
  hasRights,
  holdsPrivileges,
  privilegeNames,
  publicRoleId,
  rolesOf,
} from "../security/privileges.js";
import { policiesBind } from "../security/row-security.js";
import { functionEntry, functionsNamed, operatorByOid, quoteIdentifier } from "../sql/functions/index.js";
import type { CatalogInfo, ObjectKind } from "../sql/functions/services.js";
import { policyText } from "../sql/index.js";
import { verifyAuditChain } from "./audit-read.js";
import { createJoinToken } from "./cluster.js";
import type { ServerSession } from "./session.js";
import { splitIdentifiers } from "./settings.js";
import { constraintDefinition, indexDefinition } from "./views/definitions.js";

export function provideServices(session: ServerSession): void {
  const { eval: context } = session;
  context.provide("objectNames", {
    regName: (kind, oid) => regName(session, kind, oid),
    regOid: (kind, text) => regOid(session, kind, text),
  });
  context.provide("catalogInfo", catalogInfo(session));
  context.provide("sequences", new SessionSequences(session));
  context.provide("advisoryLocks", {
    lock: (key, mode, scope, tryOnly) => session.server.advisory.lock(session, key, mode, scope, tryOnly),
    unlock: (key, mode) => session.server.advisory.unlock(session, key, mode),
    unlockAll: () => session.server.advisory.unlockAll(session, "session"),
  });
  context.provide("clusterAdmin", {
    createJoinToken: (ttl, roles) => createJoinToken(session, ttl, roles),
    verifyAuditChain: (start, end, node) => verifyAuditChain(session, start, end, node),
  });
  context.provide("sessionInfo", {
    versionText: () => versionText,
    serverStart: () => session.server.startedAt,
    configurationLoadTime: () => session.server.startedAt,
    clientAddress: () => {
      const info = session.info();
      return info.clientAddress === null ? null : { address: info.clientAddress, port: info.clientPort ?? 0 };
    },
    serverAddress: () => session.server.address,
    transactionId: (assign) => {
      const rows = session.transaction.rows();
      if (rows.id === 0 && assign) return session.engine.assignId(rows);
      return rows.id === 0 ? null : rows.id;
    },
    transactionStatus: () => {
      throw notSupported("txid_status");
    },
    snapshotText: () => {
      const { next, oldestActive } = session.engine.markers;
      return `${oldestActive}:${next}:`;
    },
    inRecovery: () => false,
    sleep: (micros) => sleep(session, micros),
    cancelBackend: (pid) => session.server.signal(session, pid, "cancel"),
    terminateBackend: (pid) => session.server.signal(session, pid, "terminate"),
    notify: () => {
      throw notSupported("NOTIFY");
    },
    listeningChannels: () => [],
    blockingPids: () => [],
    reloadConfiguration: () => true,
    temporarySchema: () => 0,
    isOtherTemporarySchema: () => false,
    isMemberOf: (role, member, privilege) => {
      const memberId = roleId(session, role);
      const group = roleId(session, member);
      if (memberId === undefined || group === undefined) return null;
      const held = rolesOf(session.catalog, memberId, /usage/i.test(privilege));
      return session.catalog.roleById(memberId)?.superuser === true || held.has(group);
    },
  });
}

/** pg_sleep: the statement waits at its first evaluation, and finds the time gone at the second. */
const sleepUntil = new WeakMap<ServerSession, { readonly started: number; readonly until: number }>();

function sleep(session: ServerSession, micros: number): void {
  const now = session.clock.monotonic();
  const pending = sleepUntil.get(session);
  const mark = session.eval.statementTimestamp;
  if (pending !== undefined && pending.started === mark) {
    if (now >= pending.until) {
      sleepUntil.delete(session);
      return;
    }
  }
  const until = pending?.started === mark ? pending.until : now + micros / 1000;
  sleepUntil.set(session, { started: mark, until });
  throw new Wait("lock", new Promise((resolve) => session.clock.after(Math.max(1, until - now), resolve)));
}

// --- names ----------------------------------------------------------------------------------------------------------

function visibleName(
  session: ServerSession,
  schemaId: ObjectId,
  name: string,
  found: ObjectId | undefined,
  id: ObjectId,
): string {
  if (found === id) return quoteIdentifier(name);
  return `${quoteIdentifier(session.catalog.schemaById(schemaId)?.name ?? "?")}.${quoteIdentifier(name)}`;
}

/** First relation or index of the name along the search path. */
function firstNamed(session: ServerSession, name: string): ObjectId | undefined {
  for (const schemaId of session.searchPathIds()) {
    const found = session.catalog.relation(schemaId, name) ?? session.catalog.indexByName(schemaId, name);
    if (found !== undefined) return found.id;
  }
  return undefined;
}

function regName(session: ServerSession, kind: string, oid: number): string | undefined {
  const { catalog } = session;
  switch (kind) {
    case "regclass": {
      const object = catalog.relationById(oid) ?? catalog.indexById(oid);
      return object === undefined
        ? undefined
        : visibleName(session, object.schemaId, object.name, firstNamed(session, object.name), oid);
    }
    case "regnamespace": {
      const name = catalog.schemaById(oid)?.name;
      return name === undefined ? undefined : quoteIdentifier(name);
    }
    case "regrole": {
      const name = catalog.roleById(oid)?.name;
      return name === undefined ? undefined : quoteIdentifier(name);
    }
    case "regtype":
      return typeByOid(oid) === undefined ? undefined : formatType(oid, -1);
    case "regproc": {
      const name = functionEntry(oid)?.name;
      return name === undefined ? undefined : quoteIdentifier(name);
    }
    case "regprocedure": {
      const entry = functionEntry(oid);
      return entry === undefined
        ? undefined
        : `${quoteIdentifier(entry.name)}(${entry.args.map((type) => formatType(type, -1)).join(",")})`;
    }
    case "regoper":
      return operatorByOid(oid)?.symbol;
    default:
      return undefined;
  }
}

function regOid(session: ServerSession, kind: string, text: string): number | undefined {
  const { catalog } = session;
  switch (kind) {
    case "regclass": {
      const parts = identifierParts(text);
      if (parts === undefined) return undefined;
      const name = parts.at(-1)!;
      const schema = parts.at(-2);
      if (schema === undefined) return firstNamed(session, name);
      const found = catalog.schemaByName(schema);
      return found === undefined
        ? undefined
        : (catalog.relation(found.id, name) ?? catalog.indexByName(found.id, name))?.id;
    }
    case "regnamespace": {
      const name = identifierParts(text)?.[0];
      return name === undefined ? undefined : catalog.schemaByName(name)?.id;
    }
    case "regrole": {
      const name = identifierParts(text)?.[0];
      return name === undefined ? undefined : catalog.roleByName(name)?.id;
    }
    case "regtype":
      return typeByName(text)?.oid;
    case "regproc": {
      const name = identifierParts(text)?.at(-1);
      const found = name === undefined ? [] : functionsNamed(name);
      return found.length === 1 ? found[0]!.oid : undefined;
    }
    default:
      return undefined;
  }
}

/** `a.b."C d"` as its parts, folded and unquoted. */
export function identifierParts(text: string): string[] | undefined {
  const parts = splitIdentifiers(text.replace(/\.(?=(?:[^"]*"[^"]*")*[^"]*$)/g, ","));
  return parts === undefined || parts.length === 0 ? undefined : parts;
}

function roleId(session: ServerSession, role: number | string | undefined): ObjectId | undefined {
  if (role === undefined) return session.currentRoleId;
  if (typeof role === "number") return session.catalog.roleById(role)?.id;
  if (role === "public") return publicRoleId;
  const found = session.catalog.roleByName(role);
  if (found === undefined) throw new DbError("undefinedObject", `role "${role}" does not exist`);
  return found.id;
}

function relationNamed(session: ServerSession, object: number | string): RelationDesc | undefined {
  if (typeof object === "number") return session.catalog.relationById(object);
  const id = regOid(session, "regclass", object);
  const relation = id === undefined ? undefined : session.catalog.relationById(id);
  if (relation === undefined) throw new DbError("undefinedTable", `relation "${object}" does not exist`);
  return relation;
}

// --- catalogInfo ----------------------------------------------------------------------------------------------------

/** A policy's stored text as people are shown it; undefined: the text is of no policy of the table, or has no names in it. */
function policyExpression(session: ServerSession, text: string, relationId: ObjectId): string | undefined {
  // Names of other tables are in queries alone.
  if (!text.includes("SELECT") && !text.includes("VALUES")) return undefined;
  const table = session.catalog.relationById(relationId);
  if (table?.kind !== "table") return undefined;
  const isOne = session.catalog
    .policiesOf(relationId)
    .some((policy) => policy.usingSql === text || policy.checkSql === text);
  return isOne ? policyText(text, table, session.bindEnv([])) : undefined;
}

function catalogInfo(session: ServerSession): CatalogInfo {
  const relationSize = (oid: number): Wide | null => {
    const relation = session.catalog.relationById(oid);
    if (relation?.kind === "table") return session.tableSize(relation).pages * session.shard.store.pageSize;
    if (session.catalog.indexById(oid) !== undefined || relation?.kind === "sequence")
      return session.shard.store.pageSize;
    return relation === undefined ? null : 0;
  };
  const indexesSize = (oid: number): Wide | null => {
    const relation = session.catalog.relationById(oid);
    return relation === undefined
      ? null
      : session.catalog.indexesOf(oid).length * session.shard.store.pageSize;
  };
  const sum = (a: Wide | null, b: Wide | null): Wide | null =>
    a === null || b === null ? null : Number(a) + Number(b);
  return {
    roleName: (oid) => session.catalog.roleById(oid)?.name,
    isVisible: (kind, oid) => {
      if (kind !== "table") return true;
      const object = session.catalog.relationById(oid) ?? session.catalog.indexById(oid);
      return object === undefined ? null : firstNamed(session, object.name) === oid;
    },
    comment: (oid, _catalog, column) => session.catalog.comment(oid, column) ?? null,
    // Sequences are shown as the search path finds them.
    expressionText: (text, relation) =>
      (policyExpression(session, text, relation) ?? text).replace(
        /'((?:[^']|'')+)'::regclass/g,
        (whole, name: string) => {
          const oid = /^\d+$/.test(name)
            ? Number(name)
            : regOid(session, "regclass", name.replaceAll("''", "'"));
          const shown = oid === undefined ? undefined : regName(session, "regclass", oid);
          return shown === undefined ? whole : `'${shown.replaceAll("'", "''")}'::regclass`;
        },
      ),
    rowSecurityActive: (relation) => {
      const found = relationNamed(session, relation);
      return found?.kind === "table" && policiesBind(session.catalog, session.currentRoleId, found);
    },
    indexDefinition: (oid, column) => {
      const index = session.catalog.indexById(oid);
      return index === undefined ? null : indexDefinition(session.catalog, index, column);
    },
    constraintDefinition: (oid, pretty) => {
      const constraint = session.catalog.get(oid);
      return constraint?.kind !== "constraint"
        ? null
        : constraintDefinition(
            session.catalog,
            constraint,
            (id) => regName(session, "regclass", id) ?? String(id),
            pretty,
          );
    },
    viewDefinition: (view, pretty) => {
      const relation = relationNamed(session, view);
      return relation?.kind === "view" ? session.server.viewText(session, relation, pretty) : null;
    },
    ruleDefinition: () => null,
    triggerDefinition: () => null,
    serialSequence: (table, column) => {
      const relation = relationNamed(session, table);
      if (relation?.kind !== "table") return null;
      const found = relation.columns.find((one) => one.name === column && one.dropped !== true);
      if (found === undefined)
        throw new DbError(
          "undefinedColumn",
          `column "${column}" of relation "${relation.name}" does not exist`,
        );
      const sequence =
        found.sequenceId === undefined ? undefined : session.catalog.relationById(found.sequenceId);
      if (sequence === undefined) return null;
      return `${quoteIdentifier(session.catalog.schemaById(sequence.schemaId)?.name ?? "")}.${quoteIdentifier(sequence.name)}`;
    },
    tableSize: relationSize,
    indexesSize,
    totalRelationSize: (oid) => sum(relationSize(oid), indexesSize(oid)),
    relationSize,
    databaseSize: (database) => {
      const known =
        typeof database === "number" ? database === session.database.id : database === session.database.name;
      if (!known && typeof database === "string")
        throw new DbError("invalidCatalogName", `database "${database}" does not exist`);
      return known ? session.server.databaseBytes() : null;
    },
    hasPrivilege: (kind, role, object, privilege, column) =>
      hasPrivilege(session, kind, role, object, privilege, column),
    relationIsUpdatable: (oid) => (session.catalog.relationById(oid)?.kind === "table" ? 28 : 0),
    columnIsUpdatable: (oid) => session.catalog.relationById(oid)?.kind === "table",
    filePath: () => null,
  };
}

const letters = new Map(Object.entries(privilegeNames).map(([letter, name]) => [name, letter]));
letters.set("TEMP", "T");

function hasPrivilege(
  session: ServerSession,
  kind: ObjectKind,
  role: number | string | undefined,
  object: number | string,
  privilege: string,
  column?: number | string,
): boolean | null {
  const { catalog } = session;
  const id = roleId(session, role);
  if (id === undefined) return null;
  const wanted = privilege.split(",").map((word) => {
    const grantOption = / with grant option$/i.test(word.trim());
    const name = word
      .trim()
      .replace(/ with grant option$/i, "")
      .toUpperCase();
    const letter = letters.get(name);
    if (letter === undefined)
      throw new DbError("invalidParameterValue", `unrecognized privilege type: "${word.trim()}"`);
    return { letter, grantOption };
  });
  const any = (aclKind: AclKind, owner: ObjectId, acl: Parameters<typeof holdsPrivileges>[4]): boolean =>
    wanted.some(({ letter, grantOption }) =>
      holdsPrivileges(catalog, id, aclKind, owner, acl, letter, { grantOption }),
    );
  switch (kind) {
    case "table":
    case "column":
    case "anyColumn":
    case "sequence": {
      const relation = relationNamed(session, object);
      if (relation === undefined) return null;
      if (relation.kind === "virtual") return wanted.some(({ letter }) => letter === "r");
      const aclKind = relation.kind === "sequence" ? "sequence" : "table";
      if (any(aclKind, relation.owner, relation.acl)) return true;
      if (relation.kind === "sequence" || kind === "table") return false;
      const places =
        column === undefined
          ? relation.columns.map((_, place) => place)
          : [
              typeof column === "number"
                ? column - 1
                : relation.columns.findIndex((one) => one.name === column),
            ];
      if (kind === "column" && relation.columns[places[0]!] === undefined) {
        if (typeof column === "string")
          throw new DbError(
            "undefinedColumn",
            `column "${column}" of relation "${relation.name}" does not exist`,
          );
        return null;
      }
      return places.some((place) => {
        const acl = relation.columns[place]?.acl;
        return acl !== undefined && any("column", relation.owner, acl);
      });
    }
    case "schema": {
      const schema = typeof object === "number" ? catalog.schemaById(object) : catalog.schemaByName(object);
      if (schema === undefined) {
        if (typeof object === "string")
          throw new DbError("invalidSchemaName", `schema "${object}" does not exist`);
        return null;
      }
      return any("schema", schema.owner, schema.acl);
    }
    case "database": {
      const known =
        typeof object === "number" ? object === session.database.id : object === session.database.name;
      if (!known) {
        if (typeof object === "string")
          throw new DbError("invalidCatalogName", `database "${object}" does not exist`);
        return null;
      }
      const database = catalog.get(session.database.id);
      return database?.kind === "database" && any("database", database.owner, database.acl);
    }
    case "role": {
      const group = roleId(session, object);
      if (group === undefined) return null;
      return hasRights(catalog, id, group);
    }
    default:
      return true;
  }
}

// --- sequences ------------------------------------------------------------------------------------------------------

class SessionSequences {
  readonly #current = new Map<ObjectId, Wide>();
  #last: ObjectId | undefined;

  constructor(readonly session: ServerSession) {}

  #desc(id: number): SequenceDesc {
    const relation = this.session.catalog.relationById(id);
    if (relation === undefined) throw new DbError("undefinedTable", `could not open relation with OID ${id}`);
    if (relation.kind !== "sequence")
      throw new DbError("wrongObjectType", `"${relation.name}" is not a sequence`);
    return relation;
  }

  #need(desc: SequenceDesc, wanted: string): void {
    const { session } = this;
    if (
      !holdsPrivileges(session.catalog, session.currentRoleId, "sequence", desc.owner, desc.acl, wanted, {
        any: true,
      })
    ) {
      // The owner of a table's identity column draws for whoever may insert.
      const table =
        desc.ownedBy === undefined
          ? undefined
          : (session.catalog.relationById(desc.ownedBy.tableId) as TableDesc | undefined);
      if (table?.columns[desc.ownedBy!.column]?.identity === undefined)
        throw new DbError("insufficientPrivilege", `permission denied for sequence ${desc.name}`);
    }
  }

  nextval(id: number): Wide {
    const desc = this.#desc(id);
    this.#need(desc, "wU");
    if (this.session.transaction.settings.readOnly)
      throw new DbError("readOnlySqlTransaction", "cannot execute nextval() in a read-only transaction");
    const value = wide(
      this.session.engine.sequence(desc.storageId).next({
        increment: BigInt(desc.increment),
        minimum: BigInt(desc.minimum),
        maximum: BigInt(desc.maximum),
        cycle: desc.cycle,
        name: desc.name,
      }),
    );
    this.#current.set(id, value);
    this.#last = id;
    return value;
  }

  currval(id: number): Wide {
    const desc = this.#desc(id);
    this.#need(desc, "rU");
    const value = this.#current.get(id);
    if (value === undefined) {
      throw new DbError(
        "objectNotInPrerequisiteState",
        `currval of sequence "${desc.name}" is not yet defined in this session`,
      );
    }
    return value;
  }

  lastval(): Wide {
    if (this.#last === undefined)
      throw new DbError("objectNotInPrerequisiteState", "lastval is not yet defined in this session");
    return this.currval(this.#last);
  }

  setval(id: number, value: Wide, called: boolean): Wide {
    const desc = this.#desc(id);
    this.#need(desc, "w");
    if (this.session.transaction.settings.readOnly)
      throw new DbError("readOnlySqlTransaction", "cannot execute setval() in a read-only transaction");
    const wanted = BigInt(value);
    if (wanted < BigInt(desc.minimum) || wanted > BigInt(desc.maximum)) {
      throw new DbError(
        "numericValueOutOfRange",
        `setval: value ${value} is out of bounds for sequence "${desc.name}" (${desc.minimum}..${desc.maximum})`,
      );
    }
    this.session.engine.sequence(desc.storageId).set(wanted, called);
    if (called) {
      this.#current.set(id, value);
      this.#last = id;
    }
    return value;
  }

  parameters(id: number): readonly Value[] | null {
    const relation = this.session.catalog.relationById(id);
    if (relation?.kind !== "sequence") return null;
    const number = (text: string): Wide => wide(BigInt(text));
    return [
      number(relation.start),
      number(relation.minimum),
      number(relation.maximum),
      number(relation.increment),
      relation.cycle,
      number(relation.cache),
      relation.type.oid,
    ];
  }

  lastValue(id: number): Wide | null {
    const desc = this.#desc(id);
    const state = this.session.engine.sequence(desc.storageId).read();
    return state.isCalled ? wide(state.lastValue) : null;
  }
}
