/** Why a piece of text is not what a config wants there. */

export class Refusal extends SyntaxError {
  readonly help: string | null;
  /** Where in the text the mistake is; null for all of it. */
  readonly part: { readonly index: number; readonly length: number } | null;

  /** @param message May name the whole text as `quoteText` writes it. */
  constructor(message: string, help: string | null = null, part: Refusal["part"] = null) {
    super(message);
    this.name = "Refusal";
    this.help = help;
    this.part = part;
  }
}
