/** What a command of the command line is. One file a command; `commands.ts` lists them. */

export interface Command {
  /** What comes after `tidewire`: one word, or two: `plugin new`. */
  readonly name: string;
  /** What follows the name, as the help shows it: `[config]`. */
  readonly usage: string;
  /** One line for the help. */
  readonly summary: string;
  /** Arguments beside options that it takes at most, and at least. */
  readonly operands: { readonly min: number; readonly max: number };
  /** Its options: a flag, or one that takes a text; maybe with a letter of its own. */
  readonly options: Readonly<
    Record<string, { readonly type: "boolean" | "string"; readonly short?: string }>
  >;
  /** @returns The exit code. Results go to stdout, diagnostics to stderr. */
  run(call: Call): number | Promise<number>;
}

/** One call of a command, its arguments checked against what it takes. */
export interface Call {
  readonly operands: readonly string[];
  /** What was given: true for a flag, the text of an option that takes one. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

/** The config's name where none is given. */
export const DEFAULT_CONFIG = "tidewire.yaml";
