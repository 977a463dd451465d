/**
 * A CA's key in a token (an HSM, a smart card, SoftHSM), reached by PKCS #11 2.40/3.0: made there, never out of it (CA-41).
 *
 *     authority.ts --- bytes to sign ---> CaSigner of a label --- one call at a time ---> pkcs11js ---> the maker's module
 *
 * The add-on `pkcs11js` is compiled where it is installed, so it is no dependency of the program: who has a token installs it
 * (docs/decisions/ca-key-custody.md). It is loaded when a token is opened, not before.
 *
 * Invariants: keys are made in the token, never to be taken out, and one that was brought in is refused; a label names one
 * key; calls are made one after the other, as a session wants them; a session that was lost is opened again once for a call,
 * and the call made again; the PIN is asked for at each login and not kept.
 */
import { createHash, createPublicKey } from "node:crypto";
import { isAbsolute } from "node:path";
import { pathToFileURL } from "node:url";
import { DbError } from "../base/errors.js";
import type { CaAlgorithm, CaSigner } from "./ca-signer.js";
import { sequence, unsigned } from "./der.js";

export interface TokenConfig {
  /** The maker's module: a shared library, by its path. */
  readonly module: string;
  /** Which token: by its label, by its place among the slots that hold one (from 0), or both. Neither: the only one. */
  readonly tokenLabel?: string | undefined;
  readonly slot?: number | undefined;
  /** The user's PIN, asked for at each login. */
  readonly pin: () => string | Promise<string>;
  /** Where the add-on is: a package's name (pkcs11js) or a path. */
  readonly addOn?: string | undefined;
}

type Handle = Buffer;
type Attribute = { readonly type: number; readonly value?: boolean | number | string | Buffer };
/** As much of the add-on as is used (pkcs11js 2.1). */
interface Module {
  load(path: string): void;
  close(): void;
  C_Initialize(): void;
  C_Finalize(): void;
  C_GetSlotList(withToken: boolean): Handle[];
  C_GetTokenInfo(slot: Handle): { readonly label: string };
  C_GetMechanismList(slot: Handle): number[];
  C_OpenSession(slot: Handle, flags: number): Handle;
  C_CloseSession(session: Handle): void;
  C_Login(session: Handle, user: number, pin: string): void;
  C_FindObjectsInit(session: Handle, template: readonly Attribute[]): void;
  C_FindObjects(session: Handle, most: number): Handle[];
  C_FindObjectsFinal(session: Handle): void;
  C_GetAttributeValue(
    session: Handle,
    object: Handle,
    template: readonly Attribute[],
  ): readonly { readonly value: Buffer }[];
  C_GenerateKeyPairAsync(
    session: Handle,
    mechanism: { readonly mechanism: number },
    publicKey: readonly Attribute[],
    privateKey: readonly Attribute[],
  ): Promise<{ readonly publicKey: Handle; readonly privateKey: Handle }>;
  C_SignInit(session: Handle, mechanism: { readonly mechanism: number }, key: Handle): void;
  C_SignAsync(session: Handle, data: Buffer, into: Buffer): Promise<Buffer>;
}

/** PKCS #11 3.0 and its list of mechanisms. pkcs11js names the older ones; those of EdDSA nobody names. */
const flag = { readWrite: 2, serial: 4 } as const;
const user = 1;
const objectClass = { publicKey: 2, privateKey: 3 } as const;
const attribute = {
  class: 0x000,
  token: 0x001,
  private: 0x002,
  label: 0x003,
  id: 0x102,
  sensitive: 0x103,
  sign: 0x108,
  verify: 0x10a,
  extractable: 0x162,
  neverExtractable: 0x164,
  ecParams: 0x180,
  ecPoint: 0x181,
} as const;
interface KeyForm {
  readonly algorithm: CaAlgorithm;
  readonly generate: number;
  readonly sign: number;
  /** The curve, DER of its identifier; a second spelling that modules also use. */
  readonly curves: readonly Buffer[];
  readonly pointBytes: number;
  /** What SubjectPublicKeyInfo holds before the point. */
  readonly spkiHead: Buffer;
}
/** In the order in which they are preferred. */
const forms: readonly KeyForm[] = [
  {
    algorithm: "Ed25519",
    generate: 0x1055, // CKM_EC_EDWARDS_KEY_PAIR_GEN
    sign: 0x1057, // CKM_EDDSA
    curves: [Buffer.from("06032b6570", "hex"), Buffer.from("130c656477617264733235353139", "hex")],
    pointBytes: 32,
    spkiHead: Buffer.from("302a300506032b6570032100", "hex"),
  },
  {
    algorithm: "ECDSA-P256",
    generate: 0x1040, // CKM_EC_KEY_PAIR_GEN
    sign: 0x1041, // CKM_ECDSA, of a hash that was made here
    curves: [Buffer.from("06082a8648ce3d030107", "hex")],
    pointBytes: 65,
    spkiHead: Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex"),
  },
];

/** Return values that say the session, the login or the module's state is gone, not that the call was wrong. */
const lost = new Set([
  0x030, // CKR_DEVICE_ERROR
  0x032, // CKR_DEVICE_REMOVED
  0x082, // CKR_OBJECT_HANDLE_INVALID: handles are of a session
  0x060, // CKR_KEY_HANDLE_INVALID
  0x0b0, // CKR_SESSION_CLOSED
  0x0b3, // CKR_SESSION_HANDLE_INVALID
  0x0e0, // CKR_TOKEN_NOT_PRESENT
  0x101, // CKR_USER_NOT_LOGGED_IN
  0x190, // CKR_CRYPTOKI_NOT_INITIALIZED
]);
const alreadyLoggedIn = 0x100;
const alreadyInitialized = 0x191;
/** CKR_PIN_INCORRECT, _INVALID, _LEN_RANGE, _EXPIRED, _LOCKED. */
const pinRefused = new Set([0x0a0, 0x0a1, 0x0a2, 0x0a3, 0x0a4]);

/** The token's return value, where an error is one. */
function codeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "number" && error.code > 0 ? error.code : undefined;
}

function failed(error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined || error instanceof DbError) return error;
  const what = `${(error as Error).message} (0x${code.toString(16)})`;
  if (pinRefused.has(code))
    return new DbError("invalidAuthorizationSpecification", `the token refuses the PIN: ${what}`, {
      hint: "A token locks itself after a few wrong ones.",
    });
  return new DbError("ioError", `the token of the CA key fails: ${what}`, {}, error);
}

async function loadAddOn(addOn: string): Promise<new () => Module> {
  const file = /\.[cm]?js$/.test(addOn) ? addOn : `${addOn}/index.js`;
  const specifier = isAbsolute(addOn) ? pathToFileURL(file).href : addOn; // not a literal: it may be missing
  try {
    const loaded = (await import(specifier)) as {
      PKCS11?: new () => Module;
      default?: { PKCS11?: new () => Module };
    };
    const found = loaded.PKCS11 ?? loaded.default?.PKCS11;
    if (found !== undefined) return found;
  } catch (error) {
    throw new DbError(
      "configFileError",
      `the add-on for tokens cannot be loaded from ${addOn}`,
      {
        detail: error instanceof Error ? error.message.split("\n")[0] : undefined,
        hint: "Install it where the program is: npm install --no-save pkcs11js@2.1.7 (it is compiled, which takes a C++ compiler).",
      },
      error,
    );
  }
  throw new DbError("configFileError", `${addOn} is not the add-on pkcs11js`);
}

interface Session {
  readonly handle: Handle;
  readonly mechanisms: ReadonlySet<number>;
}

/** A token and the one session with it. Several may be open, of one module too. */
export class Pkcs11Token {
  readonly #module: Module;
  readonly #config: TokenConfig;
  #session: Session | undefined;
  #closed = false;
  /** The call before the next one. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(module: Module, config: TokenConfig) {
    this.#module = module;
    this.#config = config;
  }

  /**
   * Loads the add-on and the module, and logs in.
   * @throws DbError configFileError (F0000) when the add-on or the module cannot be loaded, or no one token fits the
   *   configuration; invalidAuthorizationSpecification (28000) when the PIN is refused; ioError (58030) for what else the token says
   */
  static async open(config: TokenConfig): Promise<Pkcs11Token> {
    const Loaded = await loadAddOn(config.addOn ?? "pkcs11js");
    const module = new Loaded();
    try {
      module.load(config.module);
    } catch (error) {
      throw new DbError(
        "configFileError",
        `the PKCS #11 module ${config.module} cannot be loaded`,
        {},
        error,
      );
    }
    const token = new Pkcs11Token(module, config);
    try {
      await token.#run(async () => undefined);
    } catch (error) {
      token.#module.close();
      throw error;
    }
    return token;
  }

  /**
   * Makes a key in the token: Ed25519, or ECDSA P-256 where the token knows no EdDSA.
   * @param label names it from now on
   * @throws DbError duplicateObject (42710) when there is one of this label; featureNotSupported (0A000) when the token can make
   *   neither, or not the one asked for; ioError (58030)
   */
  createKey(label: string, algorithm?: CaAlgorithm): Promise<CaSigner> {
    return this.#run(async ({ handle, mechanisms }) => {
      if (this.#find(handle, objectClass.privateKey, label).length > 0)
        throw new DbError("duplicateObject", `the token has a key "${label}" already`);
      const form = forms.find(
        (one) =>
          mechanisms.has(one.generate) &&
          mechanisms.has(one.sign) &&
          (algorithm === undefined || algorithm === one.algorithm),
      );
      if (form === undefined)
        throw new DbError(
          "featureNotSupported",
          `the token makes no ${algorithm ?? "Ed25519 or ECDSA P-256"} keys`,
        );
      const common = [
        { type: attribute.token, value: true },
        { type: attribute.label, value: label },
        { type: attribute.id, value: createHash("sha256").update(label).digest().subarray(0, 16) },
      ];
      const made = await this.#module.C_GenerateKeyPairAsync(
        handle,
        { mechanism: form.generate },
        [
          ...common,
          { type: attribute.verify, value: true },
          { type: attribute.ecParams, value: form.curves[0]! },
        ],
        [
          ...common,
          { type: attribute.private, value: true },
          { type: attribute.sensitive, value: true },
          { type: attribute.extractable, value: false },
          { type: attribute.sign, value: true },
        ],
      );
      return this.#signer(handle, made.publicKey, label);
    });
  }

  /**
   * A signer for a key that is there.
   * @throws DbError undefinedObject (42704) when there is none of this label; configFileError (F0000) when there are several, or
   *   when it is of another kind, was not made in the token or can be taken out of it; ioError (58030)
   */
  key(label: string): Promise<CaSigner> {
    return this.#run(async ({ handle }) => {
      this.#privateKey(handle, label);
      return this.#signer(handle, this.#one(handle, objectClass.publicKey, label), label);
    });
  }

  /** Ends the session. Signers of this token fail from now on. */
  async close(): Promise<void> {
    await this.#last.catch(() => undefined); // who made that call was told
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    this.#module.close();
  }

  /** One call after the other, each with a session; anew, once, when the session turns out to be lost. */
  #run<T>(call: (session: Session) => Promise<T>): Promise<T> {
    const next = this.#last
      .catch(() => undefined) // who made the call before was told
      .then(async () => {
        if (this.#closed) throw new DbError("ioError", "the token of the CA key is closed");
        const had = this.#session !== undefined;
        try {
          return await call(await this.#login());
        } catch (error) {
          const code = codeOf(error);
          if (code === undefined || !lost.has(code)) throw failed(error);
          this.#forget();
          if (!had) throw failed(error);
        }
        try {
          return await call(await this.#login());
        } catch (error) {
          this.#forget();
          throw failed(error);
        }
      });
    this.#last = next;
    return next;
  }

  async #login(): Promise<Session> {
    if (this.#session !== undefined) return this.#session;
    const pkcs11 = this.#module;
    tolerating(alreadyInitialized, () => pkcs11.C_Initialize());
    const slot = this.#slot();
    const mechanisms = new Set(pkcs11.C_GetMechanismList(slot));
    const handle = pkcs11.C_OpenSession(slot, flag.serial | flag.readWrite);
    try {
      const pin = await this.#config.pin();
      // A login is of the program, not of the session: another session of it may be logged in.
      tolerating(alreadyLoggedIn, () => pkcs11.C_Login(handle, user, pin));
    } catch (error) {
      pkcs11.C_CloseSession(handle);
      throw error;
    }
    this.#session = { handle, mechanisms };
    return this.#session;
  }

  /** Lets go of the session. That it is lost already is why this is called. */
  #forget(): void {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    try {
      this.#module.C_CloseSession(session.handle);
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
    }
  }

  #slot(): Handle {
    const { tokenLabel, slot } = this.#config;
    const slots = this.#module.C_GetSlotList(true);
    // Labels are filled with blanks to 32 bytes.
    const fits = (one: Handle): boolean =>
      tokenLabel === undefined || this.#module.C_GetTokenInfo(one).label.trimEnd() === tokenLabel;
    const found = slots.filter((one, at) => (slot === undefined || at === slot) && fits(one));
    if (found.length === 1) return found[0]!;
    const wanted = [
      ...(tokenLabel === undefined ? [] : [`called "${tokenLabel}"`]),
      ...(slot === undefined ? [] : [`in slot ${slot}`]),
    ].join(" ");
    throw new DbError(
      "configFileError",
      found.length === 0
        ? `there is no token ${wanted}`.trimEnd()
        : `there are ${found.length} tokens ${wanted}`.trimEnd(),
      {
        detail: `Slots that hold a token: ${slots.length}.`,
        hint: "Say which one by its label or its slot.",
      },
    );
  }

  #find(session: Handle, kind: number, label: string): Handle[] {
    const pkcs11 = this.#module;
    pkcs11.C_FindObjectsInit(session, [
      { type: attribute.class, value: kind },
      { type: attribute.label, value: label },
    ]);
    try {
      return pkcs11.C_FindObjects(session, 2);
    } finally {
      pkcs11.C_FindObjectsFinal(session);
    }
  }
  #one(session: Handle, kind: number, label: string): Handle {
    const found = this.#find(session, kind, label);
    if (found.length === 1) return found[0]!;
    const half = kind === objectClass.publicKey ? "public key" : "private key";
    if (found.length > 1) throw new DbError("configFileError", `the token has several ${half}s "${label}"`);
    throw new DbError("undefinedObject", `the token has no ${half} "${label}"`);
  }
  #privateKey(session: Handle, label: string): Handle {
    const key = this.#one(session, objectClass.privateKey, label);
    const [never] = this.#module.C_GetAttributeValue(session, key, [{ type: attribute.neverExtractable }]);
    // False also of a key that was brought in: whoever brought it has it.
    if (never?.value[0] !== 1)
      throw new DbError(
        "configFileError",
        `the key "${label}" was not made in the token, or can be taken out`,
        {
          hint: "Have the token make a new one, and replace the CA by one of that key.",
        },
      );
    return key;
  }

  #signer(session: Handle, publicKey: Handle, label: string): CaSigner {
    const values = this.#module.C_GetAttributeValue(session, publicKey, [
      { type: attribute.ecParams },
      { type: attribute.ecPoint },
    ]);
    const [curve, point] = [values[0]!.value, values[1]!.value];
    const form = forms.find((one) => one.curves.some((spelling) => spelling.equals(curve)));
    // The standard wants the point in an OCTET STRING or, of Edwards curves, as it is; modules differ.
    const excess = form === undefined ? -1 : point.length - form.pointBytes;
    if (form === undefined || (excess !== 0 && excess !== 2 && excess !== 3))
      throw new DbError(
        "configFileError",
        `the key "${label}" of the token is neither Ed25519 nor ECDSA P-256`,
      );
    const spki = Buffer.concat([form.spkiHead, point.subarray(excess)]);
    const publicKeySpki = createPublicKey({ key: spki, format: "der", type: "spki" }).export({
      format: "der",
      type: "spki",
    });
    return {
      algorithm: form.algorithm,
      publicKeySpki,
      sign: (data) => this.#sign(form, label, data),
    };
  }

  #sign(form: KeyForm, label: string, data: Uint8Array): Promise<Uint8Array> {
    const input =
      form.algorithm === "Ed25519" ? Buffer.from(data) : createHash("sha256").update(data).digest();
    return this.#run(async ({ handle }) => {
      // Looked up each time: handles do not outlive a session, and a signature is a rare thing.
      const key = this.#privateKey(handle, label);
      this.#module.C_SignInit(handle, { mechanism: form.sign }, key);
      const raw = await this.#module.C_SignAsync(handle, input, Buffer.alloc(128));
      if (raw.length !== 64) throw new DbError("ioError", `the token signs with ${raw.length} bytes, not 64`);
      if (form.algorithm === "Ed25519") return raw;
      return sequence(unsigned(raw.subarray(0, 32)), unsigned(raw.subarray(32)));
    });
  }
}

function tolerating(code: number, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (codeOf(error) !== code) throw error;
  }
}
