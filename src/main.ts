/** The command line: arguments to exit code. */
import { main } from "./cli/main.ts";

// Exits for good: a plugin's forgotten timer must not keep a stopped server alive.
process.exit(await main(process.argv.slice(2)));
