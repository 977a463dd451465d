/**
 * A statement that administers the cluster, as it is being carried out: what it may, what it names, how it is told of and
 * answered. What each statement does is in `cluster.ts` and `security-bundle.ts`.
 *
 * Invariant: what is asked of the cluster was told to the audit before (AUD-8).
 */
import type { EventType } from "../audit/index.js";
import { DbError } from "../base/errors.js";
import { nearest } from "../base/nearest.js";
import type {
  AuditHead,
  AuthorityAnswer,
  AuthorityRequest,
  ClusterView,
  Member,
} from "../cluster/contract.js";
import type { CatalogReader, ObjectId } from "../model/schema.js";
import type { Value } from "../model/value.js";
import { isSuperuser, publicRoleId, rolesOf } from "../security/privileges.js";
import type { ClusterClause, ClusterStatement, ClusterValue } from "../sql/ast.js";
import type { OutputColumn } from "../sql/plan.js";
import type { ServerSession } from "./session.js";

export type ClusterPrivilege =
  | "CLUSTER_MEMBERSHIP_ADMIN"
  | "CLUSTER_CONFIG_ADMIN"
  | "CLUSTER_CA_ADMIN"
  | "CLUSTER_SECURITY_ADMIN"
  | "AUDITOR";

/** A superuser holds all of them. */
export function holdsOnCluster(
  catalog: CatalogReader,
  roleId: ObjectId,
  privilege: ClusterPrivilege,
): boolean {
  if (isSuperuser(catalog, roleId)) return true;
  const roles = rolesOf(catalog, roleId, true);
  for (const object of catalog.objects()) {
    if (object.kind !== "cluster") continue;
    return object.acl.some(
      (item) => item.privilege === privilege && (item.grantee === publicRoleId || roles.has(item.grantee)),
    );
  }
  return false;
}

export function requirePrivilege(session: ServerSession, privilege: ClusterPrivilege): void {
  if (holdsOnCluster(session.catalog, session.currentRoleId, privilege)) return;
  throw new DbError("insufficientPrivilege", "permission denied for cluster", {
    detail: `User does not have ${privilege} privilege.`,
  });
}

/** A statement as it is being carried out. */
export class Call {
  /** The event that tells of it, once there is one. */
  head: AuditHead | undefined;

  constructor(
    readonly session: ServerSession,
    readonly ast: ClusterStatement,
    readonly written: () => Promise<AuditHead>,
  ) {}

  /** Told of before it is done (AUD-8). @throws DbError 58030, 53100: then it is not done */
  async record(): Promise<AuditHead> {
    this.head = await this.written();
    return this.head;
  }

  get view(): ClusterView {
    return this.session.server.admin.view;
  }
  get self(): Member {
    const { view, status } = this.session.server.admin;
    const own = view.members.get(status.node);
    if (own === undefined)
      throw new DbError("objectNotInPrerequisiteState", "this node does not belong to the cluster yet");
    return own;
  }

  has(name: string): boolean {
    return this.ast.clauses.some((clause) => clause.name === name);
  }
  clause(name: string): ClusterClause {
    const clause = this.ast.clauses.find((one) => one.name === name);
    if (clause === undefined)
      throw new DbError("syntaxError", `${name.toUpperCase()} is missing`, { position: this.ast.position });
    return clause;
  }
  /** All values of a clause as texts, those of a list too. */
  texts(name: string): string[] {
    return this.clause(name).values.flatMap((value) =>
      value.kind === "list" ? value.items.map(textOf) : [textOf(value)],
    );
  }
  text(name: string): string {
    return textOf(this.clause(name).values[0]!);
  }
  get object(): string {
    return this.ast.name!;
  }

  /** Undefined: there is none, which IF EXISTS has allowed. */
  find(nameOrUuid: string): Member | undefined {
    const member = this.view.memberByName(nameOrUuid);
    if (member !== undefined) return member;
    if (this.ast.ifExists) {
      this.notice("42704", `node "${nameOrUuid}" does not exist, skipping`);
      return undefined;
    }
    throw this.unknown(nameOrUuid);
  }
  /** Without IF EXISTS. */
  member(nameOrUuid: string): Member {
    const member = this.view.memberByName(nameOrUuid);
    if (member === undefined) throw this.unknown(nameOrUuid);
    return member;
  }
  private unknown(nameOrUuid: string): DbError {
    const names = [...this.view.members.values()]
      .filter((one) => one.state !== "REMOVED")
      .map((one) => one.name);
    const near = nearest(nameOrUuid, names);
    return new DbError("undefinedObject", `node "${nameOrUuid}" does not exist`, {
      hint: near === undefined ? "SHOW CLUSTER NODES lists them." : `Perhaps you meant "${near}".`,
    });
  }

  notice(sqlstate: string, message: string): void {
    this.session.notice({ severity: "NOTICE", sqlstate, message });
  }
}

export function textOf(value: ClusterValue): string {
  switch (value.kind) {
    case "word":
    case "string":
    case "number":
      return value.text;
    default:
      throw new DbError("syntaxError", "a name or a value is expected", { position: value.position });
  }
}

export interface Rows {
  readonly rows: readonly (readonly Value[])[];
}

/** What is no change by itself, and may answer rows. */
export interface Errand {
  readonly privilege: ClusterPrivilege;
  readonly columns: readonly OutputColumn[] | undefined;
  /** What tells of it in the audit; by default CLUSTER_ADMIN. */
  readonly event?: EventType | undefined;
  /** One row, or several. */
  readonly run: (call: Call) => Promise<readonly Value[] | Rows | undefined>;
}
/** Waits for the control plane; a statement that is cancelled meanwhile may still have been carried out. */
export async function answered<T>(session: ServerSession, ask: () => Promise<T>): Promise<T> {
  session.checkInterrupt();
  let ended = false;
  let answer: T | undefined;
  const asked = ask().then(
    (value) => {
      ended = true;
      answer = value;
    },
    (error: unknown) => {
      ended = true;
      throw error;
    },
  );
  try {
    await session.waitFor(asked, "IPC", "ClusterChange");
  } catch (error) {
    if (ended || !(error instanceof DbError)) throw error;
    throw new DbError(
      error.condition,
      error.message,
      {
        detail: "The change was under way, and may be carried out all the same.",
        hint: "SHOW CLUSTER EPOCHS tells.",
      },
      error,
    );
  }
  return answer as T;
}

export async function ask(call: Call, request: AuthorityRequest): Promise<AuthorityAnswer> {
  await call.record();
  return answered(call.session, () => call.session.server.admin.authority(request));
}
