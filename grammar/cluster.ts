/**
 * Statements that administer the cluster (spec/15): nodes, epochs, CA, security bundles, shards, backup, jobs, audit,
 * sweep. Exports the whole parser.
 *
 * Their words are not keywords of the lexer: each is recognised by its place, so that job, shard or node stay names.
 */
import type * as ast from "../src/sql/ast.js";
import { StatementRules } from "./statements.js";

export class SqlParser extends StatementRules {
  constructor() {
    super();
    this.performSelfAnalysis();
  }

  protected clusterStatement(): ast.Statement | undefined {
    if (this.is("sweep")) return this.sweep();
    return undefined;
  }

  /** SWEEP [VERBOSE] [ANALYZE] [DATABASE] | SWEEP STATUS [VERBOSE] */
  private sweep(): ast.Sweep {
    const position = this.here();
    this.eat("sweep");
    const status = this.accept("status");
    if (!status) this.accept("database");
    const verbose = this.accept("verbose");
    const analyze = !status && this.accept("analyze");
    if (analyze) this.accept("tables");
    return { kind: "sweep", status, verbose, analyze, position };
  }

  protected alterTableExtension(_table: ast.QualifiedName, _position: number): ast.Statement | undefined {
    return undefined;
  }

  protected alterUserExtension(
    _role: ast.RoleSpec | undefined,
    _position: number,
  ): ast.Statement | undefined {
    return undefined;
  }
}
