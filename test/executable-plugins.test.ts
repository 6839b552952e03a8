/** Plugins in the executable: each that ships, by its bare name, and one that a user writes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { SHIPPED_NAMES } from "../src/plugin/shipped.ts";
import { Folder, start, tidewire, type RunningServer } from "./executable.ts";
import { rawPoll } from "./transports/clients/long-poll.ts";
import { eventSource } from "./transports/clients/sse.ts";
import { rawWebSocket } from "./transports/clients/websocket.ts";

function post(url: string, data: unknown): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(data),
  });
}

describe("the plugins that ship", () => {
  let folder: Folder;
  let server: RunningServer;
  let site: Bun.Server<undefined>;
  let page = "first";
  const hooked: unknown[] = [];
  const hook = Promise.withResolvers<void>();

  beforeAll(async () => {
    site = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      routes: {
        "/page": () => Response.json({ page }),
        "/hook": async (request) => {
          hooked.push(...((await request.json()) as unknown[]));
          if (hooked.length >= 2) hook.resolve();
          return new Response();
        },
      },
    });
    folder = new Folder({
      "lines.log": "written before\n",
      "tidewire.yaml": `server: { listen: 127.0.0.1:0 }
channels:
  clock:
    path: /events
    plugins: [{ use: clock, with: { every: 50ms, format: iso } }]
  prices:
    plugins: [{ use: random-walk, with: { symbols: [ACME, INIT], every: 20ms, seed: 7 } }]
  echo:
    plugins: [{ use: echo, with: { prefix: "Server received: " } }]
  lines:
    plugins: [{ use: tail, with: { path: lines.log, from: start } }]
  page:
    plugins: [{ use: http-poll, with: { url: "${site.url.origin}/page", every: 20ms } }]
  hook:
    publish: clients
    plugins: [{ use: webhook, with: { url: "${site.url.origin}/hook" } }]
  trades/{symbol}:
    publish: clients
    plugins:
      - { use: filter, with: { where: data.price > 10 } }
      - { use: map, with: { to: '{ "of": params.symbol, "cents": data.price * 100 }' } }
      - use: dedupe
      - { use: throttle, with: { every: 300ms } }
`,
    });
    server = await start(folder);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
    await site.stop(true);
  });

  test("are all in this config, and check says that they are fine", async () => {
    const { code, stdout } = await tidewire(folder, ["check", "--json"]);
    expect(code).toBe(0);
    const { channels } = JSON.parse(stdout) as { channels: { plugins: string[] }[] };
    expect(channels.flatMap(({ plugins }) => plugins).sort()).toEqual([...SHIPPED_NAMES].sort());
  });

  test("clock ticks over SSE", async () => {
    const response = await fetch(`${server.publicUrl}/events`, {
      headers: { accept: "text/event-stream" },
    });
    let text = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.split("data: ").length > 3) break;
    }
    const times = [...text.matchAll(/^data: (.*)$/gm)].map(([, time]) => Date.parse(time!));
    expect(times).toEqual(times.toSorted((one, two) => one - two));
    expect(new Set(times).size).toBe(3);
    expect(times.map((time) => time % 50)).toEqual([0, 0, 0]);
  });

  test("random-walk has prices of each symbol over WebSocket", async () => {
    const client = await rawWebSocket.open({ url: server.publicUrl, channel: "prices" });
    const seen = new Set<string>();
    while (seen.size < 2) {
      const received = await client.next();
      if (received.type !== "message") throw new Error(`a ${received.type} instead of a price`);
      const { symbol, price } = JSON.parse(received.text) as { symbol: string; price: number };
      expect(price).toBeWithin(90, 110);
      seen.add(symbol);
    }
    expect([...seen].sort()).toEqual(["ACME", "INIT"]);
    await client.close();
  });

  test("echo answers over WebSocket", async () => {
    const socket = new WebSocket(`${server.publicUrl}/channels/echo`);
    socket.onopen = () => socket.send("Hello");
    const { promise, resolve } = Promise.withResolvers<unknown>();
    socket.onmessage = ({ data }) => resolve(data);
    expect(await promise).toBe("Server received: Hello");
    socket.close();
  });

  test("tail follows a file next to the config", async () => {
    const options = { url: server.publicUrl, channel: "lines", after: "earliest" };
    const client = await eventSource.open(options);
    expect(await client.next()).toMatchObject({ text: "written before" });
    appendFileSync(join(folder.path, "lines.log"), "written now\n");
    expect(await client.next()).toMatchObject({ text: "written now" });
    await client.close();
  });

  test("http-poll publishes a page when it has changed", async () => {
    const options = { url: server.publicUrl, channel: "page", after: "earliest" };
    const client = await rawPoll.open(options);
    expect(await client.next()).toMatchObject({ text: '{"page":"first"}' });
    page = "second";
    expect(await client.next()).toMatchObject({ text: '{"page":"second"}' });
    await client.close();
  });

  test("webhook posts what was published, in order", async () => {
    await post(`${server.publicUrl}/channels/hook`, { n: 1 });
    await post(`${server.publicUrl}/channels/hook`, { n: 2 });
    await hook.promise;
    expect(hooked).toMatchObject([
      { channel: "hook", data: { n: 1 } },
      { channel: "hook", data: { n: 2 } },
    ]);
  });

  test("filter, map, dedupe and throttle make a pipeline, in their order", async () => {
    const channel = `${server.publicUrl}/channels/trades/ACME`;
    const startedMs = performance.now();
    const answers: number[] = [];
    // Passes; too low; a repeat; held; held in its place.
    for (const price of [11, 9, 11, 12, 13]) {
      answers.push((await post(channel, { price })).status);
    }
    expect(answers).toEqual([201, 202, 202, 202, 202]);
    const client = await rawPoll.open({
      url: server.publicUrl,
      channel: "trades/ACME",
      after: "earliest",
    });
    expect(await client.next()).toMatchObject({ text: '{"of":"ACME","cents":1100}' });
    expect(await client.next()).toMatchObject({ text: '{"of":"ACME","cents":1300}' });
    expect(performance.now() - startedMs).toBeGreaterThan(295);
    await client.close();
  });
});

describe("a user's plugin", () => {
  const FILES = {
    "tidewire.yaml": `server: { listen: 127.0.0.1:0 }
channels:
  prices:
    publish: clients
    plugins:
      - use: ./plugins/round.ts
        with: { decimals: 1 }
`,
    "plugins/round.ts": `import { definePlugin, t, type Draft } from "tidewire";
import { shift } from "decimal-shift";
import { priceOf } from "./lib/price.ts";

export default definePlugin({
  name: "round",
  options: t.Object({ decimals: t.Integer({ minimum: 0, maximum: 10, default: 2 }) }),
  setup({ options: { decimals }, log }) {
    return {
      transform(draft): Draft {
        const price = shift(Math.round(shift(priceOf(draft), decimals)), -decimals);
        log.info("rounded", { price });
        return { ...draft, data: { price } };
      },
    };
  },
});
`,
    "plugins/lib/price.ts": `import type { Draft } from "tidewire";
export function priceOf({ data }: Draft): number {
  const { price } = data as { price: unknown };
  if (typeof price !== "number") throw new TypeError("price is " + typeof price);
  return price;
}
`,
    // As npm would install it: its entry is not where a folder's would be, and it has one of its own.
    "plugins/node_modules/decimal-shift/package.json": JSON.stringify({
      name: "decimal-shift",
      version: "1.0.0",
      type: "module",
      exports: { ".": "./lib/main.js" },
      dependencies: { "power-of-ten": "1.0.0" },
    }),
    "plugins/node_modules/decimal-shift/lib/main.js": `import power from "power-of-ten";
export const shift = (value, places) => places < 0 ? value / power(-places) : value * power(places);
`,
    "plugins/node_modules/power-of-ten/package.json": JSON.stringify({
      name: "power-of-ten",
      version: "1.0.0",
      main: "index.cjs",
    }),
    "plugins/node_modules/power-of-ten/index.cjs": "module.exports = (n) => 10 ** n;\n",
  };

  test("works with its relative imports and npm packages, from another working directory", async () => {
    using folder = new Folder(FILES);
    using elsewhere = new Folder();
    const config = join(folder.path, "tidewire.yaml");
    expect(await tidewire(elsewhere, ["check", config])).toEqual({
      code: 0,
      stdout: `${config} is fine: 1 channel, 1 plugin\n`,
      stderr: "",
    });
    await using server = await start(elsewhere, { config });
    const prices = `${server.publicUrl}/channels/prices`;
    expect((await post(prices, { price: 12.3456 })).status).toBe(201);
    expect(await (await fetch(`${prices}?last=1`)).json()).toEqual({ price: 12.3 });
    expect(await server.log.message("rounded")).toMatchObject({
      plugin: "round",
      channel: "prices",
      price: 12.3,
    });
  });

  test("that throws on a message loses that one alone, and is named in the log with its line", async () => {
    using folder = new Folder(FILES);
    await using server = await start(folder);
    const prices = `${server.publicUrl}/channels/prices`;
    expect((await post(prices, { price: "12" })).status).toBe(202);
    expect((await post(prices, { price: 1.26 })).status).toBe(201);
    expect(await (await fetch(`${prices}?after=earliest`)).json()).toEqual({ price: 1.3 });
    const line = await server.log.message("plugin failed in transform");
    expect(line).toMatchObject({ plugin: "round", channel: "prices", hook: "transform" });
    const { message, stack } = line["error"] as { message: string; stack: string };
    expect(message).toEndWith(": price is string");
    expect(stack).toContain(`${folder.path}/plugins/lib/price.ts:4:`);
  });

  test("has its options checked, and a mistake is shown where the YAML has it", async () => {
    using folder = new Folder(FILES);
    folder.write("tidewire.yaml", FILES["tidewire.yaml"].replace("decimals: 1", "decimals: many"));
    expect(await tidewire(folder, [])).toEqual({
      code: 78,
      stdout: "",
      stderr: `error[wrong-type]: expected a whole number, got the text "many"
  --> tidewire.yaml:7:27
 7 |         with: { decimals: many }
   |                           ^^^^

1 error in tidewire.yaml
`,
    });
    folder.write("tidewire.yaml", FILES["tidewire.yaml"].replace("decimals: 1", "decimal: 1"));
    expect((await tidewire(folder, [])).stderr).toContain(
      '                 ^^^^^^^ did you mean "decimals"?\n',
    );
  });
});
