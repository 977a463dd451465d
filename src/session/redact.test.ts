import { describe, expect, it } from "vitest";
import { redacted } from "./redact.js";

describe("statement texts that are kept", () => {
  it.each([
    ["CREATE ROLE a PASSWORD 'x''y' LOGIN", "CREATE ROLE a PASSWORD '***' LOGIN"],
    [
      "alter user a with encrypted password E'a\\'b' valid until '2030-01-01'",
      "alter user a with encrypted password E'***' valid until '2030-01-01'",
    ],
    ["ALTER ROLE a PASSWORD $q$it's$q$", "ALTER ROLE a PASSWORD '***'"],
    ["ALTER ROLE a PASSWORD U&'\\0061' UESCAPE '!'", "ALTER ROLE a PASSWORD U&'***' UESCAPE '!'"],
    ["ALTER ROLE a PASSWORD 'one'\n 'two'", "ALTER ROLE a PASSWORD '***'\n '***'"],
    [
      "UNLOCK CA KEY WITH SHARES ('s1', 's2') REASON 'r'",
      "UNLOCK CA KEY WITH SHARES ('***', '***') REASON 'r'",
    ],
    ["CREATE TABLE t (x text DEFAULT 'kept') -- password 'no'", "CREATE TABLE t (x text DEFAULT 'kept')"],
    ["CREATE /* secret 'a' /* nested */ */ TABLE t ()", "CREATE   TABLE t ()"],
    ["COMMENT ON TABLE \"password\" IS 'hidden to be sure'", "COMMENT ON TABLE \"password\" IS '***'"],
    ["SET x = $1", "SET x = $1"],
    ["CREATE TABLE t (a int DEFAULT 1.5e3)", "CREATE TABLE t (a int DEFAULT 1.5e3)"],
  ])("%s", (sql, kept) => {
    expect(redacted(sql)).toBe(kept);
  });
});
