/** What functions see of the session: times, settings, who and where. One object a session; its fields follow it. */
import { assert, DbError } from "../base/errors.js";
import type { EvalContext, SessionServices } from "../model/functions.js";
import type { Clock, Random } from "../platform/index.js";
import type { SessionSettings } from "./settings.js";

/** Milliseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch. */
export const postgresEpochMs = 946_684_800_000;

export function microsNow(clock: Clock): number {
  return Math.round((clock.now() - postgresEpochMs) * 1000);
}

export class SessionEvalContext implements EvalContext {
  transactionTimestamp = 0;
  statementTimestamp = 0;
  timeZone = "UTC";
  dateStyle = "ISO, MDY";
  intervalStyle = "postgres";
  extraFloatDigits = 1;
  byteaOutput: "hex" | "escape" = "hex";
  currentUser = "";
  sessionUser = "";
  readonly #services: Partial<SessionServices> = {};

  constructor(
    readonly clock: Clock,
    readonly source: Random,
    readonly settings: SessionSettings,
    readonly currentDatabase: string,
    readonly backendPid: number,
    readonly path: (includeImplicit: boolean) => readonly string[],
  ) {
    const follow = (name: string, apply: () => void): void => {
      apply();
      settings.onChange(name, apply);
    };
    follow("timezone", () => {
      this.timeZone = settings.text("timezone");
    });
    follow("datestyle", () => {
      this.dateStyle = settings.text("datestyle");
    });
    follow("intervalstyle", () => {
      this.intervalStyle = settings.text("intervalstyle");
    });
    follow("extra_float_digits", () => {
      this.extraFloatDigits = settings.number("extra_float_digits");
    });
    follow("bytea_output", () => {
      this.byteaOutput = settings.text("bytea_output") === "escape" ? "escape" : "hex";
    });
  }

  clockTimestamp(): number {
    return microsNow(this.clock);
  }
  random(): number {
    return this.source.fraction();
  }
  setting(name: string, missingOk: boolean): string | null {
    const shown = this.settings.show(name);
    if (shown !== undefined) return shown;
    if (missingOk) return null;
    throw new DbError("undefinedObject", `unrecognized configuration parameter "${name}"`);
  }
  setSetting(name: string, value: string, local: boolean): string {
    this.settings.setText(name, value, { local });
    return this.settings.showExisting(name);
  }
  searchPath(includeImplicit: boolean): readonly string[] {
    return this.path(includeImplicit);
  }
  provide<Name extends keyof SessionServices>(name: Name, service: SessionServices[Name]): void {
    this.#services[name] = service;
  }
  service<Name extends keyof SessionServices>(name: Name): SessionServices[Name] {
    const service = this.#services[name];
    assert(service !== undefined, `service ${name} is not provided`);
    return service as SessionServices[Name];
  }
}
