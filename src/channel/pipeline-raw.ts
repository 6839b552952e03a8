/** Remembers, through the transforms of one batch, the JSON text that each draft's data was parsed from. */
import type { Draft } from "./message.ts";

export class RawTexts {
  /** The first that is known: mostly there is no other, and then no map has to be made. */
  #first: object | null = null;
  #firstText = "";
  #others: Map<object, string> | null = null;

  /** @param raw JSON text that the draft's data was parsed from. */
  keep(draft: Draft, raw: string): void {
    const identity = identityOf(draft);
    if (this.#first === null) {
      this.#first = identity;
      this.#firstText = raw;
    } else if (this.#first === identity) {
      this.#firstText = raw;
    } else {
      (this.#others ??= new Map()).set(identity, raw);
    }
  }

  /** @returns The publisher's text of a draft that nothing has touched, without a look at its data. */
  given(draft: Draft): string | undefined {
    const identity = identityOf(draft);
    return identity === this.#first ? this.#firstText : this.#others?.get(identity);
  }

  /** Copies a draft that may be changed in place, with what is known of its text. */
  copy(draft: Draft): Draft {
    const copy = { ...draft, data: copyData(draft.data) };
    const raw = this.given(draft);
    if (raw !== undefined) this.keep(copy, raw);
    return copy;
  }

  /**
   * The JSON text of a draft's data, so that no number loses digits on a way that changes nothing.
   *
   * @returns The publisher's own, where the data is the very object that came (or, where it is no object,
   *   stands in the very draft that came) and still says the same; else undefined, or the text that was
   *   made anew in finding out.
   */
  of(draft: Draft): string | undefined {
    const raw = this.given(draft);
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

/** What can't be copied is no JSON: it is refused when it is sealed, changed or not. */
function copyData(data: unknown): unknown {
  if (typeof data !== "object" || data === null) return data;
  try {
    return structuredClone(data);
  } catch {
    return data;
  }
}

/** A transform that only names the event gives another draft with the same data: that counts as untouched. */
function identityOf(draft: Draft): object {
  return typeof draft.data === "object" && draft.data !== null ? draft.data : draft;
}
