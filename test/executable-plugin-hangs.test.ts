/** Plugins whose top level does not end, in the executable: a start is ended with a word, a server goes on. */
import { expect, test } from "bun:test";
import { Folder, launch, start, tidewire } from "./executable.ts";

const LOOPS = "for (;;);\n";
const CONFIG = `server: { listen: "127.0.0.1:0" }
channels:
  a: { publish: clients, plugins: [{ use: ./plugins/p.ts, isolate: true }] }
`;
const mark = (text: string) => `import { definePlugin } from "tidewire";
export default definePlugin({ name: "p", setup: () => ({ transform: (draft) => ({ ...draft, data: "${text}" }) }) });
`;
const TOLD =
  "its top level does not end: it gave no sign of life for 5 s; an endless loop, or a call that blocks";

test.concurrent(
  "a check names the file that hangs, and ends",
  async () => {
    using folder = new Folder({ "plugins/p.ts": LOOPS, "tidewire.yaml": CONFIG });
    const { code, stdout, stderr } = await tidewire(folder, ["check"]);
    expect({ stdout, stderr }).toEqual({
      stdout: "",
      stderr: `tidewire: ${folder.path}/plugins/p.ts: ${TOLD}\n`,
    });
    expect(code).not.toBe(0);
  },
  30_000,
);

test.concurrent(
  "so does a start of the server",
  async () => {
    using folder = new Folder({ "plugins/p.ts": LOOPS, "tidewire.yaml": CONFIG });
    await using running = await launch(folder, { config: "tidewire.yaml" });
    expect(await running.exited).not.toBe(0);
    expect(running.log.lines).toEqual([`tidewire: ${folder.path}/plugins/p.ts: ${TOLD}`]);
  },
  30_000,
);

test.concurrent(
  "a reload fails, while the server answers and its old plugin goes on",
  async () => {
    using folder = new Folder({ "plugins/p.ts": mark("old"), "tidewire.yaml": CONFIG });
    await using server = await start(folder);
    const publish = async () => {
      const url = `${server.publicUrl}/channels/a`;
      const answer = await fetch(url, { method: "POST", body: "x" });
      const kept = await fetch(server.publicUrl + answer.headers.get("location"));
      return kept.text();
    };
    const served: string[] = [await publish()];
    folder.write("plugins/p.ts", LOOPS);
    server.signal("SIGHUP");
    const failed = server.log.message("reload failed, the old state goes on");
    let isFailed = false;
    void failed.then(() => (isFailed = true));
    while (!isFailed) served.push(await publish());
    expect(new Set(served)).toEqual(new Set(["old"]));
    expect(served.length).toBeGreaterThan(100);
    const told = server.log.lines.join("\n");
    expect(told).toContain("error[load-timeout]: its top level does not end");
    expect(told).toContain("plugins/p.ts");
    folder.write("plugins/p.ts", "process.exit(0);\n");
    server.signal("SIGHUP");
    await server.log.line((line) => line.includes("reload failed"), 2);
    expect(server.log.lines.join("\n")).toContain("it ended the process when it was loaded");
    expect(await publish()).toBe("old");
    folder.write("plugins/p.ts", mark("new"));
    server.signal("SIGHUP");
    await server.log.message("reloaded");
    expect(await publish()).toBe("new");
  },
  60_000,
);
