/** Checks the options that a test gives to a plugin, as a config's `with:` is checked. */
import { stringify } from "yaml";
import { checkPlugins } from "../../config/check-plugins.ts";
import { parseYaml } from "../../config/parse-yaml.ts";
import { Problems } from "../../config/problems.ts";
import { formatDiagnostic } from "../../diagnostic/diagnostic.ts";
import { kindOf } from "../../plugin/kind-of.ts";
import type { Plugin } from "../../plugin/sdk.ts";

/**
 * @param given What a test gives; defaults may be left out.
 * @returns The options, with the defaults.
 * @throws {TypeError} When a config with these options would be refused; it shows the same lines.
 */
export async function checkOptions(plugin: Plugin, given: unknown): Promise<unknown> {
  const { name } = plugin;
  const isMap = typeof given === "object" && given !== null && !Array.isArray(given);
  if (given !== undefined && !isMap) {
    throw new TypeError(`wrong options\noptions of ${name} are ${kindOf(given)}; give an object`);
  }
  // Not "round.ts", which the config would take for a path.
  const use = /[/\\]|\.[cm]?[jt]sx?$/.test(name) ? `./${name}` : name;
  const entry = given === undefined ? { use } : { use, with: given };
  const text = stringify({ channels: { test: { plugins: [entry] } } }, { lineWidth: 0 });
  // A test's options are what they are: nothing in them is filled in.
  const problems = new Problems(
    `options of ${name}`,
    text.replaceAll("${", () => "$${"),
  );
  const directory = process.cwd();
  const root = parseYaml(problems, { env: {}, directory });
  const check = plugin.check && ((options: unknown) => plugin.check!(options as never));
  const spec = { options: plugin.options ?? null, file: null, ...(check && { check }) };
  const uses = root && (await checkPlugins(root, directory, async () => spec, problems));
  if (!problems.isEmpty) {
    const told = problems.diagnostics().map((diagnostic) => formatDiagnostic(diagnostic));
    throw new TypeError(`wrong options\n${told.join("\n\n")}`);
  }
  const [checked] = [...(uses?.values() ?? [])];
  return checked?.options;
}
