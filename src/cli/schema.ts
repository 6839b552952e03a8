/** `tidewire schema`: prints the config's JSON Schema, with the options of all plugins that ship. */
import { configJsonSchema } from "../config/json-schema.ts";
import { shippedOptions } from "../server/plugins.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const schemaCommand: Command = {
  name: "schema",
  usage: "",
  summary: "print the config's JSON Schema, for editors",
  operands: { min: 0, max: 0 },
  options: {},
  run: () => schema(),
};

export interface SchemaOptions {
  readonly stdout?: (text: string) => void;
}

/** @returns The exit code, always 0. */
export async function schema(options: SchemaOptions = {}): Promise<number> {
  const { stdout = (text) => void process.stdout.write(text) } = options;
  stdout(`${JSON.stringify(configJsonSchema(await shippedOptions()), null, 2)}\n`);
  return EXIT.fine;
}
