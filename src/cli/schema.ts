/** `tidewire schema`: prints the config's JSON Schema, with the options of all plugins that ship. */
import type { TSchema } from "@sinclair/typebox";
import { configJsonSchema } from "../config/json-schema.ts";
import { loadPlugin } from "../plugin/load.ts";
import { SHIPPED_NAMES } from "../plugin/shipped.ts";
import { EXIT } from "./exit.ts";

export interface SchemaOptions {
  readonly stdout?: (text: string) => void;
}

/** @returns The exit code, always 0. */
export async function schema(options: SchemaOptions = {}): Promise<number> {
  const { stdout = (text) => void process.stdout.write(text) } = options;
  const plugins: Record<string, TSchema | null> = {};
  for (const name of SHIPPED_NAMES) {
    const { plugin } = await loadPlugin(name, process.cwd());
    plugins[name] = plugin.options ?? null;
  }
  stdout(`${JSON.stringify(configJsonSchema(plugins), null, 2)}\n`);
  return EXIT.fine;
}
