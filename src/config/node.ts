/** The parsed file as a tree in which every value knows its place. */
import type { Span } from "./problems.ts";

export interface ScalarNode {
  readonly kind: "scalar";
  readonly span: Span;
  readonly value: string | number | boolean | null;
  /** As it is written, or as it was filled in: `0123` where the value is the number 123. */
  readonly text: string;
  /** Whether it stands without quotes, so that its letters decide whether it is a number. */
  readonly isPlain: boolean;
  /** It is one interpolation alone: its type is open until it is known what is wanted. */
  readonly isFilled: boolean;
  /**
   * The source (`${TOKEN}`) of what came from outside the file, or null. Messages show it in place of
   * the value, which may be a secret.
   */
  readonly origin: string | null;
}

export interface ListNode {
  readonly kind: "list";
  readonly span: Span;
  readonly items: readonly Node[];
}

export interface Entry {
  readonly key: Span;
  readonly value: Node;
}

export interface MapNode {
  readonly kind: "map";
  readonly span: Span;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** Something whose mistake was already reported: no check looks at it again. */
export interface BrokenNode {
  readonly kind: "broken";
  readonly span: Span;
}

export type Node = ScalarNode | ListNode | MapNode | BrokenNode;

/** The node at a path of keys, or null. */
export function nodeAt(node: Node | null, ...path: readonly string[]): Node | null {
  return path.reduce<Node | null>(
    (at, key) => (at?.kind === "map" ? (at.entries.get(key)?.value ?? null) : null),
    node,
  );
}

/** A node that is text, or that becomes text when it is filled in. */
export interface TextNode extends ScalarNode {
  readonly value: string;
}

/** The node at a path of keys when it is text, else null. */
export function textAt(node: Node | null, ...path: readonly string[]): TextNode | null {
  return asText(nodeAt(node, ...path));
}

export function asText(node: Node | null): TextNode | null {
  if (node?.kind !== "scalar") return null;
  if (node.isFilled) return { ...node, value: node.text };
  return typeof node.value === "string" ? (node as TextNode) : null;
}

export interface Located {
  /** The nearest node there is on the way to the pointer's end. */
  readonly node: Node;
  /** The key that leads to `node`; null for the root and for items of lists. */
  readonly key: Span | null;
  /** Parts of the pointer for which there is no node: nothing when `node` is the one. */
  readonly missing: readonly string[];
}

/** Follows a JSON Pointer (RFC 6901) as far as there are nodes. */
export function locate(root: Node, pointer: string): Located {
  const parts = pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  let [node, key]: [Node, Span | null] = [root, null];
  for (const [i, part] of parts.entries()) {
    const entry = node.kind === "map" ? node.entries.get(part) : undefined;
    const next = entry?.value ?? (node.kind === "list" ? node.items[Number(part)] : undefined);
    if (!next) return { node, key, missing: parts.slice(i) };
    [node, key] = [next, entry?.key ?? null];
  }
  return { node, key, missing: [] };
}
