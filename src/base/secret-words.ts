/**
 * Words behind which a statement's text has secrets: for everything that keeps such texts, or shows them to others than the client.
 *
 * Invariant: a word that a statement takes a secret behind is here.
 */

/** Behind them literals are secrets in what is kept for ever. */
export const secretWord =
  /^(password|passwd|passphrase|secret|secrets|token|tokens|key|keys|share|shares|credential|credentials|pin)$/i;

/** Columns are named so every day: alone they are no reason to hide what is only shown. */
const usual = /^(key|keys|pin)$/i;

export function mentionsSecret(text: string): boolean {
  for (const [word] of text.matchAll(/[a-z]+/gi)) if (secretWord.test(word) && !usual.test(word)) return true;
  return false;
}
