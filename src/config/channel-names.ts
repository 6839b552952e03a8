/** The channels that a config declares, to look up the name of one in them. */
import { Directory, parsePattern, type Pattern } from "../channel/directory.ts";
import { closestWord } from "../suggest.ts";

export class ChannelNames {
  readonly #directory = new Directory<string>();
  readonly #patterns: Pattern[] = [];

  /** @param declared Names and patterns; one that is neither is left out. */
  constructor(declared: Iterable<string>) {
    for (const text of declared) {
      try {
        const pattern = parsePattern(text);
        this.#patterns.push(pattern);
        this.#directory.add(pattern, text);
      } catch {
        // Told of where the channel is declared.
      }
    }
  }

  /** Whether there is a channel of this name; a pattern is no name. */
  has(name: string): boolean {
    if (name.includes("{")) return false;
    try {
      return this.#directory.find(name) !== null;
    } catch {
      return false;
    }
  }

  /** What was probably meant, or what there is. */
  help(name: string): string {
    const declared = this.#patterns.map(({ text }) => text);
    if (declared.includes(name)) {
      const example = name.replaceAll(/\{(\w+)\}/g, "$1");
      return `it is a pattern: name one channel of it, such as "${example}"`;
    }
    const parts = name.split("/");
    const candidates = this.#patterns
      .filter(({ segments }) => segments.length === parts.length)
      .map(({ segments }) =>
        segments
          .map((segment, i) => ("literal" in segment ? segment.literal : parts[i]!))
          .join("/"),
      );
    const meant = closestWord(name, candidates);
    if (meant !== null && meant !== name) return `did you mean "${meant}"?`;
    return declared.length > 0 ? `the config has ${declared.join(", ")}` : "the config has none";
  }
}
