/**
 * `tidewire schema`: prints the config's JSON Schema, with the options of all plugins that ship.
 * `tidewire schema tests`: that of a file of tests beside it.
 */
import { configJsonSchema, testsJsonSchema } from "../config/json-schema.ts";
import { shippedOptions } from "../server/plugins.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const schemaCommand: Command = {
  name: "schema",
  usage: "[config|tests]",
  summary: "print the JSON Schema of a config, or of a file of tests",
  operands: { min: 0, max: 1 },
  options: {},
  run: ({ operands }) => schema({ of: operands[0] ?? "config" }),
};

export interface SchemaOptions {
  /** What it is the schema of: `config` (the default) or `tests`. */
  readonly of?: string;
  readonly stdout?: (text: string) => void;
}

/** @returns The exit code: 0, or 2 when there is no such schema. */
export async function schema(options: SchemaOptions = {}): Promise<number> {
  const { of = "config", stdout = (text) => void process.stdout.write(text) } = options;
  if (of !== "config" && of !== "tests") {
    process.stderr.write(`tidewire: there is no schema of "${of}"; there are config and tests\n`);
    return EXIT.usage;
  }
  const printed = of === "tests" ? testsJsonSchema() : configJsonSchema(await shippedOptions());
  stdout(`${JSON.stringify(printed, null, 2)}\n`);
  return EXIT.fine;
}
