/** `tidewire plugin test [files or folders]`: runs the tests of plugins. */
import { NoTestsError, runTests } from "../author/run-tests.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const pluginTestCommand: Command = {
  name: "plugin test",
  usage: "[file or folder]... [-t <name>] [--watch]",
  summary: "run the tests of plugins: *.test.ts",
  operands: { min: 0, max: 1000 },
  options: {
    "test-name-pattern": { type: "string", short: "t" },
    watch: { type: "boolean" },
  },
  async run({ operands, options }) {
    const name = options["test-name-pattern"];
    try {
      return await runTests({
        root: process.cwd(),
        paths: operands,
        watch: options["watch"] === true,
        name: typeof name === "string" ? name : null,
      });
    } catch (error) {
      if (!(error instanceof NoTestsError)) throw error;
      process.stderr.write(`tidewire: ${visibleText(error.message)}\n`);
      return EXIT.failed;
    }
  },
};
