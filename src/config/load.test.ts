import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { createCertificate } from "./test-certificate.ts";
import { loadConfig } from "./load.ts";
import { resolveFake } from "./fake-plugins.ts";
import { ConfigFolder } from "./testing.ts";

const folder = new ConfigFolder();
afterAll(() => folder[Symbol.dispose]());

describe("loadConfig() of a config that says nothing but a channel", () => {
  test("fills in every default", async () => {
    const { channels, ...rest } = await folder.config("channels: { news: {} }");
    expect(rest).toEqual({
      file: join(folder.path, "tidewire.yaml"),
      server: {
        listen: { hostname: "127.0.0.1", port: 8080 },
        tls: null,
        http2Push: null,
        static: null,
        cors: [],
        compression: { http: ["zstd", "gzip"], websocket: false, minBytes: 1024 },
      },
      control: null,
      broker: { use: "memory" },
      store: { use: "sqlite", path: join(folder.path, ".tidewire/store.db") },
      limits: {
        buffer: 1024 ** 2,
        message: 1024 ** 2,
        connections: 100_000,
        channels: 10_000,
        workers: 100,
        waiting: 1024,
        connectionsPerAddress: null,
        subscriptions: 1000,
        polls: 50_000,
        publishes: { perSecond: 1000, burst: 10_000, loopback: false },
        headers: 16_384,
        body: { timeMs: 30_000, rate: 4096 },
        http2: { connections: 100_000, streams: 100, resets: { perSecond: 33, burst: 1000 } },
      },
      idempotency: { windowMs: 600_000, keys: 100_000 },
      sse: { retryMs: 2000, heartbeatMs: 15_000 },
      shutdown: { drainMs: 10_000 },
      log: { level: "info", format: "auto" },
    });
    expect(channels).toHaveLength(1);
    expect(channels[0]).toMatchObject({
      name: "news",
      path: { text: "/channels/news" },
      transports: ["websocket", "sse", "long-poll"],
      history: { size: 100, ttlMs: 600_000, maxBytes: 16 * 1024 ** 2 },
      publish: "nobody",
      schema: null,
      plugins: [],
    });
  });

  test("takes a channel whose map is left empty", async () => {
    const { channels } = await folder.config("channels:\n  news:\n  prices:\n");
    expect(channels.map(({ name }) => name)).toEqual(["news", "prices"]);
  });
});

describe("loadConfig() of a config that says everything", () => {
  test("gives every field, paths absolute, durations in ms, sizes in bytes", async () => {
    mkdirSync(join(folder.path, "public"), { recursive: true });
    folder.write("public/index.html", "<p>");
    folder.write("public/style.css", "p {}");
    const { cert, key } = await createCertificate();
    folder.write("cert.pem", cert);
    folder.write("key.pem", key);
    const config = await folder.config(`
server:
  listen: "[::1]:0"
  tls: { cert: ./cert.pem, key: key.pem }
  http2_push: { listen: :8443 }
  static: { root: ./public, push: { /: [/style.css, /index.html] } }
  cors: [https://example.org, "http://localhost:3000"]
  compression: { http: [gzip], websocket: true, min: 2KiB }
control: { listen: "unix:/run/tidewire.sock", token: abc }
broker: { use: memory }
limits:
  { buffer: 64KiB, message: 1.5MiB, connections: 5, channels: 6, workers: 8, waiting: 7, connections_per_address: 2,
    subscriptions: 8, polls: 9, publishes: { per_second: 10, burst: 20, loopback: true }, headers: 64KiB,
    body: { time: 2s, rate: 1KiB }, http2: { streams: 11, resets: { per_second: 12, burst: 13 } } }
idempotency: { window: 1h, keys: 14 }
sse: { retry: 0s, heartbeat: 1m }
shutdown: { drain: 500ms }
log: { level: debug, format: json }
defaults: { transports: [sse], history: { size: 5, ttl: 1h, bytes: 1MiB }, publish: clients, slow: latest }
channels:
  clock:
    plugins: [{ use: clock, with: { every: 250ms } }, { use: ./round.ts }, { use: shout, with: }]
  chat/{room}/{user}:
    path: "/{user}/in/{room}"
    transports: [http2-push, websocket]
    history: { ttl: 2s, bytes: 2KiB }
    publish: nobody
    slow: drop-oldest
    schema: { type: object, properties: { text: { type: string, maxLength: 3 } } }
`);
    expect(config.server).toEqual({
      listen: { hostname: "::1", port: 0 },
      tls: { cert: join(folder.path, "cert.pem"), key: join(folder.path, "key.pem") },
      http2Push: { listen: { hostname: "0.0.0.0", port: 8443 }, tls: null },
      static: {
        root: join(folder.path, "public"),
        push: { "/": ["/style.css", "/index.html"] },
      },
      cors: ["https://example.org", "http://localhost:3000"],
      compression: { http: ["gzip"], websocket: true, minBytes: 2048 },
    });
    expect(config.control).toEqual({ listen: { unix: "/run/tidewire.sock" }, token: "abc" });
    expect(config.limits).toEqual({
      buffer: 65_536,
      message: 1_572_864,
      connections: 5,
      channels: 6,
      workers: 8,
      waiting: 7,
      connectionsPerAddress: 2,
      subscriptions: 8,
      polls: 9,
      publishes: { perSecond: 10, burst: 20, loopback: true },
      headers: 65_536,
      body: { timeMs: 2000, rate: 1024 },
      http2: { connections: 5, streams: 11, resets: { perSecond: 12, burst: 13 } },
    });
    expect(config.idempotency).toEqual({ windowMs: 3_600_000, keys: 14 });
    expect(config.sse).toEqual({ retryMs: 0, heartbeatMs: 60_000 });
    expect(config.shutdown).toEqual({ drainMs: 500 });
    expect(config.log).toEqual({ level: "debug", format: "json" });
    const [clock, chat] = config.channels;
    expect(clock).toMatchObject({
      transports: ["sse"],
      history: { size: 5, ttlMs: 3_600_000, maxBytes: 1024 ** 2 },
      publish: "clients",
      slow: "latest",
      plugins: [
        { use: "clock", options: { every: "250ms", format: "time" } },
        { use: join(folder.path, "round.ts"), options: { decimals: 2 } },
        { use: "shout", options: {} },
      ],
    });
    expect(chat).toMatchObject({
      name: "chat/{room}/{user}",
      pattern: { params: ["room", "user"] },
      path: { text: "/{user}/in/{room}", params: ["user", "room"] },
      transports: ["http2-push", "websocket"],
      history: { size: 5, ttlMs: 2000, maxBytes: 2048 },
      publish: "nobody",
      slow: "drop-oldest",
      schema: { type: "object", properties: { text: { type: "string", maxLength: 3 } } },
    });
  });

  test("keeps the newest message of each key where a channel, or the defaults, say so", async () => {
    const histories = async (text: string) =>
      (await folder.config(text)).channels.map(({ history }) => history);
    const plain = { size: 100, ttlMs: 600_000, maxBytes: 16 * 1024 ** 2 };
    const keyed = { ...plain, latestByKey: true, maxKeys: 10_000 };
    expect(
      await histories(
        "channels: { a: {}, b: { history: { latest_by_key: true } }, c: { history: { latest_by_key: true, keys: 5 } } }",
      ),
    ).toEqual([plain, keyed, { ...keyed, maxKeys: 5 }]);
    expect(
      await histories(`defaults: { history: { latest_by_key: true, keys: 7 } }
channels: { a: {}, b: { history: { latest_by_key: false } }, c: { history: { keys: 5 } } }`),
    ).toEqual([{ ...keyed, maxKeys: 7 }, plain, { ...keyed, maxKeys: 5 }]);
  });

  test("finds files from the config's folder, whatever folder it is started in", async () => {
    const file = folder.write(
      "other.yaml",
      "channels: { a: { plugins: [{ use: ../x/round.ts }] } }",
    );
    const result = await loadConfig(relative(process.cwd(), file), {
      env: {},
      resolvePlugin: resolveFake,
    });
    if (!("config" in result)) throw new Error("not right");
    expect(result.config.file).toBe(file);
    expect(result.config.channels[0]!.plugins[0]!.use).toBe(join(folder.path, "../x/round.ts"));
  });

  test('takes "*" for cors, and self-signed for both listeners', async () => {
    const { server } = await folder.config(`
server: { tls: self-signed, cors: "*", http2_push: { listen: localhost:8443, tls: self-signed } }
channels: { a: {} }`);
    expect(server).toMatchObject({ tls: "self-signed", cors: "*" });
    expect(server.http2Push!.tls).toBe("self-signed");
  });

  test("takes control on a public address with a token, and on loopback without", async () => {
    const listen = async (text: string) =>
      (await folder.config(`control: { ${text} }\nchannels: { a: {} }`)).control;
    expect(await listen("listen: :9090, token: x")).toEqual({
      listen: { hostname: "0.0.0.0", port: 9090 },
      token: "x",
    });
    for (const address of ["127.0.0.1:9090", "127.9.9.9:9090", '"[::1]:9090"', "localhost:9090"]) {
      expect((await listen(`listen: ${address}`))!.token).toBeNull();
    }
  });

  test("keeps keys such as __proto__ as names of channels and options", async () => {
    const config = await folder.config(`
channels:
  __proto__: { schema: { properties: { __proto__: { type: string } } } }
  constructor: { plugins: [{ use: poll, with: { url: "http://a", headers: { __proto__: x } } }] }`);
    expect(config.channels.map(({ name }) => name)).toEqual(["__proto__", "constructor"]);
    expect(JSON.stringify(config.channels[0]!.schema)).toBe(
      '{"properties":{"__proto__":{"type":"string"}}}',
    );
    expect(JSON.stringify(config.channels[1]!.plugins[0]!.options)).toBe(
      '{"url":"http://a","headers":{"__proto__":"x"}}',
    );
  });

  test("takes a data schema of draft 07, with formats", async () => {
    const { channels } = await folder.config(`
channels:
  a:
    schema:
      $schema: http://json-schema.org/draft-07/schema#
      definitions: { mail: { type: string, format: email } }
      items: [{ $ref: "#/definitions/mail" }]
      additionalItems: false`);
    expect(channels[0]!.schema).toMatchObject({ additionalItems: false });
  });

  test("reads a file with a byte order mark and Windows line ends", async () => {
    const { channels } = await folder.config(
      "\ufeffchannels:\r\n  news:\r\n    publish: clients\r\n",
    );
    expect(channels[0]).toMatchObject({ name: "news", publish: "clients" });
  });
});

describe("anchors, aliases and merge keys", () => {
  test("a merge brings keys, the map's own win, and the first of several", async () => {
    const { channels } = await folder.config(`
channels:
  a: &a { publish: clients, history: &kept { size: 7 } }
  b: &b { publish: nobody, transports: [sse] }
  c: { <<: *a, publish: nobody }
  d: { <<: [*a, *b] }
  e: { history: *kept }`);
    const [, , c, d, e] = channels;
    expect(c).toMatchObject({ publish: "nobody", history: { size: 7 } });
    expect(d).toMatchObject({ publish: "clients", transports: ["sse"], history: { size: 7 } });
    expect(e).toMatchObject({ publish: "nobody", history: { size: 7 } });
  });

  test("a merge within a list of plugins, and a list by its alias", async () => {
    const { channels } = await folder.config(`
channels:
  a: { plugins: &both [&tick { use: clock, with: { every: 5s } }, { <<: *tick, use: echo, with: {} }] }
  b: { plugins: *both }`);
    expect(channels[1]!.plugins).toEqual(channels[0]!.plugins);
    expect(channels[0]!.plugins.map(({ use }) => use)).toEqual(["clock", "echo"]);
  });

  test('"<<" in quotes is a key like any other', async () => {
    expect(await folder.mistakes('channels: { a: { "<<": 1 } }')).toEqual(["unknown-key 1:18"]);
  });
});

describe("a file that is no config gives an error and no config", () => {
  const M = 1024 * 1024;
  test.each([
    ["an empty file", "", ["empty"]],
    ["a file of nothing but a byte order mark", "\ufeff", ["empty"]],
    ["a document that is empty", "---\n...\n", ["empty"]],
    ["a binary file", Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0), ["not-text"]],
    ["text with a NUL", "channels: { a\0: {} }", ["not-text"]],
    ["Latin-1", Uint8Array.of(0x61, 0x3a, 0x20, 0xe9, 0x0a), ["not-text"]],
    ["UTF-16", Uint8Array.of(0xff, 0xfe, 0x61, 0, 0x3a, 0), ["not-text"]],
    ["10 MB of brackets", "[".repeat(10_000_000), ["too-large"]],
    ["1 MB of brackets", "[".repeat(M), ["too-deep 1:100"]],
    ["1 MB of closing brackets", "]".repeat(M), ["too-large 1:300000"]],
    ["1 MB of braces", "{a: ".repeat(M / 4), ["too-deep 1:397"]],
    ["1 MB of dashes on one line", "- ".repeat(M / 2), ["too-deep 1:201"]],
    ["1 MB of question marks", "? ".repeat(M / 2), ["too-deep 1:201"]],
    ["a file one byte too large", `#${" ".repeat(M)}`, ["too-large"]],
  ])("%s", async (_name, content, mistakes) => {
    const start = performance.now();
    expect(await folder.mistakes(content)).toEqual(mistakes);
    // It takes milliseconds; a parser that goes through with it takes many seconds.
    expect(performance.now() - start).toBeLessThan(3000);
  });

  test("deep indentation", async () => {
    const lines = Array.from({ length: 1000 }, (_, depth) => `${" ".repeat(depth)}a:`);
    expect(await folder.mistakes(lines.join("\n"))).toEqual(["too-deep 101:101"]);
  });

  test("the byte that is not UTF-8 is named", async () => {
    const result = await folder.load(
      Buffer.concat([Buffer.from("a: \ufffdé "), Uint8Array.of(0xff)]),
    );
    expect(result).toMatchObject({
      diagnostics: [{ message: "the config is not UTF-8 text: byte 10 is wrong" }],
    });
  });

  test.each([
    ["a file that is missing", "nowhere.yaml", "no-such-file", "does not exist"],
    ["a folder", ".", "not-a-file", "is a folder, not a file"],
    ["a file in a file", "tidewire.yaml/x.yaml", "no-such-file", "does not exist"],
    ["a link to itself", "circle.yaml", "unreadable", "its symbolic links go in a circle"],
    ["a name that is too long", `${"x".repeat(300)}.yaml`, "unreadable", "its name is too long"],
  ])("%s", async (_name, name, code, message) => {
    if (name === "circle.yaml") symlinkSync("circle.yaml", join(folder.path, "circle.yaml"));
    const options = { env: {}, resolvePlugin: resolveFake };
    folder.write("tidewire.yaml", "channels: { a: {} }");
    const result = await loadConfig(join(folder.path, name), options);
    expect(result).toEqual({ diagnostics: [expect.objectContaining({ code, place: null })] });
    expect(result).toMatchObject({ diagnostics: [{ message: expect.stringContaining(message) }] });
  });

  test("an endless device is given up at the limit", async () => {
    const result = await loadConfig("/dev/zero", { env: {}, resolvePlugin: resolveFake });
    expect(result).toMatchObject({ diagnostics: [{ code: "too-large" }] });
  });
});

describe("what a plugin does to the check of its uses", () => {
  const load = (resolvePlugin: Parameters<typeof loadConfig>[1]["resolvePlugin"]) =>
    loadConfig(folder.write("plugins.yaml", "channels: { a: { plugins: [{ use: ./a.ts }] } }"), {
      env: {},
      resolvePlugin,
    });

  test("what can't be loaded is told in the words of the loader, all lines", async () => {
    const result = await load(() =>
      Promise.reject(new Error("a.ts:3:1: unexpected }\nsecond line")),
    );
    expect(result).toMatchObject({
      diagnostics: [{ code: "bad-plugin", message: "a.ts:3:1: unexpected }\nsecond line" }],
    });
  });

  test("a default that does not fit its own schema is the plugin's mistake", async () => {
    const { Type: t } = await import("@sinclair/typebox");
    const options = t.Object({ size: t.Integer({ default: "big" }) });
    const result = await load(async () => ({ options, file: "/a.ts" }));
    expect(result).toMatchObject({
      diagnostics: [{ code: "bad-plugin", place: { line: 1, column: 35 } }],
    });
  });

  test("a file that several channels use is resolved once", async () => {
    let calls = 0;
    const result = await loadConfig(
      folder.write(
        "plugins.yaml",
        "channels: { a: { plugins: [{ use: ./a.ts }] }, b: { plugins: [{ use: ./a.ts }] } }",
      ),
      {
        env: {},
        resolvePlugin: async () => {
          calls++;
          return { options: null, file: "/srv/a.ts" };
        },
      },
    );
    expect("config" in result).toBe(true);
    expect(calls).toBe(1);
  });
});
