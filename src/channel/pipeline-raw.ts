/** Remembers, through the transforms of one batch, the JSON text that each draft's data was parsed from. */
import type { Draft } from "./message.ts";

export class RawTexts {
  #texts: Map<object, string> | null = null;

  /** @param raw JSON text that the draft's data was parsed from. */
  keep(draft: Draft, raw: string): void {
    (this.#texts ??= new Map()).set(identityOf(draft), raw);
  }

  /**
   * The JSON text of a draft's data, so that no number loses digits on a way that changes nothing.
   *
   * @returns The publisher's own, where the data is the very object that came (or, where it is no object,
   *   stands in the very draft that came) and still says the same; else undefined, or the text that was
   *   made anew in finding out.
   */
  of(draft: Draft): string | undefined {
    const raw = this.#texts?.get(identityOf(draft));
    if (raw === undefined) return undefined;
    let now: string | undefined;
    try {
      now = JSON.stringify(draft.data);
    } catch {
      // Made unfit in place: for `sealDraft` to say so.
      return undefined;
    }
    // The data may have been changed in place, which its text alone shows. Looked for here rather than
    // written down before: most publishers write JSON as `JSON.stringify` does, so one comparison is all.
    if (now === raw || now === JSON.stringify(JSON.parse(raw))) return raw;
    return now;
  }
}

/** A transform that only names the event gives another draft with the same data: that counts as untouched. */
function identityOf(draft: Draft): object {
  return typeof draft.data === "object" && draft.data !== null ? draft.data : draft;
}
