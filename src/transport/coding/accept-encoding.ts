/** Which content coding an answer has: `Accept-Encoding` (RFC 9110 §12.5.3). */

/** The codings that there are, by their names in HTTP (RFC 9110 §8.4.1, RFC 8878 §7.2). */
export type CodingName = "zstd" | "gzip";

/** `gzip`, `gzip;q=0.8`, `*;q=0`. */
const ITEM = /^([!#$%&'*+\-.^_`|~0-9a-z]+)(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?$/;

/**
 * Chooses what the client likes best; of what it likes as much, what is offered first.
 *
 * @param header The field's value; null where there is none: then the answer is as it is, for many a client
 *   that says nothing can't decode.
 * @param offered What this server would use, the best first.
 * @returns null for no coding, which is what a client gets too whose field can't be read.
 */
export function chooseCoding(
  header: string | null,
  offered: readonly CodingName[],
): CodingName | null {
  if (header === null || offered.length === 0) return null;
  const weights = readWeights(header);
  const others = weights.get("*") ?? 0;
  let best: CodingName | null = null;
  // Not named, it is acceptable, and nobody's wish.
  let bestWeight = weights.get("identity") ?? 0;
  for (const name of offered) {
    const weight = weights.get(name) ?? others;
    // Liked as much as a coding, plain is not what the client names codings for.
    if (weight === 0 || weight < bestWeight || (best !== null && weight === bestWeight)) continue;
    best = name;
    bestWeight = weight;
  }
  return best;
}

/** Weights by lower-case name. An item that can't be read counts as not there. */
function readWeights(header: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const item of header.toLowerCase().split(",")) {
    const match = ITEM.exec(item.trim());
    if (!match) continue;
    // An old name of the same coding (RFC 9110 §8.4.1.3).
    const name = match[1] === "x-gzip" ? "gzip" : match[1]!;
    // The first counts: who repeats one says nothing that could be relied on.
    if (!weights.has(name)) weights.set(name, match[2] === undefined ? 1 : Number(match[2]));
  }
  return weights;
}
