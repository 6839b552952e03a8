/** How long the executable takes from its start to its first answer. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";
import { freePort } from "./servers.ts";

const LIMIT_MS = 10_000;

/**
 * Starts the executable `runs` times, one after the other, and asks for `/healthz` until it answers 200.
 *
 * @returns Milliseconds of each run, from spawn to answer, in ascending order.
 * @throws {Error} When a run does not answer within 10 seconds.
 */
export async function startUpMs(runs: number): Promise<number[]> {
  const directory = await mkdtemp(join(tmpdir(), "tidewire-bench-"));
  const command = await executable();
  const times: number[] = [];
  try {
    for (let i = 0; i < runs; i++) {
      const [port, control] = [await freePort(), await freePort()];
      const config = join(directory, "start-up.yaml");
      await Bun.write(
        config,
        `server: { listen: 127.0.0.1:${port} }
control: { listen: 127.0.0.1:${control} }
log: { level: warn }
channels:
  clock: { transports: [sse], plugins: [{ use: clock, with: { every: 1s } }] }
`,
      );
      times.push(await once([command, "run", config], `http://127.0.0.1:${control}/healthz`));
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return times.sort((a, b) => a - b);
}

async function once(command: string[], url: string): Promise<number> {
  const startMs = performance.now();
  const child = Bun.spawn(command, { stdout: "ignore", stderr: "inherit" });
  try {
    while (performance.now() - startMs < LIMIT_MS) {
      if (child.exitCode !== null) throw new Error(`the executable ended with ${child.exitCode}`);
      const status = await fetch(url, { keepalive: false }).then(
        (response) => response.status,
        () => 0, // Nobody listens yet.
      );
      if (status === 200) return performance.now() - startMs;
      // Asking more often would take from the start itself what it wants to measure.
      await Bun.sleep(2);
    }
    throw new Error(`${url} did not answer within ${LIMIT_MS} ms`);
  } finally {
    child.kill("SIGTERM");
    await child.exited;
  }
}
