/** `tidewire plugin test [files or folders]`: runs the tests of plugins. */
import { resolve } from "node:path";
import { projectRoot } from "../author/project-root.ts";
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
      const cwd = process.cwd();
      return await runTests({
        // The same wherever within a project it is called: paths in tests start there.
        root: await projectRoot(cwd),
        paths: operands.map((operand) => resolve(cwd, operand)),
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
