/**
 * What all grammar layers share: predictive helpers over Chevrotain's rule engine.
 *
 * PostgreSQL's grammar is LALR(1) and blames the first token that cannot continue. The helpers decide by the next word
 * (rarely two) and consume; a token that fits nowhere is therefore found exactly where PostgreSQL finds it. While
 * Chevrotain records the grammar they enter the same choices into its model (as options, repetitions and alternatives),
 * but decide at run time without its lookahead functions: self-analysis then costs only the recording.
 *
 * Invariants: one parser instance serves all statements, never re-entered; `begin` resets everything that a failed parse
 * may have left behind; recursion is bounded by `depthMax`.
 */
import {
  EmbeddedActionsParser,
  type IParserConfig,
  type IToken,
  LLkLookaheadStrategy,
  type Rule,
  type TokenType,
} from "chevrotain";
import type { LiteralClass, QualifiedName } from "../src/sql/ast.js";
import {
  ColumnName,
  Comma,
  Dot,
  End,
  GrammarError,
  Identifier,
  keywordTypes,
  Label,
  LeftParen,
  RightParen,
  type Token,
  vocabulary,
} from "./tokens.js";

/** Nested expressions and queries; deeper text is 54001. Each level costs under a kilobyte of stack. */
export const depthMax = 500;
/** Terms in one chain of operators or set operations: such chains make trees as deep as they are long. */
export const chainMax = 2_000;

/** Never asked: every choice is made by the helpers below. */
class NoLookahead extends LLkLookaheadStrategy {
  override validate(): [] {
    return [];
  }
  override buildLookaheadForAlternation(): () => undefined {
    return () => undefined;
  }
  override buildLookaheadForOptional(): () => boolean {
    return () => false;
  }
}

const config: IParserConfig = {
  maxLookahead: 1,
  skipValidations: true,
  recoveryEnabled: false,
  lookaheadStrategy: new NoLookahead({ maxLookahead: 1 }),
};

/** Words or token types: a string is a keyword or a word of ours. */
export type Word = string;

export type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export abstract class RuleBase extends EmbeddedActionsParser {
  protected depth = 0;
  /** Depth of the select list's expression being read: there an operator's word may be a label instead. */
  protected targetDepth = -1;
  #literalOffsets: readonly number[] | undefined;
  #literalClasses: readonly LiteralClass[] | undefined;
  #literalNext = 0;
  #literalsTaken = 0;

  constructor() {
    super(vocabulary, config);
  }

  /** Hands over the tokens of one statement, the last being End. */
  begin(
    tokens: IToken[],
    literalOffsets?: readonly number[],
    literalClasses?: readonly LiteralClass[],
  ): void {
    this.input = tokens;
    this.depth = 0;
    this.targetDepth = -1;
    this.#literalOffsets = literalOffsets;
    this.#literalClasses = literalClasses;
    this.#literalNext = 0;
    this.#literalsTaken = 0;
  }

  /** Whether each stripped literal met the parser as a constant of its own. If not, the tree must not be shared. */
  get allLiteralsTaken(): boolean {
    return this.#literalOffsets === undefined || this.#literalsTaken === this.#literalOffsets.length;
  }

  /** The index of the stripped literal at this offset, or -1. Asked in ascending order of offsets. */
  protected literalIndex(offset: number): number {
    const offsets = this.#literalOffsets;
    if (offsets === undefined) return -1;
    while (this.#literalNext < offsets.length && offsets[this.#literalNext]! < offset) this.#literalNext++;
    if (offsets[this.#literalNext] !== offset) return -1;
    this.#literalsTaken++;
    return this.#literalNext++;
  }

  protected literalClass(index: number): LiteralClass {
    return this.#literalClasses![index]!;
  }

  /** How many stripped literals were taken so far: to notice those within a type's modifiers. */
  protected get literalsTaken(): number {
    return this.#literalsTaken;
  }

  /** A literal parsed as an expression turned out to be part of a type: the tree must not be shared. */
  protected refuseSharing(): void {
    this.#literalsTaken = Number.NEGATIVE_INFINITY;
  }

  // ---------------------------------------------------------------------------------------------------- the stream

  protected peek(ahead = 1): Token {
    return this.LA(ahead) as Token;
  }

  /** 1-based position of the next token. */
  protected here(): number {
    return this.LA(1).startOffset + 1;
  }

  /** Offset just behind the last token consumed. */
  protected lastEnd(): number {
    return this.LA(0).endOffset ?? 0;
  }

  protected is(word: Word, ahead = 1): boolean {
    const token = this.LA(ahead) as Token;
    if (token.tokenType.name === word) return true;
    return token.tokenType === Identifier && token.value === word && !token.quoted;
  }

  protected isAny(words: ReadonlySet<string>, ahead = 1): boolean {
    return words.has(this.LA(ahead).tokenType.name);
  }

  protected isType(type: TokenType, ahead = 1): boolean {
    return this.LA(ahead).tokenType === type;
  }

  /** Whether a token can stand where the category (or type) is asked for. */
  protected fits(type: TokenType, ahead = 1): boolean {
    const actual = this.LA(ahead).tokenType;
    return actual === type || type.categoryMatchesMap?.[actual.tokenTypeIdx!] === true;
  }

  /** The error PostgreSQL's parser gives at the next token. */
  protected fail(ahead = 1): never {
    throw new UnexpectedToken(this.LA(ahead) as Token);
  }

  /** While the grammar is recorded nothing may fail; the value is never used. */
  protected impossible<T>(): T {
    if (this.RECORDING_PHASE) return undefined as T;
    return this.fail();
  }

  protected enter(): void {
    if (++this.depth > depthMax) this.tooDeep();
  }

  protected leave(): void {
    this.depth--;
  }

  protected tooDeep(): never {
    throw new GrammarError("statementTooComplex", "stack depth limit exceeded", undefined);
  }

  // --------------------------------------------------------------------------------------------------------- helpers

  protected eatType(type: TokenType): Token {
    if (!this.RECORDING_PHASE && !this.fits(type)) this.fail();
    return this.CONSUME(type) as Token;
  }

  protected eat(...words: Word[]): void {
    for (const word of words) {
      if (this.RECORDING_PHASE) this.CONSUME(keywordTypes.get(word) ?? Identifier);
      else if (this.is(word)) this.SKIP_TOKEN();
      else this.fail();
    }
  }

  /** Consumes the words if the first of them comes; then the rest must follow. */
  protected accept(first: Word, ...rest: Word[]): boolean {
    if (this.RECORDING_PHASE) {
      this.option(0, () => this.eat(first, ...rest));
      return false;
    }
    if (!this.is(first)) return false;
    this.SKIP_TOKEN();
    if (rest.length > 0) this.eat(...rest);
    return true;
  }

  /** Consumes two words if both come. */
  protected acceptBoth(first: Word, second: Word): boolean {
    if (this.RECORDING_PHASE) {
      this.option(0, () => this.eat(first, second));
      return false;
    }
    if (!this.is(first) || !this.is(second, 2)) return false;
    this.SKIP_TOKEN();
    this.SKIP_TOKEN();
    return true;
  }

  protected acceptType(type: TokenType): boolean {
    if (this.RECORDING_PHASE) {
      this.option(0, () => this.CONSUME(type));
      return false;
    }
    if (this.LA(1).tokenType !== type) return false;
    this.SKIP_TOKEN();
    return true;
  }

  /** An optional clause that starts with a word. */
  protected when<T>(word: Word, clause: () => T): T | undefined {
    if (this.RECORDING_PHASE) {
      this.option(0, () => {
        this.eat(word);
        clause();
      });
      return undefined;
    }
    if (!this.is(word)) return undefined;
    this.SKIP_TOKEN();
    return clause();
  }

  /** An optional clause that starts with two words. */
  protected whenBoth<T>(first: Word, second: Word, clause: () => T): T | undefined {
    if (!this.RECORDING_PHASE && !(this.is(first) && this.is(second, 2))) return undefined;
    return this.when(first, () => {
      this.eat(second);
      return clause();
    });
  }

  /** Alternatives by their first word, which is consumed; without a match `otherwise`, or a syntax error. */
  protected oneOf<T>(alternatives: Readonly<Record<Word, () => T>>, otherwise?: () => T): T {
    if (this.RECORDING_PHASE) {
      const alts = Object.entries(alternatives).map(([word, alternative]) => ({
        ALT: () => {
          this.eat(word);
          alternative();
        },
      }));
      this.or(0, otherwise === undefined ? alts : [...alts, { ALT: () => void otherwise() }]);
      return undefined as T;
    }
    const token = this.LA(1) as Token;
    const key = token.tokenType === Identifier && !token.quoted ? token.value : token.tokenType.name;
    const alternative = Object.hasOwn(alternatives, key) ? alternatives[key] : undefined;
    if (alternative !== undefined) {
      this.SKIP_TOKEN();
      return alternative();
    }
    return otherwise === undefined ? this.fail() : otherwise();
  }

  /** Items separated by commas, at least one. */
  protected list<T>(item: () => T): T[] {
    if (this.RECORDING_PHASE) {
      item();
      this.many(0, () => {
        this.CONSUME(Comma);
        item();
      });
      return [];
    }
    const items = [item()];
    while (this.LA(1).tokenType === Comma) {
      this.SKIP_TOKEN();
      items.push(item());
    }
    return items;
  }

  /** Items as long as `more` says so (recorded as a repetition). */
  protected repeat(more: () => boolean, item: () => void): void {
    if (this.RECORDING_PHASE) {
      this.many(0, item);
      return;
    }
    while (more()) item();
  }

  protected parens<T>(inner: () => T): T {
    this.eatType(LeftParen);
    const value = inner();
    this.eatType(RightParen);
    return value;
  }

  /** `( inner )` if a parenthesis opens, else undefined. */
  protected optionalParens<T>(inner: () => T): T | undefined {
    if (!this.RECORDING_PHASE && !this.isType(LeftParen)) return undefined;
    return this.parens(inner);
  }

  // ----------------------------------------------------------------------------------------------------------- names

  /** ColId. */
  protected name(): string {
    return this.eatType(ColumnName).value;
  }

  /** ColLabel: any word. */
  protected label(): string {
    return this.eatType(Label).value;
  }

  protected names(): string[] {
    return this.list(() => this.name());
  }

  /** `( name, .. )`. */
  protected nameList(): string[] {
    return this.parens(() => this.names());
  }

  /** The list, or none. */
  protected optionalNameList(): string[] {
    if (!this.RECORDING_PHASE && !this.isType(LeftParen)) return [];
    return this.nameList();
  }

  /** Up to three parts; more is 42601 as in PostgreSQL. */
  protected qualifiedName(): QualifiedName {
    const first = this.eatType(ColumnName);
    return this.qualifiedFrom(first);
  }

  protected qualifiedFrom(first: Token): QualifiedName {
    const position = first.startOffset + 1;
    if (!this.RECORDING_PHASE && !this.isType(Dot)) {
      return { catalog: undefined, schema: undefined, name: first.value, position };
    }
    const parts = [first.value];
    this.repeat(
      () => this.isType(Dot),
      () => {
        this.eatType(Dot);
        parts.push(this.label());
      },
    );
    return toQualifiedName(parts, position);
  }

  protected qualifiedNames(): QualifiedName[] {
    return this.list(() => this.qualifiedName());
  }

  protected isEnd(): boolean {
    return this.LA(1).tokenType === End;
  }
}

export function toQualifiedName(parts: readonly string[], position: number): QualifiedName {
  const count = parts.length;
  if (count > 3) {
    throw new GrammarError(
      "syntaxError",
      `improper qualified name (too many dotted names): ${parts.join(".")}`,
      position - 1,
    );
  }
  return {
    catalog: count === 3 ? parts[0] : undefined,
    schema: count >= 2 ? parts[count - 2] : undefined,
    name: parts[count - 1]!,
    position,
  };
}

/** The parser met a token that cannot stand there; parse.ts words the message, for it has the text. */
export class UnexpectedToken extends Error {
  constructor(readonly token: Token) {
    super("unexpected token");
  }
}

export type { Rule };
