/** The command line: arguments to exit code. */
import { EXIT } from "./cli/exit.ts";
import { main } from "./cli/main.ts";

let isDone = false;
// A plugin that ends the process while it is loaded must not make a check look fine.
process.on("exit", (code) => {
  if (isDone || code !== EXIT.fine) return;
  process.stderr.write("tidewire: a plugin ended the process (process.exit)\n");
  process.exitCode = EXIT.failed;
});

const code = await main(process.argv.slice(2));
isDone = true;
// Exits for good: a plugin's forgotten timer must not keep a stopped server alive.
process.exit(code);
