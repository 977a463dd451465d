/**
 * CREATE, ALTER and DROP CONNECTION RULE: who may connect from where, and what he has to prove. None of the words is
 * reserved: each is known by its place.
 */
import type * as ast from "../src/sql/ast.js";
import type { Mutable } from "./base.js";
import { StatementRules } from "./statements.js";

type Clauses = Partial<
  Mutable<Pick<ast.ConnectionRule, "place" | "roles" | "databases" | "addresses" | "tls" | "method">>
>;

export abstract class ConnectionRules extends StatementRules {
  /**
   *     CREATE CONNECTION RULE name clause ..           ALTER CONNECTION RULE name { clause .. | RENAME TO name }
   *     DROP CONNECTION RULE [IF EXISTS] name [FORCE]
   *
   *     clause: { BEFORE | AFTER } rule
   *             FOR { ALL | [MEMBERS OF] role, .. }     ON DATABASE { ALL | database, .. }
   *             FROM { ALL | 'address/bits', .. }       TLS { REQUIRED | OPTIONAL | NONE }
   *             METHOD { SCRAM [PLUS] | CERTIFICATE | SCRAM AND CERTIFICATE | REJECT }
   *
   * in this order, and FORCE at the end. A new rule needs its METHOD.
   */
  protected connectionRule(): ast.ConnectionRule | undefined {
    if (!this.is("connection", 2) || !this.is("rule", 3)) return undefined;
    const token = this.peek();
    const verb = token.value;
    if (token.quoted || (verb !== "create" && verb !== "alter" && verb !== "drop")) return undefined;
    const position = this.here();
    this.eat(verb, "connection", "rule");
    const ifExists = verb === "drop" && this.ifExists();
    const name = this.name();
    if (verb === "drop")
      return { kind: "connectionRule", verb, name, ifExists, force: this.forced(), position };
    if (verb === "alter" && this.accept("rename", "to"))
      return { kind: "connectionRule", verb, name, ifExists, newName: this.name(), force: false, position };
    const clauses = this.ruleClauses();
    if (verb === "create" ? clauses.method === undefined : Object.keys(clauses).length === 0) this.fail();
    return { kind: "connectionRule", verb, name, ifExists, ...clauses, force: this.forced(), position };
  }

  private forced(): boolean {
    return this.accept("force");
  }

  private ruleClauses(): Clauses {
    const clauses: Clauses = {};
    if (this.is("before") || this.is("after")) {
      const side = this.accept("before") ? "before" : "after";
      if (side === "after") this.eat("after");
      clauses.place = { side, other: this.name() };
    }
    if (this.accept("for"))
      clauses.roles = this.accept("all") ? "all" : { members: this.membersOf(), specs: this.roleSpecs() };
    if (this.accept("on", "database")) clauses.databases = this.accept("all") ? "all" : this.names();
    if (this.accept("from"))
      clauses.addresses = this.accept("all") ? "all" : this.list(() => this.stringConstant());
    if (this.accept("tls"))
      clauses.tls = this.oneOf<"required" | "optional" | "none">({
        required: () => "required",
        optional: () => "optional",
        none: () => "none",
      });
    if (this.accept("method"))
      clauses.method = this.oneOf<NonNullable<Clauses["method"]>>({
        scram: () => {
          if (this.accept("plus")) return "plus";
          return this.accept("and", "certificate") ? "scramAndCertificate" : "scram";
        },
        certificate: () => "certificate",
        reject: () => "reject",
      });
    return clauses;
  }

  /** A role may be named members. */
  private membersOf(): boolean {
    return this.acceptBoth("members", "of");
  }
}
