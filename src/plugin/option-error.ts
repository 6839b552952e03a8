/** Part of an option's text, in UTF-16 units. */
export interface OptionPart {
  readonly index: number;
  readonly length: number;
}

/**
 * Says that one option of a plugin is wrong; thrown by a plugin's `check`, it is shown where the option
 * stands in the config.
 *
 * @example
 * ```ts
 * check({ every }) {
 *   if (parseDuration(every) < 10) throw new OptionError("every", "every must be at least 10ms");
 * }
 * ```
 */
export class OptionError extends Error {
  /** The option's name, or a JSON Pointer (RFC 6901) into the options: `/headers/x-token`. */
  readonly option: string;
  /** Where in the option's text the mistake is; null for all of it. */
  readonly part: OptionPart | null;

  /** @param message What is wrong and what would be right; its first line has to say it alone. */
  constructor(option: string, message: string, part: OptionPart | null = null) {
    super(message);
    this.name = "OptionError";
    this.option = option;
    this.part = part;
  }
}
