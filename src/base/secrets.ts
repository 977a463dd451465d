/**
 * What gives away that a statement's text holds shares of a CA key: for everything that shows or keeps such texts.
 *
 * Invariant: a text that brings shares in (RECOVER CA KEY), or that holds something written like one, is found, however it is spelled.
 */

/** As `security/shares.ts` writes them; what is typed with breaks or blanks in it too. */
const share = /sbcakey\d*-[0-9a-z\s-]*/gi;

export function mayHoldShares(text: string): boolean {
  return /sbcakey|\brecover\b/i.test(text);
}

export function withoutShares(text: string): string {
  return text.replace(share, "***");
}
