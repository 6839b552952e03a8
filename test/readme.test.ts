/**
 * Everything in the README that can be run is run here, by the compiled executable and real clients.
 *
 * A comment before each block says how: `file: <name>` writes it; `run` runs it against the server of
 * the first config, or of the one that it names; `output: …` is compared; `npm` is looked up.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { EventSource } from "eventsource";
import type { Browser } from "playwright-core";
import { PLATFORMS } from "../build.ts";
import { COMMANDS } from "../src/cli/commands.ts";
import { SHIPPED_NAMES } from "../src/plugin/shipped.ts";
import { startBrowser } from "./examples/browser.ts";
import { executable, Folder, freePort, start, tidewire } from "./executable.ts";
import { startNginx } from "./nginx.ts";
import { logOf } from "./page.ts";
import { readBlocks, readFirstColumn, readInlineCode, readLinks, type Block } from "./readme.ts";
import { Shell } from "./shell.ts";

const ROOT = join(import.meta.dir, "..");
const README = await Bun.file(join(ROOT, "README.md")).text();
const BLOCKS = readBlocks(README);
const PACKAGE = (await Bun.file(join(ROOT, "package.json")).json()) as {
  scripts: Record<string, string>;
  engines: { node: string };
};
const ID = /^\w+-\d+$/;

const folder = new Folder();
let browser: Browser;
let server: Shell;
/** Where the README's server listens in this test. */
let urls: { readonly public: string; readonly control: string };

beforeAll(async () => {
  folder.write("bin/.keep", "");
  symlinkSync(await executable(), join(folder.path, "bin/tidewire"));
  for (const { mark, text } of BLOCKS) {
    const name = /^file: (.*)$/.exec(mark ?? "")?.[1];
    // The ports may be taken on this machine: it listens on free ones.
    if (name) folder.write(name, text.replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:0"));
  }
  server = new Shell(block("A config and a plugin 3").text, folder);
  const line = await server.stderr.message("listening");
  urls = { public: line["public"] as string, control: line["control"] as string };
  browser = await startBrowser({});
});

afterAll(async () => {
  await browser?.close();
  await server?.end();
  folder[Symbol.dispose]();
});

function block(name: string): Block {
  const found = BLOCKS.find((each) => each.name === name);
  if (!found) throw new Error(`the README has no block "${name}"`);
  return found;
}

/** The text with the server's ports in the place of those in the README. */
function withPorts(text: string): string {
  return text
    .replaceAll("127.0.0.1:8080", new URL(urls.public).host)
    .replaceAll("127.0.0.1:9090", new URL(urls.control).host);
}

async function runJson({ text }: Block): Promise<unknown> {
  return JSON.parse(await new Shell(withPorts(text), folder).output());
}

/** Runs a block in a page of Tidewire's own origin and gives the arguments of its first logged lines. */
function runInPage({ text }: Block, lines: number): Promise<unknown[][]> {
  return logOf(browser, `${urls.public}/channels/orders/messages`, withPorts(text), lines);
}

async function messagesOf(channel: string): Promise<{ data: unknown }[]> {
  const page = await fetch(`${urls.public}/channels/${channel}/messages?after=earliest`);
  return ((await page.json()) as { messages: { data: unknown }[] }).messages;
}

/** A price as the README's plugin leaves it: one decimal, while bid and ask keep theirs beside it. */
function expectRounded(value: unknown): void {
  const { symbol, price, bid, ask } = value as Record<"price" | "bid" | "ask", number> & {
    symbol: string;
  };
  expect(["ACME", "INIT"]).toContain(symbol);
  expect(price).toBe(Math.round(price * 10) / 10);
  expect(Math.abs(price - (bid + ask) / 2)).toBeLessThan(0.0501);
}

/** What each block that is run has to come to, by its name. */
const RUNS: Readonly<Record<string, (block: Block) => Promise<void>>> = {
  "A config and a plugin 3": async () => {
    // It was run before all others, and they use its server.
    expect(server.stdout.lines).toEqual(["tidewire.yaml is fine: 4 channels, 3 plugins"]);
    for (const path of ["healthz", "readyz", "channels"]) {
      expect((await fetch(`${urls.control}/${path}`)).status).toBe(200);
    }
  },

  "WebSocket 1": async (block) => {
    for (const [price] of await runInPage(block, 4)) expectRounded(price);
  },

  "WebSocket 2": async (block) => {
    expect(await runInPage(block, 1)).toEqual([[expect.stringMatching(ID), { text: "hi" }]]);
  },

  "Server-Sent Events 1": async (block) => {
    expect(await runInPage(block, 1)).toEqual([[expect.stringMatching(/^\d\d:\d\d:\d\d$/)]]);
  },

  "Server-Sent Events 2": async ({ text }) => {
    const shell = new Shell(withPorts(text), folder);
    await shell.stdout.line((line) => /^data: \d\d:\d\d:\d\d$/.test(line), 3);
    await shell.end();
  },

  "Long-poll 1": async (block) => {
    const logged = await runInPage(block, 5);
    const got = logged.map(([price]) => price);
    const kept = (await messagesOf("prices")).map(({ data }) => data);
    const runs = kept.map((_, from) => kept.slice(from, from + got.length));
    expect(runs).toContainEqual(got);
  },

  "Long-poll 2": async (block) => {
    const page = (await runJson(block)) as { messages: { id: string; data: unknown }[] };
    expect(page).toMatchObject({ next: page.messages.at(-1)!.id, gap: false });
    for (const { data } of page.messages) expectRounded(data);
  },

  "Many channels on one request 1": async (block) => {
    const shown = runInPage(block, 1);
    // The page asks for what comes from now on, and it has to be there for that.
    for (let held = 0; held === 0;) {
      const report = await fetch(`${urls.control}/channels/chat%2Flobby`);
      const { connections = {} } = (await report.json()) as { connections?: { sse?: number } };
      held = connections.sse ?? 0;
    }
    const sent = await fetch(`${urls.control}/publish`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ channel: "chat/lobby", data: { text: "to many" } }),
    });
    expect(sent.status).toBe(201);
    expect(await shown).toEqual([["chat/lobby", expect.stringMatching(ID), { text: "to many" }]]);
  },

  "HTTP/2 push 2": async ({ text }) => {
    await using pusher = await start(folder, { config: "push.yaml" });
    const host = new URL(pusher.pushUrl).host;
    const shell = new Shell(text.replaceAll("127.0.0.1:8443", host), folder);
    await shell.stdout.line((line) => line.includes("recv PUSH_PROMISE frame"), 3);
    await shell.end();
    const paths = shell.stdout.lines.filter((line) => / recv .* :path: /.test(line));
    for (const path of paths) expect(path).toMatch(/ \/channels\/prices\/messages\/\w+-\d+$/);
    const events = await fetch(`${pusher.pushUrl}/channels/prices`, {
      headers: { accept: "text/event-stream" },
      tls: { rejectUnauthorized: false },
    });
    expect(events.headers.get("content-type")).toBe("text/event-stream");
    await events.body!.cancel();
  },

  "Publish 1": async (block) => {
    expect(await runJson(block)).toEqual({
      results: [{ channel: "chat/lobby", id: expect.stringMatching(ID) }],
    });
  },

  "Publish 2": async (block) => {
    expect(await runJson(block)).toEqual({ id: expect.stringMatching(ID) });
  },

  "Publish 3": async (block) => {
    expect(await runJson(block)).toMatchObject({
      type: expect.stringMatching(/^urn:tidewire:problem:/),
      status: 422,
      detail: expect.stringContaining("text"),
    });
  },

  "Publish 4": async (block) => {
    const first = await runJson(block);
    expect(first).toEqual({ id: expect.stringMatching(ID) });
    // The same publish again.
    expect(await runJson(block)).toEqual(first);
  },

  "Publish 5": async (block) => {
    expect(await runJson(block)).toMatchObject({
      messages: [{ channel: "chat/lobby", data: {} }, {}],
      gap: false,
    });
    const texts = (await messagesOf("chat/lobby")).map(({ data }) => data);
    const said = ["hi", "to many", "from the app", "from a client", "once"];
    expect(texts).toEqual(said.map((text) => ({ text })));
  },

  "As a sidecar 1": async ({ text }) => {
    if (!Bun.which("nginx")) {
      console.warn("nginx is not installed: its block in the README is not run");
      return;
    }
    await runBehindNginx(text);
  },

  "As a sidecar 2": async ({ text }) => {
    folder.write("app.mjs", withPorts(text));
    const app = Bun.spawn([process.execPath, "app.mjs"], { cwd: folder.path, stderr: "inherit" });
    expect(await app.exited).toBe(0);
    expect(await messagesOf("orders")).toMatchObject([{ data: { id: 42, state: "paid" } }]);
  },
};

/** Starts a real nginx with the block, an app behind it, and goes through it by each transport. */
async function runBehindNginx(text: string): Promise<void> {
  await using app = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("app") });
  const port = freePort();
  const site = withPorts(text)
    .replace("listen 80;", `listen 127.0.0.1:${port};`)
    .replace("127.0.0.1:3000", app.url.host);
  await using _nginx = await startNginx(folder, site);
  const url = `http://127.0.0.1:${port}`;
  expect(await (await fetch(`${url}/orders`)).text()).toBe("app");
  const poll = await fetch(`${url}/channels/prices`);
  expectRounded(await poll.json());
  const source = new EventSource(`${url}/channels/prices`);
  const event = await new Promise<MessageEvent<string>>((resolve) =>
    source.addEventListener("price", resolve),
  );
  source.close();
  expectRounded(JSON.parse(event.data));
  const socket = new WebSocket(`${url}/channels/prices`);
  const frame = await new Promise<MessageEvent<string>>((resolve, reject) => {
    socket.onmessage = resolve;
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  });
  socket.close();
  expectRounded(JSON.parse(frame.data));
  // A page of the proxy's own origin may publish: the server is told the host that the page sees.
  const published = await fetch(`${url}/channels/chat/kitchen`, {
    method: "POST",
    headers: { origin: url, "content-type": "application/json" },
    body: '{"text": "through nginx"}',
  });
  expect(published.status).toBe(201);
}

describe("each block of the README that can be run comes to what it says", () => {
  for (const each of BLOCKS.filter(({ mark }) => /^run\b/.test(mark ?? ""))) {
    test(`${each.name} (README.md:${each.line})`, () => {
      const run = RUNS[each.name];
      if (!run) throw new Error(`no test runs the block in line ${each.line}; add it to RUNS`);
      return run(each);
    });
  }
});

test("every block of the README has a mark that says how it is tested", () => {
  const known = /^(file: [\w.]+|npm|run|run: .+|output: tidewire check)$/;
  const wrong = BLOCKS.filter(({ mark }) => !known.test(mark ?? ""));
  expect(wrong.map(({ line, mark }) => `README.md:${line}: ${mark ?? "no mark"}`)).toEqual([]);
  const run = BLOCKS.filter(({ mark }) => /^run\b/.test(mark ?? "")).map(({ name }) => name);
  expect(run).toEqual(Object.keys(RUNS));
});

test("the config's mistake is shown as tidewire check shows it", async () => {
  const outputs = BLOCKS.filter(({ mark }) => mark === "output: tidewire check");
  expect(outputs).toHaveLength(1);
  using broken = new Folder({
    "tidewire.yaml": "channels:\n  news:\n    histroy: { size: 10 }\n",
  });
  expect((await tidewire(broken, ["check"])).stderr).toBe(outputs[0]!.text);
});

test("the plugin fits the types of the sdk, which see a mistake in it", async () => {
  const source = block("A config and a plugin 2").text;
  using project = new Folder({
    "round.ts": source,
    "wrong.ts": source.replace("options.decimals", "options.decimal"),
    "tsconfig.json": JSON.stringify({
      extends: join(ROOT, "tsconfig.json"),
      compilerOptions: { types: [join(ROOT, "node_modules/bun-types")] },
      include: ["*.ts"],
    }),
  });
  const check = Bun.spawnSync([process.execPath, "check", "--no-pretty"], { cwd: project.path });
  const errors = `${check.stdout}`.split("\n").filter((line) => line.includes("error TS"));
  expect(errors).toEqual([expect.stringMatching(/^wrong\.ts\(7,\d+\): .*'decimal'/)]);
});

test("the commands that the README names are there", async () => {
  const npm = BLOCKS.filter(({ mark }) => mark === "npm").map(({ text }) => text);
  const named = [...npm, ...readInlineCode(README)].join("\n");
  for (const [, script] of named.matchAll(/npm (?:run )?(?!ci\b)([\w-]+)/g)) {
    expect(PACKAGE.scripts).toHaveProperty(script!);
  }
  for (const text of npm) expect(text).toMatch(/^npm ci && npm (start|test) +# .*\n$/);
  expect(PACKAGE.scripts["start"]).toEndWith("run config.example.yaml");
  expect(PACKAGE.engines.node).toBe(`>=${/Node\.js (\d+) or newer/.exec(README)![1]}`);
  expect(README).toContain("all eight platforms");
  expect(Object.keys(PLATFORMS)).toHaveLength(8);
  for (const code of readInlineCode(README).filter((text) => text.startsWith("tidewire "))) {
    const words = code.split(" ").slice(1);
    const command = COMMANDS.find(({ name }) => `${words.join(" ")} `.startsWith(`${name} `));
    expect(`${code}: ${command?.name}`).not.toEndWith("undefined");
    const flags = words.filter((word) => word.startsWith("--")).map((word) => word.slice(2));
    expect(Object.keys(command!.options)).toEqual(expect.arrayContaining(flags));
  }
});

test("the table of plugins that ship has every one of them, and no other", () => {
  const rows = readFirstColumn(README, "Plugins that ship");
  const names = rows.flatMap((cell) => cell.split(", ")).map((cell) => cell.replaceAll("`", ""));
  expect(names.toSorted()).toEqual([...SHIPPED_NAMES].sort());
});

test("every link into the project leads somewhere", () => {
  expect(readLinks(README)).toContain("CHANGELOG.md");
  for (const link of readLinks(README))
    expect([link, existsSync(join(ROOT, link))]).toEqual([link, true]);
});
