/** Finds the plugins that channels use and checks the options that are given to them. */
import { Kind, type TObject } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { checkOptionValues } from "./check-option-values.ts";
import { checkShape } from "./check-shape.ts";
import type { PluginUse } from "./config.ts";
import { showValue } from "./describe.ts";
import { Noun } from "./kinds.ts";
import { nodeAt, textAt, type Node, type TextNode } from "./node.ts";
import type { Problems, Span } from "./problems.ts";
import { strict } from "./strict.ts";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import { suggest } from "../suggest.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

/** What the config has to know of a plugin. */
export interface PluginSpec {
  /** The schema of its options; null when it takes none. */
  readonly options: TObject | null;
  /** Absolute path of its file; null when it ships. */
  readonly file: string | null;
  /**
   * Throws for options that fit the schema and are wrong all the same. An error that has an `option`
   * tells by it which one it means, by its `part` maybe which part of the text.
   */
  readonly check?: (options: unknown) => void;
}

/**
 * Finds a plugin by what `use:` says.
 *
 * MUST reject with an `Error` whose message tells why there is none. One for a bare name that nothing has
 * carries the `names` that ship: string[]. One that has a `help` says by it what to do; one
 * whose mistakes are in the plugin's own files has them as `diagnostics`.
 */
export type ResolvePlugin = (use: string, directory: string) => Promise<PluginSpec>;

/** An entry of `plugins:` as far as the plugin itself is concerned. */
export type ResolvedUse = Pick<PluginUse, "use" | "written" | "usedAt" | "options">;

/**
 * Checks every entry of every channel's `plugins:`.
 *
 * @returns What each entry means; entries with a mistake are left out.
 */
export async function checkPlugins(
  root: Node,
  directory: string,
  resolvePlugin: ResolvePlugin,
  problems: Problems,
): Promise<ReadonlyMap<Node, ResolvedUse>> {
  const channels = nodeAt(root, "channels");
  const entries = Array.from(channels?.kind === "map" ? channels.entries.values() : [])
    .map((channel) => nodeAt(channel.value, "plugins"))
    .flatMap((plugins) => (plugins?.kind === "list" ? plugins.items : []));
  const found = new Map<string, Promise<PluginSpec | Error>>();
  const uses = new Map<Node, ResolvedUse>();
  for (const entry of entries) {
    const use = textAt(entry, "use");
    if (!use?.value || uses.has(entry) || reportNoPath(use, problems)) continue;
    let spec = found.get(use.value);
    if (!spec) found.set(use.value, (spec = resolvePlugin(use.value, directory).catch(asError)));
    const resolved = await spec;
    if (resolved instanceof Error) reportUnresolved(resolved, use, problems);
    else {
      const options = await checkOptions(entry, use, resolved, problems);
      checkIsolation(entry, problems);
      const usedAt = problems.describe(use.span);
      uses.set(entry, { use: resolved.file ?? use.value, written: use.value, usedAt, options });
    }
  }
  return uses;
}

/** Limits of a worker that there is not. */
function checkIsolation(entry: Node, problems: Problems): void {
  const isolate = nodeAt(entry, "isolate");
  if (isolate && !(isolate.kind === "scalar" && isolate.value === false)) return;
  for (const name of ["timeout", "memory"]) {
    const key = entry.kind === "map" ? entry.entries.get(name)?.key : undefined;
    if (!key) continue;
    const message = `"${name}" is a limit of a plugin that runs in a thread of its own`;
    problems.report("not-isolated", key, message, `add "isolate: true"`);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** A bare `plugins/round.ts` would be looked for among those that ship. */
function reportNoPath(use: TextNode, problems: Problems): boolean {
  const isPath = /^(?:\.{0,2}[/\\]|[A-Za-z]:\\)/.test(use.value);
  if (isPath || use.value.startsWith("npm:") || !/[/\\]|\.[cm]?[jt]sx?$/.test(use.value))
    return false;
  const isUrl = /^[a-z]+:/.test(use.value);
  problems.report(
    "bad-plugin",
    use.span,
    `${showValue(use)} is neither the name of a plugin that ships nor a path`,
    isUrl || use.origin
      ? `a path starts with "./", "../" or "/"`
      : `did you mean "./${use.value}"?`,
  );
  return true;
}

function reportUnresolved(
  error: Error & { names?: unknown; help?: unknown; diagnostics?: unknown },
  use: TextNode,
  problems: Problems,
): void {
  const { names, diagnostics } = error;
  if (Array.isArray(diagnostics) && diagnostics.length > 0) {
    for (const each of diagnostics as Diagnostic[]) problems.reportElsewhere(each, use.span);
    return;
  }
  if (!Array.isArray(names)) {
    const help = typeof error.help === "string" ? error.help : null;
    problems.report("bad-plugin", use.span, error.message, help);
    return;
  }
  const help = use.origin ? null : suggest(use.value, names as string[]);
  problems.report(
    "unknown-plugin",
    use.span,
    `no plugin ${use.origin ? showValue(use) : quoteText(use.value)} ships`,
    help ?? `those that ship: ${names.join(", ")}; a file starts with "./", a package with "npm:"`,
  );
}

const NO_OPTIONS = { [Kind]: "Object", type: "object", properties: {} } as unknown as TObject;

async function checkOptions(
  entry: Node,
  use: TextNode,
  spec: PluginSpec,
  problems: Problems,
): Promise<unknown> {
  const noun = `plugin ${quoteText(use.value)}`;
  const schema: TObject = { ...strict(spec.options ?? NO_OPTIONS), [Noun]: noun };
  const given = nodeAt(entry, "with");
  const isEmpty = !given || (given.kind === "scalar" && given.value === null && !given.isFilled);
  const place: Span = isEmpty ? use.span : withKey(entry);
  const root: Node = isEmpty ? { kind: "map", span: place, entries: new Map() } : given;
  // That it is no map is told where the shape of the whole file is checked.
  if (root.kind !== "map") return undefined;
  const before = problems.size;
  const options = checkShape(schema, { problems, root, place, keyNoun: "option", noun });
  if (problems.size > before || hasBroken(root)) return options;
  if (!Value.Check(schema, options)) {
    // A default of its own does not fit: the plugin's mistake, not the config's.
    const first = Value.Errors(schema, options).First();
    const message = `the options of ${noun} don't fit its own schema: ${first?.path ?? ""} ${first?.message ?? ""}`;
    problems.report("bad-plugin", use.span, message);
  } else if (spec.check) {
    await checkOptionValues(spec.check, options, { root, use, problems });
  }
  return options;
}

/** Whether the mistake of a value in it was told before. */
function hasBroken(node: Node): boolean {
  if (node.kind === "map") return [...node.entries.values()].some(({ value }) => hasBroken(value));
  return node.kind === "list" ? node.items.some(hasBroken) : node.kind === "broken";
}

function withKey(entry: Node): Span {
  return (entry.kind === "map" && entry.entries.get("with")?.key) || entry.span;
}
