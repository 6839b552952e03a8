/** `tidewire version`. */
import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const versionCommand: Command = {
  name: "version",
  usage: "",
  summary: "print the version",
  operands: { min: 0, max: 0 },
  options: {},
  run() {
    process.stdout.write(`${VERSION}\n`);
    return EXIT.fine;
  },
};
