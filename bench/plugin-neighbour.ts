/** How long a message of one channel takes while an isolated plugin of another misbehaves. Prints JSON. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";
import { pinned } from "./measure.ts";
import type { QuietRun, QuietSpec } from "./plugin-spec.ts";
import { freePort } from "./servers.ts";

const PLUGIN = `import { definePlugin } from "tidewire";
export default definePlugin({
  name: "evil",
  setup: () => ({
    transform(draft) {
      if (draft.data === "spins") for (;;);
      if (draft.data === "allocates") { const all = []; for (;;) all.push(new Array(1000).fill(0)); }
      return draft;
    },
  }),
});
`;

/** Milliseconds between two messages of the other channel. */
const EVERY_MS = 2;
/** Messages whose latency does not count: the server warms up. */
const FIRST = 500;

/** @returns Latencies from the request of a publisher to the frame at a subscriber. */
async function measure({ what, hasOneCore, seconds }: QuietSpec): Promise<QuietRun> {
  const directory = await mkdtemp(join(tmpdir(), "tidewire-bench-"));
  const port = await freePort();
  await Bun.write(join(directory, "evil.ts"), PLUGIN);
  const config = join(directory, "bench.yaml");
  await Bun.write(
    config,
    `server: { listen: 127.0.0.1:${port} }
log: { level: info, format: json }
channels:
  quiet: { publish: clients }
  evil: { publish: clients, plugins: [{ use: ./evil.ts, isolate: true, timeout: ${what === "spins" ? "1h" : "1s"} }] }
`,
  );
  const command = [await executable(), "run", config];
  const server = Bun.spawn(hasOneCore ? pinned(0, command) : command, {
    stdout: "ignore",
    stderr: "pipe",
  });
  let ended = 0;
  const up = Promise.withResolvers<void>();
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of server.stderr) {
      const text = decoder.decode(chunk, { stream: true });
      if (text.includes(`"listening"`)) up.resolve();
      ended += text.split("plugin's worker ended").length - 1;
    }
    up.reject(new Error("the server ended before it listened"));
  })();
  try {
    await up.promise;
    const url = `http://127.0.0.1:${port}/channels`;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/channels/quiet`);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    const latencies: number[] = [];
    const sentMs: number[] = [];
    let got = 0;
    socket.onmessage = ({ data }) => {
      const number = Number(data);
      if (number >= FIRST) latencies.push(performance.now() - sentMs[number]!);
      got++;
    };
    const post = (name: string, data: unknown) =>
      fetch(`${url}/${name}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(data),
      }).then((response) => response.body?.cancel());
    const endMs = performance.now() + seconds * 1000 + FIRST * EVERY_MS;
    const evil = (async () => {
      // One that spins does so for all of the run; one that allocates is ended, and as soon as it is back
      // it is given the next.
      while (what !== "rests" && performance.now() < endMs) {
        await post("evil", what);
        await Bun.sleep(5);
      }
    })();
    const underWay: Promise<unknown>[] = [];
    for (let dueMs = performance.now(); dueMs < endMs; dueMs += EVERY_MS) {
      await Bun.sleep(Math.max(0, dueMs - performance.now()));
      sentMs.push(performance.now());
      underWay.push(post("quiet", sentMs.length - 1));
    }
    await Promise.all(underWay);
    const deadlineMs = performance.now() + 2000;
    while (got < sentMs.length && performance.now() < deadlineMs) await Bun.sleep(5);
    socket.close();
    // A plugin that spins would be waited for.
    server.kill("SIGKILL");
    await evil.catch(() => {});
    return { latencies, lost: sentMs.length - got, ended };
  } finally {
    server.kill("SIGKILL");
    await server.exited;
    await reading.catch(() => {});
    await rm(directory, { recursive: true });
  }
}

const spec = JSON.parse(process.argv[2] ?? "null") as QuietSpec | null;
if (!spec)
  throw new Error("plugin-neighbour: the first argument is a QuietSpec; run bench/main.ts");
console.log(JSON.stringify(await measure(spec)));
process.exit(0);
