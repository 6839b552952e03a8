/**
 * docs/plugins.md as it is printed: its five plugins, each against the real thing, and its commands.
 *
 * A comment before each block says what it is: `file: <name>`, `channels` and `tests` (parts of one
 * config), `sql`, `run: <where>`, `serve: <where>`, `frame: <config>` (what starting it shows), `npm`.
 */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { EventSource } from "eventsource";
import { executable, Folder, launch, start, tidewire, type RunningServer } from "./executable.ts";
import { startPostgres, type Postgres } from "./postgres.ts";
import { readBlocks, type Block } from "./readme.ts";

const GUIDE = join(import.meta.dir, "../docs/plugins.md");
const BLOCKS = readBlocks(await Bun.file(GUIDE).text());
const SECRET = "a secret of two parties";

const folder = new Folder();
/** Where the commands of the guide's first part are run. */
const desk = new Folder();
let postgres: Postgres;
let server: RunningServer;
let quotes: QuoteApi;
let receiver: HookReceiver;

function marked(mark: string): readonly Block[] {
  const blocks = BLOCKS.filter((block) => block.mark === mark);
  if (blocks.length === 0) throw new Error(`the guide has no block "${mark}"`);
  return blocks;
}

/** Every `channels:` of the guide, as one file. */
function writeConfig(): void {
  const channels = marked("channels").map(({ text }) => text.replace(/^channels:\n/, ""));
  const tests = marked("tests").map(({ text }) => text);
  folder.write(
    "tidewire.yaml",
    `server: { listen: "127.0.0.1:0" }\nchannels:\n${channels.join("")}${tests.join("")}`,
  );
}

beforeAll(async () => {
  quotes = new QuoteApi();
  receiver = new HookReceiver();
  for (const { mark, text } of BLOCKS) {
    const name = /^file: (.*)$/.exec(mark ?? "")?.[1];
    // One is wrong on purpose.
    const to = name?.includes("oops") ? desk : folder;
    // The port may be taken on this machine: it listens on a free one.
    if (name) to.write(name, text.replace("127.0.0.1:8080", "127.0.0.1:0"));
  }
  for (const { path } of [folder, desk]) symlinkSync(await executable(), join(path, "tidewire"));
  writeConfig();
  postgres = await startPostgres();
  const sql = new Bun.SQL(postgres.url);
  for (const { mark, text } of BLOCKS) if (mark === "sql") await sql.unsafe(text);
  await sql.close();
  server = await start(folder, { env: environment() });
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
  quotes?.stop();
  receiver?.stop();
  folder[Symbol.dispose]();
  desk[Symbol.dispose]();
});

function environment(): Record<string, string> {
  return {
    QUOTES_URL: quotes.url,
    DATABASE_URL: postgres.url,
    HOOK_SECRET: SECRET,
    FORWARD_URL: receiver.url,
  };
}

test("each block of the guide says what it is", () => {
  const known = /^(file: .+|channels|tests|sql|npm|(run|serve): .+|frame: .+)$/;
  expect(BLOCKS.filter(({ mark }) => !known.test(mark ?? "")).map(({ name }) => name)).toEqual([]);
});

/** Runs a block's lines, each of which has to end well. */
async function run(block: Block, cwd: string, home: Folder): Promise<void> {
  const child = Bun.spawn(["/bin/sh", "-e", "-c", block.text], {
    cwd,
    env: { PATH: home.path, HOME: home.path, ...environment() },
    stdout: "pipe",
    stderr: "pipe",
  });
  const written = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect({ code: await child.exited, written: written.join("") }).toMatchObject({ code: 0 });
}

describe("the commands of the guide", () => {
  test("make a project, check it, test it and serve it", async () => {
    for (const block of marked("run: in a new folder")) await run(block, desk.path, desk);
    const live = join(desk.path, "live");
    for (const block of marked("run: in live")) await run(block, live, desk);
    const [serve] = marked("serve: in live");
    const args = serve!.text.trim().split(" ").slice(1);
    expect(args).toEqual(["run", "--watch"]);
    await using running = await launch(desk, {
      args: ["run", "live/tidewire.yaml", "--watch"],
      env: { TIDEWIRE_PORT: "0" },
    });
    const { public: url } = await running.log.message("listening");
    const page = await fetch(String(url));
    expect(await page.text()).toContain("<!doctype html>");
  });

  test("check and test the guide's own plugins and channels", async () => {
    for (const block of marked("run: here")) await run(block, folder.path, folder);
    const { code, stdout } = await tidewire(folder, ["plugin", "check"]);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining("no type errors"),
    });
  });

  test("are commands that there are", async () => {
    const help = (await tidewire(desk, ["help"])).stdout;
    for (const { text } of marked("npm")) {
      for (const [, command] of text.matchAll(/^(tidewire plugin \w+)/gm)) {
        expect(help).toContain(`  ${command} `);
      }
    }
  });

  test("show a mistake as the guide does", async () => {
    const [frame] = BLOCKS.filter(({ mark }) => mark?.startsWith("frame: "));
    const config = frame!.mark!.slice("frame: ".length);
    await using running = await launch(desk, { args: ["run", config] });
    expect(await running.exited).toBe(1);
    const line = JSON.parse(running.log.lines.at(-1)!) as { frame: string };
    expect(`${line.frame}\n`).toBe(frame!.text);
  });
});

test("the guide's config and plugins are fine", async () => {
  const { code, stdout, stderr } = await tidewire(folder, ["check"], environment());
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toBe("tidewire.yaml is fine: 5 channels, 6 plugins, 2 tests\n");
});

describe("the ticker", () => {
  test("publishes what changed, and goes on after the API failed", async () => {
    quotes.prices = { ACME: 10, INIT: 5 };
    using events = new Events(`${server.publicUrl}/channels/quotes?after=earliest`, "quote");
    expect(await events.take(2)).toEqual([
      { symbol: "ACME", price: 10 },
      { symbol: "INIT", price: 5 },
    ]);
    quotes.prices = { ACME: 10, INIT: 6 };
    expect(await events.take(1)).toEqual([{ symbol: "INIT", price: 6 }]);
    quotes.prices = null;
    const line = await server.log.message("plugin failed in source");
    expect(line).toMatchObject({ plugin: "ticker", hook: "source", channel: "quotes" });
    expect(JSON.stringify(line)).toContain("answered 503");
    quotes.prices = { ACME: 11, INIT: 6 };
    expect(await events.take(1)).toEqual([{ symbol: "ACME", price: 11 }]);
  });
});

describe("the moderated chat", () => {
  async function say(name: string | null, text: string, room = "lobby"): Promise<Response> {
    const query = name === null ? "" : `?name=${name}`;
    return fetch(`${server.publicUrl}/channels/chat/${room}${query}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text }),
    });
  }

  test("masks words, lets moderators mute, and refuses who is too fast", async () => {
    using said = new Events(`${server.publicUrl}/channels/chat/lobby`, "said");
    using notices = new Events(`${server.publicUrl}/channels/chat/lobby`, "notice");
    expect(await notices.take(1)).toEqual([{ text: "welcome to lobby" }]);
    expect((await say("bob", "well, darn it")).status).toBe(201);
    expect(await said.take(1)).toEqual([{ name: "bob", text: "well, **** it" }]);
    const mute = await say("bob", "/mute ada");
    expect(mute.status).toBe(403);
    expect(await mute.json()).toMatchObject({ detail: "only moderators mute" });
    expect((await say("ada", "/mute bob")).status).toBe(201);
    expect(await notices.take(1)).toEqual([{ text: "bob is muted for an hour" }]);
    expect(await (await say("bob", "why")).json()).toMatchObject({ detail: "you are muted" });
    // Another room has a store of its own.
    expect((await say("bob", "hello", "garden")).status).toBe(201);
  });

  test("refuses who gives no name, and says why to the log alone", async () => {
    const refused = await say(null, "psst");
    expect(refused.status).toBe(403);
    expect(await refused.text()).not.toContain("no name");
    await server.log.line((line) => line.includes('"no name"'));
  });

  test("refuses a socket that is too fast", async () => {
    const url = server.publicUrl.replace("http", "ws");
    const socket = new WebSocket(`${url}/channels/chat/hall?name=eve`, "tidewire.v1");
    const errors: unknown[] = [];
    const refused = Promise.withResolvers<void>();
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(String(data)) as { type: string };
      if (frame.type !== "error") return;
      errors.push(frame);
      refused.resolve();
    };
    socket.onopen = () => {
      for (let ref = 1; ref <= 6; ref++) {
        const data = { text: `message ${ref}` };
        socket.send(JSON.stringify({ type: "publish", channel: "chat/hall", data, ref }));
      }
    };
    await refused.promise;
    expect(errors).toMatchObject([{ ref: 6, message: "slow down" }]);
    socket.close();
  });
});

describe("the outbox", () => {
  test("publishes what is written, also what was while the database was gone", async () => {
    using events = new Events(`${server.publicUrl}/channels/orders?after=earliest`, "placed");
    {
      await using sql = new Bun.SQL(postgres.url);
      await sql`INSERT INTO outbox (event, data) VALUES ('placed', ${{ order: 1 }})`;
      expect(await events.take(1)).toEqual([{ order: 1 }]);
      // A row that is published is deleted afterwards: where the database goes in between, it comes again.
      let rows: number;
      do [{ rows }] = await sql`SELECT count(*)::int AS rows FROM outbox`;
      while (rows > 0);
    }
    await postgres.restart();
    await using sql = new Bun.SQL(postgres.url);
    await sql.begin(async (transaction) => {
      for (const order of [2, 3]) {
        await transaction`INSERT INTO outbox (event, data) VALUES ('placed', ${{ order }})`;
      }
    });
    expect(await events.take(2)).toEqual([{ order: 2 }, { order: 3 }]);
  });
});

describe("webhooks and the audit log", () => {
  test("a signed POST is published, forwarded with a signature, and logged; another is refused", async () => {
    receiver.refusals = 1;
    const body = `{ "service":"web", "commit":"3f2a" }`;
    const post = (signature: string) =>
      fetch(`${server.publicUrl}/channels/deploys`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-github-event": "deployment",
          "x-hub-signature-256": signature,
        },
        body,
      });
    expect((await post("sha256=00")).status).toBe(403);
    const answer = await post(sign(body));
    expect(answer.status).toBe(201);
    const { id } = (await answer.json()) as { id: string };
    const forwarded = await receiver.next();
    expect(forwarded.signature).toBe(sign(forwarded.body));
    expect(JSON.parse(forwarded.body)).toEqual({
      event: "deployment",
      data: { service: "web", commit: "3f2a" },
    });
    // Its sinks are done when it has stopped.
    server.signal("SIGTERM");
    expect(await server.exited).toBe(0);
    using db = new Database(join(folder.path, "audit.db"), { readonly: true });
    expect(db.query("SELECT id, channel, event, data FROM audit").all()).toEqual([
      { id, channel: "deploys", event: "deployment", data: `{"service":"web","commit":"3f2a"}` },
    ]);
  });

  test("who was muted is so after a restart", async () => {
    server = await start(folder, { env: environment() });
    const answer = await fetch(`${server.publicUrl}/channels/chat/lobby?name=bob`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"text":"again"}`,
    });
    expect(await answer.json()).toMatchObject({ detail: "you are muted" });
  });
});

function sign(text: string): string {
  return `sha256=${new Bun.CryptoHasher("sha256", SECRET).update(text).digest("hex")}`;
}

/** Events of one type, as a client gets them. */
class Events implements Disposable {
  readonly #source: EventSource;
  readonly #waiting: unknown[] = [];
  #wake: (() => void) | null = null;

  constructor(url: string, type: string) {
    this.#source = new EventSource(url);
    this.#source.addEventListener(type, ({ data }) => {
      this.#waiting.push(JSON.parse(String(data)));
      this.#wake?.();
    });
  }

  async take(count: number): Promise<unknown[]> {
    while (this.#waiting.length < count) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#waiting.splice(0, count);
  }

  [Symbol.dispose](): void {
    this.#source.close();
  }
}

/** The API that the ticker asks. */
class QuoteApi {
  /** null: it fails. */
  prices: Readonly<Record<string, number>> | null = {};
  readonly #server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) => {
      if (this.prices === null) return new Response("down", { status: 503 });
      const symbols = new URL(url).searchParams.get("symbols")!.split(",");
      return Response.json(
        symbols.flatMap((symbol) => {
          const price = this.prices![symbol];
          return price === undefined ? [] : [{ symbol, price }];
        }),
      );
    },
  });
  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/quotes`;
  }
  stop(): void {
    void this.#server.stop(true);
  }
}

/** The other party of the webhooks. */
class HookReceiver {
  /** Requests that it answers with 503 before it takes one. */
  refusals = 0;
  readonly #taken: { signature: string | null; body: string }[] = [];
  #wake: (() => void) | null = null;
  readonly #server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      if (this.refusals-- > 0) return new Response("busy", { status: 503 });
      const signature = request.headers.get("x-hub-signature-256");
      this.#taken.push({ signature, body: await request.text() });
      this.#wake?.();
      return new Response("ok");
    },
  });
  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/hook`;
  }
  async next(): Promise<{ signature: string | null; body: string }> {
    while (this.#taken.length === 0) await new Promise<void>((wake) => (this.#wake = wake));
    return this.#taken.shift()!;
  }
  stop(): void {
    void this.#server.stop(true);
  }
}
