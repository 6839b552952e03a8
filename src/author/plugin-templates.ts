/** What `plugin new` writes: for each hook a plugin, its test, and how a config uses it. */
import authorize from "./templates/plugin/authorize/plugin-name.ts" with { type: "text" };
import * as authorizeTest from "./templates/plugin/authorize/plugin-name.test.ts" with { type: "text" };
import authorizeUse from "./templates/plugin/authorize/plugin-name.yaml" with { type: "text" };
import receive from "./templates/plugin/receive/plugin-name.ts" with { type: "text" };
import * as receiveTest from "./templates/plugin/receive/plugin-name.test.ts" with { type: "text" };
import receiveUse from "./templates/plugin/receive/plugin-name.yaml" with { type: "text" };
import sink from "./templates/plugin/sink/plugin-name.ts" with { type: "text" };
import * as sinkTest from "./templates/plugin/sink/plugin-name.test.ts" with { type: "text" };
import sinkUse from "./templates/plugin/sink/plugin-name.yaml" with { type: "text" };
import source from "./templates/plugin/source/plugin-name.ts" with { type: "text" };
import * as sourceTest from "./templates/plugin/source/plugin-name.test.ts" with { type: "text" };
import sourceUse from "./templates/plugin/source/plugin-name.yaml" with { type: "text" };
import transform from "./templates/plugin/transform/plugin-name.ts" with { type: "text" };
import * as transformTest from "./templates/plugin/transform/plugin-name.test.ts" with { type: "text" };
import transformUse from "./templates/plugin/transform/plugin-name.yaml" with { type: "text" };
import type { Files } from "./carried-types.ts";

/** The hooks that there is a template for; the first is the default. */
export const TEMPLATE_HOOKS = ["transform", "source", "receive", "sink", "authorize"] as const;

export type TemplateHook = (typeof TEMPLATE_HOOKS)[number];

export interface NewPlugin {
  /** The plugin and its test, by their paths below the folder of the config. */
  readonly files: Files;
  /** A channel of a config that uses it, as YAML. */
  readonly use: string;
}

interface Template {
  readonly plugin: string;
  readonly test: string;
  readonly use: string;
}

// The compiler sees what the files would be without `type: "text"`. Tests have no default export to it.
const template = (plugin: unknown, test: unknown, use: unknown): Template => ({
  plugin: plugin as string,
  test: (test as { readonly default: string }).default,
  use: use as string,
});

const TEMPLATES: Readonly<Record<TemplateHook, Template>> = {
  transform: template(transform, transformTest, transformUse),
  source: template(source, sourceTest, sourceUse),
  receive: template(receive, receiveTest, receiveUse),
  sink: template(sink, sinkTest, sinkUse),
  authorize: template(authorize, authorizeTest, authorizeUse),
};

/** What stands in the templates for the plugin's name. */
const PLACEHOLDER = "plugin-name";

/** Fills in the template of a hook. @param name One that `nameProblem` has nothing to say of. */
export function newPlugin(name: string, hook: TemplateHook): NewPlugin {
  const { plugin, test, use } = TEMPLATES[hook];
  const fill = (text: string) => text.replaceAll(PLACEHOLDER, name);
  return {
    files: { [`plugins/${name}.ts`]: fill(plugin), [`plugins/${name}.test.ts`]: fill(test) },
    use: fill(use),
  };
}
