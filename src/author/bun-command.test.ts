import { describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { bunEnvironment, runBun } from "./bun-command.ts";

describe("runBun()", () => {
  test("runs Bun's command line, and gives what it wrote and its exit code", async () => {
    const script = `console.log(Bun.version, process.cwd()); console.error("told"); process.exit(7)`;
    const cwd = resolve(tmpdir());
    expect(await runBun(["-e", script], { cwd })).toEqual({
      code: 7,
      stdout: `${Bun.version} ${cwd}\n`,
      stderr: "told\n",
    });
  });

  test("lays `env` over the environment", async () => {
    const script = `console.log(process.env.TOLD, process.env.BUN_BE_BUN)`;
    expect((await runBun(["-e", script], { env: { TOLD: "yes" } })).stdout).toBe("yes 1\n");
  });

  test("tells of a signal as a shell does, and ends it when told to abort", async () => {
    const stop = new AbortController();
    const ended = runBun(["-e", "setInterval(() => {}, 1000)"], { signal: stop.signal });
    stop.abort();
    expect((await ended).code).toBe(128 + 15);
  });

  // In a process of its own: the signal is for the one that waits.
  test.each(["SIGTERM", "SIGHUP", "SIGINT"] as const)("passes %s on, and waits", async (signal) => {
    const child = `process.on("${signal}", () => process.exit(9)); console.error("ready"); setInterval(() => {}, 1000)`;
    const parent = `import { runBun } from ${JSON.stringify(join(import.meta.dir, "bun-command.ts"))};
const { code } = await runBun(["-e", ${JSON.stringify(child)}], { stdio: "inherit" });
console.log("the child ended with", code);`;
    const running = Bun.spawn([process.execPath, "-e", parent], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const reader = running.stderr.getReader();
    await reader.read();
    running.kill(signal);
    expect(await new Response(running.stdout).text()).toBe("the child ended with 9\n");
    await running.exited;
  });
});

describe("bunEnvironment()", () => {
  test("keeps what everything needs and where packages come from, and drops what steers Bun or Node", () => {
    const parent = {
      PATH: "/bin",
      HOME: "/home/ada",
      BUN_INSTALL_CACHE_DIR: "/cache",
      BUN_CONFIG_REGISTRY: "https://registry.example",
      BUN_OPTIONS: "--smol",
      BUN_INSPECT: "1",
      NODE_OPTIONS: "--require ./x.js",
      NODE_PATH: "/elsewhere",
      NODE_ENV: "production",
      GONE: "yes",
      UNSET: undefined,
    };
    expect(bunEnvironment(parent, { GONE: undefined, MORE: "1", BUN_BE_BUN: "0" })).toEqual({
      PATH: "/bin",
      HOME: "/home/ada",
      BUN_INSTALL_CACHE_DIR: "/cache",
      BUN_CONFIG_REGISTRY: "https://registry.example",
      NODE_ENV: "production",
      MORE: "1",
      BUN_BE_BUN: "1",
    });
  });
});
