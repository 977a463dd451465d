/**
 * A small Postgres client on pg-protocol: logs in with SCRAM and runs simple queries. For `scratchbird sql` only.
 *
 * Invariants: one query at a time; a lost connection rejects what is waiting.
 */
import { type DatabaseError, parse, serialize } from "pg-protocol";
import type {
  BackendMessage,
  CommandCompleteMessage,
  CopyDataMessage,
  DataRowMessage,
  NoticeMessage,
  RowDescriptionMessage,
} from "pg-protocol/dist/messages.js";
import { DbError } from "../base/errors.js";
import { type Dialled, dial, type TlsMode } from "../platform/dial.js";
import type { Random } from "../platform/index.js";
import { mechanisms, ScramClient } from "../security/index.js";
import type { ResultColumn } from "./table.js";

/** The library's declarations leave these two out. */
type SaslMechanisms = BackendMessage & { readonly mechanisms: readonly string[] };
type SaslData = BackendMessage & { readonly data: string };

export interface ClientAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly tls: TlsMode;
}

/** Of what should have been a URL: whatever stands between the first colon behind the slashes and the last @. */
function withoutPassword(text: string): string {
  return text.replace(/^([^:/]*:\/\/[^:]*:).*@/s, "$1***@");
}

/** `postgres://user:password@host:port/database?sslmode=…`; missing parts from `defaults`. @throws DbError 22023 */
export function parseUrl(text: string, defaults: ClientAddress): ClientAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new DbError("invalidParameterValue", `"${withoutPassword(text)}" is no URL`, {
      hint: "Give one such as postgres://admin@127.0.0.1:5433/scratchbird",
    });
  }
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
    throw new DbError("invalidParameterValue", `"${url.protocol}//" is no Postgres URL`);
  }
  const mode = url.searchParams.get("sslmode") ?? defaults.tls;
  if (mode !== "disable" && mode !== "prefer" && mode !== "require") {
    throw new DbError("invalidParameterValue", `sslmode "${mode}" is not one of disable, prefer, require`);
  }
  const user = decodeURIComponent(url.username) || defaults.user;
  return {
    host: url.hostname.replace(/^\[|\]$/g, "") || defaults.host,
    port: url.port === "" ? defaults.port : Number(url.port),
    user,
    password: decodeURIComponent(url.password) || defaults.password,
    database: decodeURIComponent(url.pathname.slice(1)) || defaults.database,
    tls: mode,
  };
}

/** What happens during a query, in order. */
export interface QueryEvents {
  columns(columns: readonly ResultColumn[]): void;
  row(values: readonly (string | null)[]): void;
  complete(tag: string): void;
  copyOut(data: Buffer): void;
  notice(severity: string, message: string): void;
  error(error: DatabaseError): void;
}

export class SqlClient {
  #dialled!: Dialled;
  #onMessage: (message: BackendMessage) => void = () => {};
  #onLost: (error: Error) => void = () => {};
  #lost: Error | undefined;
  readonly parameters = new Map<string, string>();

  private constructor(private readonly address: ClientAddress) {}

  /** @throws DbError 08006 or the server's error */
  static async connect(address: ClientAddress, random: Random): Promise<SqlClient> {
    const client = new SqlClient(address);
    client.#dialled = await dial(address.host, address.port, address.tls);
    const { stream } = client.#dialled;
    const lose = (error: Error) => {
      client.#lost ??= error;
      client.#onLost(client.#lost);
    };
    stream.on("error", lose);
    stream.on("close", () => lose(new DbError("connectionFailure", "the server closed the connection")));
    void parse(stream, (message) => client.#onMessage(message));
    await client.#logIn(random);
    return client;
  }

  #send(bytes: Uint8Array): void {
    this.#dialled.stream.write(bytes);
  }

  #logIn(random: Random): Promise<void> {
    const { user, database, password } = this.address;
    return new Promise((resolve, reject) => {
      let scram: ScramClient | undefined;
      this.#onLost = reject;
      this.#onMessage = (message) => {
        switch (message.name) {
          case "authenticationSASL": {
            const offered = (message as SaslMechanisms).mechanisms;
            if (password === undefined) {
              reject(
                new DbError("invalidPassword", `a password is needed for user "${user}"`, {
                  hint: "Put it into the URL or into PGPASSWORD.",
                }),
              );
              return;
            }
            const binding = offered.includes(mechanisms.plus) ? this.#dialled.certificateHash : undefined;
            scram = new ScramClient(password, random, binding);
            this.#send(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.first()));
            return;
          }
          case "authenticationSASLContinue":
            scram!
              .final((message as SaslData).data)
              .then((answer) => this.#send(serialize.sendSCRAMClientFinalMessage(answer)), reject);
            return;
          case "authenticationSASLFinal":
            try {
              scram!.verify((message as SaslData).data);
            } catch (error) {
              reject(error);
            }
            return;
          case "parameterStatus": {
            const { parameterName, parameterValue } = message as unknown as Record<string, string>;
            this.parameters.set(parameterName!, parameterValue!);
            return;
          }
          case "error": {
            const { message: text, detail, hint } = message as unknown as DatabaseError;
            reject(new DbError("connectionException", text, { detail, hint }));
            return;
          }
          case "readyForQuery":
            resolve();
            return;
          default:
            return;
        }
      };
      this.#send(
        serialize.startup({ user, database, application_name: "scratchbird sql", client_encoding: "UTF8" }),
      );
    });
  }

  /** Runs one Query message; resolves at ReadyForQuery, errors of statements go to the events. */
  query(text: string, events: QueryEvents): Promise<void> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      this.#onLost = reject;
      this.#onMessage = (message) => {
        switch (message.name) {
          case "rowDescription":
            events.columns(
              (message as RowDescriptionMessage).fields.map(({ name, dataTypeID }) => ({
                name,
                typeOid: dataTypeID,
              })),
            );
            return;
          case "dataRow":
            events.row((message as DataRowMessage).fields as (string | null)[]);
            return;
          case "commandComplete":
            events.complete((message as CommandCompleteMessage).text);
            return;
          case "copyInResponse":
            this.#send(serialize.copyFail("scratchbird sql does not send COPY data"));
            return;
          case "copyData":
            events.copyOut((message as CopyDataMessage).chunk);
            return;
          case "notice":
            events.notice(
              String((message as NoticeMessage).severity),
              String((message as NoticeMessage).message),
            );
            return;
          case "error":
            events.error(message as unknown as DatabaseError);
            return;
          case "readyForQuery":
            resolve();
            return;
          default:
            return;
        }
      };
      this.#send(serialize.query(text));
    });
  }

  close(): void {
    this.#onLost = () => {};
    this.#dialled.stream.end(serialize.end());
  }
}
