/** Reads a config file: either everything in it is right, or every mistake is told. */
import { dirname, resolve } from "node:path";
import { ChannelNames } from "./channel-names.ts";
import type { ChannelTest } from "./tests.ts";
import { checkChannels } from "./check-channels.ts";
import { checkPublish } from "./check-publish.ts";
import { checkPlugins, type ResolvePlugin } from "./check-plugins.ts";
import { checkServer } from "./check-server.ts";
import { checkStore } from "./check-store.ts";
import { checkShape } from "./check-shape.ts";
import { checkTests } from "./check-tests.ts";
import type { Config } from "./config.ts";
import { checkDataSchema } from "./data-schema.ts";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import type { Environment } from "./interpolate.ts";
import { nodeAt, type Node } from "./node.ts";
import { parseYaml } from "./parse-yaml.ts";
import { Problems } from "./problems.ts";
import { decodeText, ReadError, readBytes } from "./read-text.ts";
import { ConfigSpec } from "./spec.ts";
import { toConfig } from "./to-config.ts";
import { toTests } from "./to-tests.ts";

export interface LoadOptions {
  /** What `${VAR}` is filled in from. */
  readonly env: Environment;
  readonly resolvePlugin: ResolvePlugin;
  /** Told of each file, by its absolute path, that `${file:…}` names, also of one that is not there. */
  readonly onFile?: (file: string) => void;
}

export type LoadResult =
  | {
      readonly config: Config;
      /** What stands under `tests:`. */
      readonly tests: readonly ChannelTest[];
    }
  | { readonly diagnostics: readonly Diagnostic[] };

/** Bytes of a config file. */
const MAX_FILE_BYTES = 1024 * 1024;
const NO_CHANNELS = `a config declares at least one channel: "channels: { news: { publish: clients } }"`;

/**
 * Loads a config file and checks all of it: its shape, the files it names, its plugins and their options.
 *
 * @param file The YAML file, as messages will name it.
 * @returns The config, or its mistakes in the order of the file; never both, and never no mistake.
 */
export async function loadConfig(file: string, options: LoadOptions): Promise<LoadResult> {
  let text: string;
  try {
    text = decodeText(readBytes(file, MAX_FILE_BYTES));
  } catch (error) {
    if (!(error instanceof ReadError)) throw error;
    const { code } = error;
    const help = code === "no-such-file" ? `it is looked for at ${resolve(file)}` : null;
    return {
      diagnostics: [{ code, message: `the config ${error.message}`, file, place: null, help }],
    };
  }
  const problems = new Problems(file, text);
  const directory = dirname(resolve(file));
  const root = parseYaml(problems, {
    env: options.env,
    directory,
    onFile: options.onFile,
  });
  if (!root) {
    if (problems.isEmpty) problems.report("empty", null, "the config is empty", NO_CHANNELS);
    return { diagnostics: problems.diagnostics() };
  }
  const uses = await check(root, directory, options, problems);
  if (!problems.isEmpty) return { diagnostics: problems.diagnostics() };
  const tests = toTests(nodeAt(root, "tests"), file, problems);
  return { config: toConfig(resolve(file), root, uses), tests };
}

async function check(root: Node, directory: string, options: LoadOptions, problems: Problems) {
  checkShape(ConfigSpec, {
    problems,
    root: checkPresence(root, problems),
    place: null,
    keyNoun: "key",
    noun: "a config",
  });
  checkServer(root, directory, problems);
  checkStore(root, directory, problems);
  checkChannels(root, problems);
  checkPublish(root, problems);
  checkTests(nodeAt(root, "tests"), declaredIn(root), problems);
  const channels = nodeAt(root, "channels");
  const all = channels?.kind === "map" ? Array.from(channels.entries.values()) : [];
  // A schema that channels share by an alias is one node.
  for (const schema of new Set(all.map(({ value }) => nodeAt(value, "schema")))) {
    if (schema) checkDataSchema(schema, problems);
  }
  return checkPlugins(root, directory, options.resolvePlugin, problems);
}

function declaredIn(root: Node): ChannelNames {
  const channels = nodeAt(root, "channels");
  return new ChannelNames(channels?.kind === "map" ? channels.entries.keys() : []);
}

/** Tells of a file with no channels in words of its own, and marks the place so that no other check does. */
function checkPresence(root: Node, problems: Problems): Node {
  if (isNothing(root)) {
    problems.report("empty", null, "the config is empty", NO_CHANNELS);
    return { kind: "broken", span: root.span };
  }
  const channels = root.kind === "map" ? root.entries.get("channels") : undefined;
  if (root.kind !== "map" || (channels && !isNothing(channels.value))) return root;
  problems.report("no-channels", channels?.key ?? null, "the config has no channels", NO_CHANNELS);
  const value: Node = { kind: "broken", span: root.span };
  return {
    ...root,
    entries: new Map([...root.entries, ["channels", { key: root.span, value }]]),
  };
}

/** Nothing, or a map with nothing in it. */
function isNothing(node: Node | null): boolean {
  if (node?.kind === "map") return node.entries.size === 0;
  return node?.kind === "scalar" && node.value === null && !node.isFilled;
}
