/**
 * Words behind which a statement's text has secrets: for everything that keeps such texts, or shows them to others than the client.
 *
 * Invariant: a word that a statement takes a secret behind is here, and so is what a secret that has a form of its own looks like.
 */

/** Behind them literals are secrets in what is kept for ever. */
export const secretWord =
  /^(password|passwd|passphrase|secret|secrets|token|tokens|key|keys|share|shares|credential|credentials|pin|recover)$/i;

/** Columns are named so every day: alone they are no reason to hide what is only shown. */
const usual = /^(key|keys|pin)$/i;

/** Shares of a CA key, as `security/shares.ts` writes them; what is typed with breaks or blanks in it too. */
const share = /sbcakey\d*-[0-9a-z\s-]*/gi;

export function withoutShares(text: string): string {
  return text.replace(share, "***");
}

export function mentionsSecret(text: string): boolean {
  if (/sbcakey/i.test(text)) return true;
  for (const [word] of text.matchAll(/[a-z]+/gi)) if (secretWord.test(word) && !usual.test(word)) return true;
  return false;
}
