/** Collects the mistakes of one file and tells where in the file each is. */
import type { Diagnostic, Place } from "../diagnostic/diagnostic.ts";

/** Part of a file's text, in UTF-16 units. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

interface Problem {
  readonly code: string;
  readonly span: Span | null;
  readonly message: string;
  readonly help: string | null;
}

/** A mistake in another file, which the config leads to: a plugin's. */
interface ElsewhereProblem {
  readonly span: Span;
  readonly diagnostic: Diagnostic;
  /** Where in the config it is led to. */
  readonly uses: Span[];
}

/** Places in the config that are named of one mistake in another file. */
const MAX_USES = 3;

export class Problems {
  readonly #file: string;
  /** The text that spans are of. */
  readonly text: string;
  readonly #problems: Problem[] = [];
  readonly #elsewhere = new Map<string, ElsewhereProblem>();
  readonly #seen = new Set<string>();
  /** Offsets of the line ends. */
  #lines: number[] | null = null;

  /** @param file The file's name as it is shown. */
  constructor(file: string, text: string) {
    this.#file = file;
    this.text = text;
  }

  /** Mistakes so far. */
  get size(): number {
    return this.#problems.length + this.#elsewhere.size;
  }

  get isEmpty(): boolean {
    return this.size === 0;
  }

  /** Adds a mistake; the same at the same place, such as through an alias, is told once. */
  report(code: string, span: Span | null, message: string, help: string | null = null): void {
    const key = `${code} ${span?.start} ${message}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#problems.push({ code, span, message, help });
  }

  /** Adds a mistake that is in another file; it is told once, with each place here that leads to it. */
  reportElsewhere(diagnostic: Diagnostic, span: Span): void {
    const { code, file, place, message } = diagnostic;
    const key = `${code} ${file} ${place?.line}:${place?.column} ${message}`;
    const before = this.#elsewhere.get(key);
    if (!before) this.#elsewhere.set(key, { span, diagnostic, uses: [span] });
    else if (!before.uses.some(({ start }) => start === span.start)) before.uses.push(span);
  }

  /** A place as editors read it: `tidewire.yaml:12:14`. */
  describe({ start }: Span): string {
    const line = this.lineOf(start);
    const lineStart = this.text.lastIndexOf("\n", start - 1) + 1;
    return `${this.#file}:${line}:${countCharacters(this.text, lineStart, start) + 1}`;
  }

  /** Where a part of the file is, to be shown later. */
  placeOf(span: Span): Place {
    return new Places(this.text).find(span);
  }

  /** The number of the line, from 1, that an offset is on. */
  lineOf(offset: number): number {
    this.#lines ??= Array.from(this.text.matchAll(/\n/g), (newline) => newline.index);
    let [low, high] = [0, this.#lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#lines[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  }

  /** All mistakes, in the order of the file. */
  diagnostics(): Diagnostic[] {
    const places = new Places(this.text);
    return [...this.#problems, ...this.#elsewhere.values()]
      .toSorted((a, b) => (a.span?.start ?? -1) - (b.span?.start ?? -1))
      .map((problem) => {
        if ("diagnostic" in problem) return this.#withUses(problem);
        const { code, span, message, help } = problem;
        return { code, message, file: this.#file, place: span && places.find(span), help };
      });
  }

  #withUses({ diagnostic, uses }: ElsewhereProblem): Diagnostic {
    const notes = uses.slice(0, MAX_USES).map((span) => `used at ${this.describe(span)}`);
    const more = uses.length - notes.length;
    if (more > 0) notes.push(`and at ${more} more place${more === 1 ? "" : "s"}`);
    return { ...diagnostic, notes: [...(diagnostic.notes ?? []), ...notes] };
  }
}

/** Turns spans into places. They have to come in order: a line of a megabyte is then counted once. */
class Places {
  readonly #text: string;
  #line = 1;
  #lineStart = 0;
  #at = 0;
  #column = 1;

  constructor(text: string) {
    this.#text = text;
  }

  find({ start, end }: Span): Place {
    for (;;) {
      const next = this.#text.indexOf("\n", this.#at);
      if (next === -1 || next >= start) break;
      this.#line++;
      this.#lineStart = this.#at = next + 1;
      this.#column = 1;
    }
    this.#column += countCharacters(this.#text, this.#at, start);
    this.#at = start;
    const lineEnd = this.#text.indexOf("\n", start);
    const text = this.#text
      .slice(this.#lineStart, lineEnd === -1 ? undefined : lineEnd)
      .replace(/\r$/, "");
    const index = start - this.#lineStart;
    const length = Math.max(0, Math.min(end - start, text.length - index));
    return { line: this.#line, column: this.#column, text, index, length };
  }
}

function countCharacters(text: string, from: number, to: number): number {
  let count = 0;
  for (let i = from; i < to; i++) {
    const unit = text.charCodeAt(i);
    const isSecondHalf = unit >= 0xdc00 && unit <= 0xdfff && i > from;
    if (!isSecondHalf) count++;
  }
  return count;
}
