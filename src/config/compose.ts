/** Turns what the YAML parser gives into our tree: aliases, merge keys and interpolations are resolved. */
import { isAlias, isMap, isPair, isScalar, isSeq, Scalar, type Pair, type YAMLMap } from "yaml";
import { coreScalar } from "./core-scalar.ts";
import { interpolate, OPENING, type Environment } from "./interpolate.ts";
import type { Masked } from "./mask.ts";
import type { Entry, Node } from "./node.ts";
import type { Problems, Span } from "./problems.ts";
import { suggest } from "../suggest.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

export interface ComposeContext {
  readonly problems: Problems;
  readonly masked: Masked;
  readonly env: Environment;
  /** Absolute path of the folder that the file is in. */
  readonly directory: string;
  /** Told of each file that `${file:…}` names. */
  readonly onFile?: ((file: string) => void) | undefined;
}

/** Nodes that all aliases and merges of a file may stand for together: a few lines could mean billions. */
const MAX_ALIASED = 50_000;

export class Composer {
  readonly #context: ComposeContext;
  readonly #anchors = new Map<string, Node>();
  /** Nodes that a node stands for, itself and what its aliases mean included. */
  readonly #weights = new WeakMap<Node, number>();
  #aliased = 0;
  /** Anchors whose value is being read. */
  readonly #open = new Set<string>();

  constructor(context: ComposeContext) {
    this.#context = context;
  }

  /**
   * @param node A node of the `yaml` package.
   * @param fallback Its place when it has none, such as the key of an empty value.
   * @param path Keys that lead to it.
   */
  compose(node: unknown, fallback: Span, path: readonly string[] = []): Node {
    const anchor = (node as { anchor?: string } | null)?.anchor;
    if (anchor) this.#open.add(anchor);
    const composed = this.#compose(node, fallback, path);
    if (anchor) {
      this.#open.delete(anchor);
      this.#anchors.set(anchor, composed);
    }
    this.#weights.set(composed, this.#weigh(composed));
    return composed;
  }

  #compose(node: unknown, fallback: Span, path: readonly string[]): Node {
    const span = spanOf(node) ?? fallback;
    if (isAlias(node)) return this.#alias(this.#context.masked.unmask(node.source, span), span);
    if (isMap(node)) return this.#map(node, span, path);
    if (isSeq(node)) {
      const items = node.items.map((item) => this.compose(item, span, [...path, "-"]));
      return { kind: "list", span, items };
    }
    return this.#scalar(isScalar(node) ? node : null, span.start === span.end ? fallback : span);
  }

  #map(map: YAMLMap, span: Span, path: readonly string[]): Node {
    const entries = new Map<string, Entry>();
    const merges: { readonly key: Span; readonly value: Node }[] = [];
    for (const pair of map.items) {
      if (!isPair(pair)) continue;
      const key = spanOf(pair.key) ?? span;
      const name = this.#context.masked.unmask(keyText(pair), key);
      const before = entries.get(name);
      const value = this.compose(pair.value, key, [...path, name]);
      if (name === "<<" && (pair.key as Scalar).type === Scalar.PLAIN) merges.push({ key, value });
      else if (before) this.#duplicate(name, key, before.key, path);
      else entries.set(name, { key, value });
    }
    for (const { key, value } of merges) this.#merge(entries, key, value);
    return { kind: "map", span, entries };
  }

  /** Adds what `<<` brings; keys that the map has itself, or that came first, stay. */
  #merge(entries: Map<string, Entry>, key: Span, value: Node): void {
    for (const source of value.kind === "list" ? value.items : [value]) {
      if (source.kind === "map") {
        for (const [name, entry] of source.entries) {
          if (!entries.has(name)) entries.set(name, entry);
        }
      } else if (source.kind !== "broken") {
        this.#context.problems.report(
          "bad-merge",
          key,
          `"<<" merges a map or a list of maps into this one`,
          `write "<<: *name", where &name stands before a map`,
        );
      }
    }
  }

  #alias(name: string, span: Span): Node {
    const { problems } = this.#context;
    const broken: Node = { kind: "broken", span };
    const target = this.#anchors.get(name);
    if (this.#open.has(name)) {
      const message = `the alias *${name} stands within the value of its own anchor`;
      problems.report("unknown-alias", span, message);
      return broken;
    }
    if (!target) {
      problems.report(
        "unknown-alias",
        span,
        `no anchor &${name} stands before this alias`,
        suggest(name, [...this.#anchors.keys()]) ?? `set it before: "&${name}" in front of a value`,
      );
      return broken;
    }
    const isFull = this.#aliased > MAX_ALIASED;
    this.#aliased += this.#weights.get(target) ?? 1;
    if (this.#aliased <= MAX_ALIASED) return target;
    if (!isFull) {
      problems.report(
        "alias-bomb",
        span,
        `the aliases of this file stand for more than ${MAX_ALIASED} values`,
      );
    }
    return broken;
  }

  #duplicate(name: string, key: Span, before: Span, path: readonly string[]): void {
    const isChannel = path.length === 1 && path[0] === "channels";
    const { problems } = this.#context;
    problems.report(
      isChannel ? "duplicate-channel" : "duplicate-key",
      key,
      `${isChannel ? "channel " : ""}${quoteText(name)} stands twice`,
      `the first is on line ${problems.lineOf(before.start)}`,
    );
  }

  #scalar(scalar: Scalar | null, span: Span): Node {
    if (!scalar) return plain(span, null, "");
    const { masked } = this.#context;
    const isPlain = scalar.type === Scalar.PLAIN && !scalar.tag;
    const source = typeof scalar.value === "string" ? scalar.value : (scalar.source ?? "");
    const text = masked.unmask(source, span);
    if (!text.includes("${")) {
      const value =
        typeof scalar.value === "string" ? text : (scalar.value as number | boolean | null);
      return { ...plain(span, value, text), isPlain };
    }
    return this.#interpolate(text, span, isPlain);
  }

  #interpolate(text: string, span: Span, isPlain: boolean): Node {
    const { problems, env, directory, onFile } = this.#context;
    const filled = interpolate(text, env, directory, onFile);
    if (filled.mistakes.length > 0) {
      const raw = problems.text.slice(span.start, span.end);
      const openings = Array.from(raw.matchAll(OPENING), (opening) => opening.index);
      // Escapes may write "${" otherwise than it is: then the whole value is the place.
      const isExact = openings.length === [...text.matchAll(OPENING)].length;
      for (const { code, message, help, ordinal, length } of filled.mistakes) {
        const start = span.start + (openings[ordinal] ?? 0);
        const place = isExact ? { start, end: Math.min(start + length, span.end) } : span;
        problems.report(code, place, message, help);
      }
      return { kind: "broken", span };
    }
    const isFilled = isPlain && filled.isWhole;
    return {
      ...plain(span, isFilled ? coreScalar(filled.text) : filled.text, filled.text),
      isFilled,
      origin: filled.isExternal ? text : null,
    };
  }

  #weigh(node: Node): number {
    const children =
      node.kind === "list"
        ? node.items
        : node.kind === "map"
          ? Array.from(node.entries.values(), (entry) => entry.value)
          : [];
    return children.reduce((sum, child) => sum + (this.#weights.get(child) ?? 1), 1);
  }
}

function plain(span: Span, value: string | number | boolean | null, text: string) {
  return {
    kind: "scalar",
    span,
    value,
    text,
    isPlain: true,
    isFilled: false,
    origin: null,
  } as const;
}

function spanOf(node: unknown): Span | null {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range ? { start: range[0]!, end: range[1]! } : null;
}

function keyText({ key }: Pair): string {
  return isScalar(key) ? String(key.value ?? "") : "";
}
