import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { SessionSettings, type SettingsOptions, settingDefs } from "./settings.js";

const session = (options: Partial<SettingsOptions> = {}) =>
  new SessionSettings({ isSuperuser: () => false, ...options });

function errorOf(act: () => void): string {
  try {
    act();
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    return [error.sqlstate, error.message, error.fields.detail, error.fields.hint].filter(Boolean).join("|");
  }
  return "no error";
}

describe("values, as PostgreSQL 15 reads and shows them", () => {
  it.each([
    ["work_mem", "1.5MB", "1536kB"],
    ["work_mem", "64MB", "64MB"],
    ["work_mem", "4096", "4MB"],
    ["statement_timeout", "90s", "90s"],
    ["statement_timeout", "2d", "2d"],
    ["statement_timeout", "1 min", "1min"],
    ["lock_timeout", "1.5", "2ms"],
    ["lock_timeout", "0", "0"],
    ["enable_sort", "of", "off"],
    ["enable_sort", "T", "on"],
    ["temp_buffers", "8MB", "8MB"],
    ["backend_flush_after", "0", "0"],
    ["work_mem", "0x100", "256kB"],
    ["DateStyle", "german", "German, DMY"],
    ["DateStyle", "sql, european", "SQL, DMY"],
    ["DateStyle", "dmy", "ISO, DMY"],
    ["TimeZone", "europe/berlin", "Europe/Berlin"],
    ["TimeZone", "5", "<+05>-05"],
    ["TimeZone", "-3.5", "<-03:30>+03:30"],
    ["client_encoding", "unicode", "UTF8"],
    ["client_encoding", "utf-8", "UTF8"],
    ["synchronous_commit", "true", "on"],
    ["client_min_messages", "info", "info"],
    ["application_name", "a€b", "a???b"],
    ["cpu_tuple_cost", "0.25", "0.25"],
    ["foo.bar", "x y", "x y"],
  ])("SET %s = '%s' shows %s", (name, value, shown) => {
    const settings = session();
    settings.set(name, [value]);
    expect(settings.show(name)).toBe(shown);
  });

  it.each([
    ["work_mem", "32", '22023|32 kB is outside the valid range for parameter "work_mem" (64 .. 2147483647)'],
    [
      "work_mem",
      "1XB",
      '22023|invalid value for parameter "work_mem": "1XB"|Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".',
    ],
    [
      "work_mem",
      "99999999999999",
      '22023|invalid value for parameter "work_mem": "99999999999999"|Value exceeds integer range.',
    ],
    [
      "statement_timeout",
      "1 m",
      '22023|invalid value for parameter "statement_timeout": "1 m"|Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".',
    ],
    [
      "statement_timeout",
      "-5",
      '22023|-5 ms is outside the valid range for parameter "statement_timeout" (0 .. 2147483647)',
    ],
    [
      "cpu_tuple_cost",
      "-1",
      '22023|-1 is outside the valid range for parameter "cpu_tuple_cost" (0 .. 1.79769e+308)',
    ],
    ["random_page_cost", "1e400", '22023|invalid value for parameter "random_page_cost": "1e400"'],
    [
      "geqo_selection_bias",
      "1",
      '22023|1 is outside the valid range for parameter "geqo_selection_bias" (1.5 .. 2)',
    ],
    ["enable_sort", "2", '22023|parameter "enable_sort" requires a Boolean value'],
    [
      "bytea_output",
      "x",
      '22023|invalid value for parameter "bytea_output": "x"|Available values: escape, hex.',
    ],
    ["nosuch", "1", '42704|unrecognized configuration parameter "nosuch"'],
    ["server_version", "x", '55P02|parameter "server_version" cannot be changed'],
    [
      "max_connections",
      "5",
      '55P02|parameter "max_connections" cannot be changed without restarting the server',
    ],
    ["autovacuum", "on", '55P02|parameter "autovacuum" cannot be changed now'],
    ["log_connections", "on", '55P02|parameter "log_connections" cannot be set after connection start'],
    ["log_statement", "all", '42501|permission denied to set parameter "log_statement"'],
    [
      "DateStyle",
      "iso,german",
      '22023|invalid value for parameter "DateStyle": "iso,german"|Conflicting "datestyle" specifications.',
    ],
    ["TimeZone", "nowhere", '22023|invalid value for parameter "TimeZone": "nowhere"'],
    ["client_encoding", "latin5x", '22023|invalid value for parameter "client_encoding": "latin5x"'],
    [
      "a b.c",
      "1",
      '42602|invalid configuration parameter name "a b.c"|Custom parameter names must be two or more simple identifiers separated by dots.',
    ],
  ])("SET %s = '%s' is refused", (name, value, error) => {
    expect(errorOf(() => session().set(name, [value]))).toBe(error);
  });

  it("takes several values for lists alone", () => {
    const settings = session();
    settings.set("search_path", ["a b", "public", "X"]);
    expect(settings.show("search_path")).toBe('"a b", public, "X"');
    expect(settings.list("search_path")).toEqual(["a b", "public", "X"]);
    settings.set("search_path", [""]);
    expect(settings.show("search_path")).toBe('""');
    settings.setText("search_path", 'One, "Two"');
    expect(settings.list("search_path")).toEqual(["one", "Two"]);
    expect(errorOf(() => settings.setText("search_path", "x y"))).toContain("List syntax is invalid.");
    expect(errorOf(() => settings.set("work_mem", ["1", "2"]))).toBe(
      "22023|SET work_mem takes only one argument",
    );
  });

  it("lets a superuser set what others may not", () => {
    const settings = session({ isSuperuser: () => true });
    settings.set("log_statement", ["all"]);
    expect(settings.show("log_statement")).toBe("all");
  });

  it("knows no value that its own table would refuse", () => {
    const settings = session({ isSuperuser: () => true });
    for (const { name, bootVal, context } of settings.rows()) {
      if (context !== "user" || name === "client_encoding") continue;
      const before = settings.show(name);
      settings.setText(name, bootVal);
      expect(settings.show(name), name).toBe(before);
    }
    expect(new Set(settingDefs.map((def) => def.description)).size).toBeGreaterThan(150);
  });
});

describe("transactions", () => {
  it("SET stays after COMMIT and goes with ROLLBACK; SET LOCAL ends with either", () => {
    const settings = session();
    settings.begin();
    settings.set("work_mem", ["8MB"]);
    settings.set("work_mem", ["16MB"], { local: true });
    expect(settings.show("work_mem")).toBe("16MB");
    settings.commit();
    expect(settings.show("work_mem")).toBe("8MB");
    settings.begin();
    settings.set("work_mem", ["32MB"]);
    settings.set("lock_timeout", ["5s"], { local: true });
    settings.rollback();
    expect([settings.show("work_mem"), settings.show("lock_timeout")]).toEqual(["8MB", "0"]);
  });

  it("ROLLBACK TO goes back to the savepoint; RELEASE keeps", () => {
    const settings = session();
    settings.begin();
    settings.set("work_mem", ["8MB"], { local: true });
    const outer = settings.mark();
    settings.set("work_mem", ["16MB"]);
    settings.set("foo.bar", ["1"]);
    const inner = settings.mark();
    settings.set("work_mem", ["32MB"]);
    settings.rollbackTo(inner);
    expect(settings.show("work_mem")).toBe("16MB");
    settings.rollbackTo(outer);
    expect(settings.show("work_mem")).toBe("8MB");
    expect(settings.show("foo.bar")).toBeUndefined();
    settings.commit();
    expect(settings.show("work_mem")).toBe("4MB");
  });

  it("tells listeners and clients of every change, rollbacks too", () => {
    const settings = session();
    settings.reported();
    const heard: unknown[] = [];
    settings.onChange("TimeZone", (value) => heard.push(value));
    settings.begin();
    settings.set("timezone", ["Europe/Berlin"]);
    expect(settings.takeChanged()).toEqual([["TimeZone", "Europe/Berlin"]]);
    settings.rollback();
    expect(settings.takeChanged()).toEqual([["TimeZone", "Etc/UTC"]]);
    expect(settings.takeChanged()).toEqual([]);
    expect(heard).toEqual(["Europe/Berlin", "Etc/UTC"]);
  });

  it("a transaction starts with the defaults of its characteristics", () => {
    const settings = session();
    settings.begin();
    settings.set("transaction_isolation", ["serializable"]);
    expect(settings.show("transaction_isolation")).toBe("serializable");
    settings.commit();
    settings.set("default_transaction_isolation", ["repeatable read"]);
    settings.begin();
    expect(settings.show("transaction_isolation")).toBe("repeatable read");
  });
});

describe("RESET", () => {
  it("goes back to what the session started with", () => {
    const settings = session();
    settings.setText("work_mem", "8MB", { source: "user" });
    settings.setText("application_name", "app", { source: "client" });
    settings.startUpDone();
    settings.set("work_mem", ["1GB"]);
    settings.set("application_name", ["other"]);
    settings.set("foo.bar", ["1"]);
    settings.reset("work_mem");
    expect(settings.show("work_mem")).toBe("8MB");
    settings.resetAll();
    expect(settings.show("application_name")).toBe("app");
    expect(settings.show("foo.bar")).toBe("");
    expect(settings.rows().find(({ name }) => name === "work_mem")).toMatchObject({
      setting: "8192",
      unit: "kB",
      source: "user",
      bootVal: "4096",
      resetVal: "8192",
      minVal: "64",
    });
  });
});
