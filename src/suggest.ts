/** Finds the word that someone probably meant. */

/**
 * The Damerau-Levenshtein distance (optimal string alignment): inserts, deletes, changes and swaps of
 * neighbours that turn one word into the other.
 */
export function editDistance(a: string, b: string): number {
  let twoAgo: number[] = [];
  let oneAgo = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let best = Math.min(oneAgo[j]! + 1, row[j - 1]! + 1, oneAgo[j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, twoAgo[j - 2]! + 1);
      }
      row.push(best);
    }
    twoAgo = oneAgo;
    oneAgo = row;
  }
  return oneAgo[b.length]!;
}

/** The closest of `words`, or null when none is near: about one mistake in three letters. */
export function closestWord(word: string, words: readonly string[]): string | null {
  const wanted = simplify(word);
  let best: string | null = null;
  let least = Infinity;
  for (const candidate of words) {
    const most = Math.max(1, Math.floor(Math.max(candidate.length, 3) / 3));
    // Too different in length to be near: this also bounds the work on a word of a megabyte.
    if (Math.abs(candidate.length - word.length) > most + 2) continue;
    const distance = editDistance(wanted, simplify(candidate));
    if (distance <= most && distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** `longPoll`, `long_poll` and `Long-Poll` all mean `long-poll`. */
function simplify(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, "");
}

/** `did you mean "history"?`, or null. */
export function suggest(word: string, words: readonly string[]): string | null {
  const closest = closestWord(word, words);
  return closest === null ? null : `did you mean "${closest}"?`;
}
