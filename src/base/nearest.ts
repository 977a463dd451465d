/** What somebody may have meant: the known word nearest to the one that was written. For hints. */

/** Levenshtein distance, for hints. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const swap = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}

/** The known word nearest to one that is not. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const short = word.slice(0, 64);
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(short.length / 2)) + 1;
  for (const candidate of known) {
    const found = distance(short, candidate);
    if (found < bestDistance) [best, bestDistance] = [candidate, found];
  }
  return best;
}
