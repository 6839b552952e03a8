/** Checks the names, paths and transports of channels, each alone and all together. */
import {
  Directory,
  parsePath,
  parsePattern,
  PatternError,
  type Pattern,
} from "../channel/directory.ts";
import { showValue } from "./describe.ts";
import { partOf } from "./explain-value.ts";
import { refuseForeignParameter } from "./foreign-parameter.ts";
import { asText, nodeAt, textAt, type Entry, type Node } from "./node.ts";
import type { Problems, Span } from "./problems.ts";
import { Refusal } from "./refusal.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

/** URL paths that are not a channel's own: see DESIGN §5. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  ["/channels", "many channels on one connection"],
  ["/tidewire.js", "the client library"],
]);

interface Declared {
  readonly name: string;
  readonly key: Span;
}

export function checkChannels(root: Node, problems: Problems): void {
  const channels = nodeAt(root, "channels");
  if (channels?.kind !== "map") return;
  const byName = new Directory<Declared>();
  const byPath = new Directory<Declared>();
  const paths: { readonly path: Pattern; readonly declared: Declared; readonly place: Span }[] = [];
  for (const [name, entry] of channels.entries) {
    const declared = { name, key: entry.key };
    const pattern = readName(name, entry.key, problems);
    const clash = pattern && clashOf(byName, pattern, declared);
    if (clash) {
      const message = `channel ${quoteText(name)} has the same names as ${quoteText(clash.name)}`;
      problems.report("duplicate-channel", entry.key, message, firstOn(problems, clash.key));
    }
    const custom = textAt(entry.value, "path");
    const path = custom ? readPath(custom.value) : pattern && parsePath(`/channels/${name}`);
    if (!path) continue;
    const place = custom?.span ?? entry.key;
    if (custom && pattern) checkParams(path, pattern, custom, problems);
    const use = RESERVED.get(path.text);
    if (use)
      problems.report("reserved-path", place, `${quoteText(path.text)} is the URL of ${use}`);
    const other = clashOf(byPath, path, declared);
    // With the same name too, one word about it is enough.
    if (other && !clash) {
      const message = `${quoteText(path.text)} is the path of channel ${quoteText(other.name)} already`;
      problems.report("duplicate-path", place, message, firstOn(problems, other.key));
    } else if (!other) paths.push({ path, declared, place });
  }
  checkHistoryPaths(paths, problems);
  checkKeys(root, channels.entries, problems);
  checkPush(root, channels.entries, problems);
}

function firstOn(problems: Problems, key: Span): string {
  return `that one is on line ${problems.lineOf(key.start)}`;
}

/** Adds to a directory; returns who has the same paths already. */
function clashOf(
  directory: Directory<Declared>,
  pattern: Pattern,
  declared: Declared,
): Declared | null {
  const same = directory.add(pattern, declared);
  if (!same) return null;
  // The pattern that is there finds itself with its own parameters, whatever stands for them.
  const sample = same.segments.map((segment) =>
    "literal" in segment ? encodeURIComponent(segment.literal) : "{}",
  );
  return directory.find(sample.join("/"))?.value ?? null;
}

function readName(name: string, key: Span, problems: Problems): Pattern | null {
  try {
    return parsePattern(refuseForeignParameter(name));
  } catch (error) {
    if (error instanceof Refusal) {
      const span = partOf(problems, { span: key, text: name }, error.part!);
      problems.report("bad-pattern", span, error.message, error.help);
      return null;
    }
    if (!(error instanceof PatternError)) throw error;
    const { message, index, length } = error;
    const span = partOf(problems, { span: key, text: name }, { index, length });
    const help = name.includes("${")
      ? "${…} is filled in in values, not in keys"
      : name.startsWith("/")
        ? `a name has no slash at its start; "path: ${name}" sets the URL`
        : null;
    problems.report("bad-pattern", name === "" ? key : span, message, help);
    return null;
  }
}

/** The shape's check has told what is wrong with it. */
function readPath(text: string): Pattern | null {
  try {
    return parsePath(text);
  } catch {
    return null;
  }
}

function checkParams(path: Pattern, pattern: Pattern, custom: Node, problems: Problems): void {
  const missing = pattern.params.filter((param) => !path.params.includes(param));
  const extra = path.params.filter((param) => !pattern.params.includes(param));
  if (missing.length === 0 && extra.length === 0) return;
  const list = (params: readonly string[]) => params.map((param) => `{${param}}`).join(" and ");
  const message = [
    missing.length > 0 ? `lacks ${list(missing)}` : null,
    extra.length > 0 ? `has ${list(extra)}, which the name does not` : null,
  ]
    .filter(Boolean)
    .join(" and ");
  const help = "a path has the same parameters as the channel's name";
  problems.report("path-parameters", custom.span, `${showValue(custom)} ${message}`, help);
}

/** A channel at `<other>/messages` would hide the history of the other. */
function checkHistoryPaths(
  paths: readonly { readonly path: Pattern; readonly declared: Declared; readonly place: Span }[],
  problems: Problems,
): void {
  const shapes = new Map(paths.map((one) => [shapeOf(one.path.segments), one]));
  for (const { path, place } of paths) {
    for (const tail of [1, 2]) {
      const word = path.segments.at(-tail);
      if (!word || !("literal" in word) || word.literal !== "messages") continue;
      const owner = shapes.get(shapeOf(path.segments.slice(0, -tail)));
      if (!owner) continue;
      const message = `${quoteText(path.text)} is the URL of the history of channel ${quoteText(owner.declared.name)}`;
      problems.report("reserved-path", place, message, "give one of them another path");
    }
  }
}

function shapeOf(segments: Pattern["segments"]): string {
  return segments.map((segment) => ("literal" in segment ? `/${segment.literal}` : "/{}")).join("");
}

/** `keys` without `latest_by_key` would bound nothing. */
function checkKeys(root: Node, channels: ReadonlyMap<string, Entry>, problems: Problems): void {
  const says = (owner: Node | null) => {
    const node = nodeAt(owner, "history", "latest_by_key");
    return node?.kind === "scalar" ? String(node.isFilled ? node.text : node.value) : null;
  };
  const byDefault = says(nodeAt(root, "defaults")) ?? "false";
  for (const { value } of channels.values()) {
    const keys = nodeAt(value, "history", "keys");
    // What is neither true nor false is told of already.
    if (keys === null || (says(value) ?? byDefault) !== "false") continue;
    const message = `"keys" means nothing to a history that keeps none`;
    problems.report("unused-keys", keys.span, message, `write "latest_by_key: true" beside it`);
  }
}

/** `http2-push` needs its listener, wherever it is asked for. */
function checkPush(root: Node, channels: ReadonlyMap<string, Entry>, problems: Problems): void {
  const push = nodeAt(root, "server", "http2_push");
  if (push) return;
  for (const owner of [
    nodeAt(root, "defaults"),
    ...Array.from(channels.values(), (entry) => entry.value),
  ]) {
    const transports = nodeAt(owner, "transports");
    for (const item of transports?.kind === "list" ? transports.items : []) {
      if (asText(item)?.value !== "http2-push") continue;
      problems.report(
        "push-without-listener",
        item.span,
        "http2-push needs its own listener",
        `add "http2_push: { listen: 127.0.0.1:8443, tls: self-signed }" to server`,
      );
    }
  }
}
