/** Runs the load process on its own core and reads what it measured. */
import { join } from "node:path";
import { pinned } from "./measure.ts";
import { SERVER_CORE } from "./servers.ts";
import type { LoadSpec } from "./spec.ts";

const LOAD_CORE = SERVER_CORE + 1;

/** @returns The result, or why there is none: a server that refuses is a finding, not a crash. */
export async function runLoad<Result>(spec: LoadSpec): Promise<Result | Error> {
  const command = [process.execPath, join(import.meta.dir, "load.ts"), JSON.stringify(spec)];
  const child = Bun.spawn(pinned(LOAD_CORE, command), { stdout: "pipe", stderr: "pipe" });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) === 0) return JSON.parse(output) as Result;
  return new Error(/^error: (.*)$/m.exec(errors)?.[1] ?? `the load process failed: ${errors}`);
}
