/** `Idempotency-Key` and `Expect-Position`, over the listeners. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { definePlugin } from "../plugin/sdk.ts";
import { gated } from "./gated-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

let server: TestServer;
afterEach(() => server?.stop());
const start = async (config: TestConfig) => void (server = await startTestServer(config));

interface Answer {
  readonly status: number;
  readonly location: string | null;
  readonly isReplay: boolean;
  readonly body: any;
}

async function post(
  path: string,
  body: string,
  headers: Record<string, string>,
  to = server.urls.public,
): Promise<Answer> {
  const response = await fetch(to + path, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json");
  return {
    status: response.status,
    location: response.headers.get("location"),
    isReplay: response.headers.get("idempotent-replayed") === "true",
    body: isJson ? JSON.parse(text) : text,
  };
}

const once = (key: string) => ({ "idempotency-key": `"${key}"` });

async function history(channel = "news"): Promise<unknown[]> {
  const response = await fetch(`${server.urls.public}/channels/${channel}/messages`);
  const { messages } = (await response.json()) as { messages: { data: unknown }[] };
  return messages.map(({ data }) => data);
}

describe("a POST with an Idempotency-Key", () => {
  test("that is sent again gets the first answer and publishes nothing", async () => {
    await start({ channels: { news: {} } });
    const first = await post("/channels/news", "1", once("k"));
    expect(first).toMatchObject({ status: 201, isReplay: false });
    await post("/channels/news", "2", {});
    for (const key of ['"k"', "k"]) {
      const again = await post("/channels/news", "1", { "idempotency-key": key });
      expect(again).toEqual({ ...first, isReplay: true });
    }
    expect(await history()).toEqual([1, 2]);
  });

  test("gets the ids of all lines again, and 202 where nothing came of it", async () => {
    const odd = definePlugin({
      name: "odd",
      setup: () => ({ transform: (draft) => (draft.data === "drop" ? null : draft) }),
    });
    await start({ channels: { news: { plugins: [odd] } } });
    const lines = { "content-type": "application/x-ndjson" };
    const many = await post("/channels/news", "1\n2\n", { ...lines, ...once("lines") });
    expect(many.body.ids).toHaveLength(2);
    const again = await post("/channels/news", "1\n2\n", { ...lines, ...once("lines") });
    expect(again).toEqual({ ...many, isReplay: true });
    for (const isReplay of [false, true]) {
      const dropped = await post("/channels/news", '"drop"', once("dropped"));
      expect(dropped).toEqual({ status: 202, location: null, isReplay, body: { id: null } });
    }
    expect(await history()).toEqual([1, 2]);
  });

  test("gets what hooks answered again, and they are not called again", async () => {
    let calls = 0;
    const asking = definePlugin({
      name: "asking",
      setup: () => ({
        receive(data, client) {
          calls++;
          if (data === "text") client.send("hello");
          if (data === "bytes") client.send(Uint8Array.from([104, 105]));
          if (data === "many") for (const each of [{ n: 1 }, "two"]) client.send(each);
          return data === "text" ? { data } : null;
        },
      }),
    });
    await start({ channels: { news: { plugins: [asking] } } });
    for (const [data, body] of [
      ["text", "hello"],
      ["bytes", "hi"],
      ["many", [{ n: 1 }, "two"]],
    ] as const) {
      const answers = [1, 2].map(() => post("/channels/news", JSON.stringify(data), once(data)));
      const first = await answers[0];
      expect(first).toMatchObject({ status: 200, body });
      await answers[1];
      const again = await post("/channels/news", JSON.stringify(data), once(data));
      expect(again).toEqual({ ...first!, isReplay: true });
    }
    expect(calls).toBe(3);
    expect(await history()).toEqual(["text"]);
  });

  test("a hook that sends what is no JSON is told so, and its message is not lost", async () => {
    const errors: unknown[] = [];
    const answerer = definePlugin({
      name: "answerer",
      setup: () => ({
        receive(data, client) {
          try {
            client.send({ n: 1n });
          } catch (error) {
            errors.push(error);
          }
          return { data };
        },
      }),
    });
    await start({ channels: { news: { plugins: [answerer] } } });
    expect((await post("/channels/news", "1", once("k"))).status).toBe(201);
    expect((await post("/channels/news", "2", {})).status).toBe(201);
    expect(errors).toEqual([expect.any(TypeError), expect.any(TypeError)]);
    expect(await history()).toEqual([1, 2]);
  });

  test("answers 409 while the first is under way, and to the next what that one was answered", async () => {
    const { plugin, begun, open } = gated();
    await start({ channels: { news: { plugins: [plugin] } } });
    const first = post("/channels/news", "1", once("k"));
    await begun;
    const second = await post("/channels/news", "1", once("k"));
    expect(second.status).toBe(409);
    expect(second.body.type).toBe("urn:tidewire:problem:idempotency-outstanding");
    open();
    const { body } = await first;
    expect(await post("/channels/news", "1", once("k"))).toMatchObject({ status: 201, body });
    expect(await history()).toEqual([1]);
  });

  test("answers 422 where the first held something else", async () => {
    await start({ channels: { news: {}, other: {} } });
    await post("/channels/news?event=e", "1", once("k"));
    const other: [string, string, Record<string, string>][] = [
      ["/channels/news?event=e", "2", {}],
      ["/channels/news", "1", {}],
      ["/channels/news?event=e&key=k", "1", {}],
      ["/channels/news?event=e", "1", { "content-type": "text/plain" }],
      ["/channels/news?event=e", "1", { "content-type": "application/x-ndjson" }],
    ];
    for (const [path, body, headers] of other) {
      const refused = await post(path, body, { ...headers, ...once("k") });
      expect([refused.status, refused.body.type]).toEqual([
        422,
        "urn:tidewire:problem:idempotency-key-reused",
      ]);
    }
    expect(await history()).toEqual([1]);
    // Another channel, and other credentials, have keys of their own.
    expect(await post("/channels/other", "2", once("k"))).toMatchObject({ isReplay: false });
    const alice = { authorization: "Bearer alice", ...once("k") };
    const mine = await post("/channels/news", "3", alice);
    expect(mine).toMatchObject({ status: 201, isReplay: false });
    expect(await post("/channels/news", "3", alice)).toEqual({ ...mine, isReplay: true });
    expect(await history()).toEqual([1, 3]);
  });

  test("that was refused may be sent again, put right", async () => {
    await start({ channels: { news: { schema: { type: "number" } } } });
    expect((await post("/channels/news", '"x"', once("k"))).status).toBe(422);
    expect(await post("/channels/news", "1", once("k"))).toMatchObject({
      status: 201,
      isReplay: false,
    });
  });

  test("tells nobody who may not publish what it was answered", async () => {
    let isOpen = true;
    const door = definePlugin({
      name: "door",
      setup: () => ({ authorize: () => (isOpen ? "allow" : "deny") }),
    });
    await start({ channels: { news: { plugins: [door], publish: "authorized" } } });
    expect((await post("/channels/news", "1", once("k"))).status).toBe(201);
    isOpen = false;
    expect((await post("/channels/news", "1", once("k"))).status).toBe(403);
  });

  test("is refused where the key is none", async () => {
    await start({ channels: { news: {} } });
    const { status, body } = await post("/channels/news", "1", { "idempotency-key": '"' });
    expect([status, body.type]).toEqual([400, "urn:tidewire:problem:bad-idempotency-key"]);
    expect(await history()).toEqual([]);
  });

  test("is known as long as the window, whatever became of the channel", async () => {
    const history = { size: 5, ttlMs: 1 };
    await start({ channels: { "room/{name}": { history } } });
    const first = await post("/channels/room/a", "1", once("k"));
    await server.channels.sweep(Date.now() + 10_000);
    expect([...server.channels.live]).toEqual([]);
    expect(await post("/channels/room/a", "1", once("k"))).toEqual({ ...first, isReplay: true });
    await server.become({
      channels: { "room/{name}": { history } },
      idempotency: { windowMs: 1 },
    });
    await post("/channels/room/a", "2", once("short"));
    const over = Date.now() + 1;
    while (Date.now() <= over) await new Promise(setImmediate);
    expect((await post("/channels/room/a", "3", once("short"))).status).toBe(201);
  });

  test("is known to a server that is started again, with sqlite", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidewire-idempotency-"));
    const broker = { use: "sqlite", path: join(folder, "t.db"), durability: "full" } as const;
    try {
      await start({ channels: { news: {} }, broker });
      const first = await post("/channels/news", "1", once("k"));
      expect(first.status).toBe(201);
      const dropped = await post("/channels/news", "\n2\n", {
        "content-type": "application/x-ndjson",
        ...once("lines"),
      });
      await server.stop();
      await start({ channels: { news: {} }, broker });
      expect(await post("/channels/news", "1", once("k"))).toEqual({ ...first, isReplay: true });
      expect((await post("/channels/news", "9", once("k"))).status).toBe(422);
      const again = await post("/channels/news", "\n2\n", {
        "content-type": "application/x-ndjson",
        ...once("lines"),
      });
      expect(again).toEqual({ ...dropped, isReplay: true });
      expect(await history()).toEqual([1, 2]);
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true });
    }
  });
});

describe("Expect-Position", () => {
  test("publishes at the channel's top alone, and says where that is", async () => {
    await start({ channels: { news: {} } });
    const unknown = await post("/channels/news", "0", { "expect-position": "mfz3k9-0" });
    expect(unknown).toMatchObject({
      status: 409,
      body: {
        type: "urn:tidewire:problem:position-moved",
        expected: "mfz3k9-0",
        position: server.channels.peek("news")!.channel.position,
      },
    });
    expect(unknown.body.position).toEndWith("-0");
    const at = (position: string) => ({ "expect-position": position });
    const one = await post("/channels/news", "1", at(unknown.body.position));
    expect(one.status).toBe(201);
    const two = await post("/channels/news", "2", at(`"${one.body.id}"`));
    expect(two.status).toBe(201);
    const stale = await post("/channels/news", "3", at(one.body.id));
    expect(stale.body).toMatchObject({ expected: one.body.id, position: two.body.id });
    const lines = { "content-type": "application/x-ndjson" };
    const batch = await post("/channels/news", "4\n5\n", { ...lines, ...at(two.body.id) });
    expect(batch.body.ids).toHaveLength(2);
    expect((await post("/channels/news", "6\n7", { ...lines, ...at(two.body.id) })).status).toBe(
      409,
    );
    expect(await history()).toEqual([1, 2, 4, 5]);
    const bad = await post("/channels/news", "8", at("yesterday"));
    expect([bad.status, bad.body.type]).toEqual([400, "urn:tidewire:problem:bad-position"]);
  });

  test("is looked at when the message is committed, not when it arrives", async () => {
    const { plugin, begun, open } = gated();
    await start({ channels: { news: { plugins: [plugin] } } });
    const top = server.channels.peek("news")!.channel.position;
    const both = ["1", "2"].map((body) => post("/channels/news", body, { "expect-position": top }));
    await begun;
    open();
    const answers = await Promise.all(both);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409]);
    expect(await history()).toHaveLength(1);
  });

  test("of many writers at once lets one in after the other, so that none overwrites", async () => {
    await start({ channels: { counter: {} } });
    const read = async () => {
      const { position } = server.channels.peek("counter")!.channel;
      const kept = (await history("counter")) as number[];
      return { position, count: kept.at(-1) ?? 0 };
    };
    const add = async () => {
      for (;;) {
        const { position, count } = await read();
        const headers = { "expect-position": position };
        if ((await post("/channels/counter", `${count + 1}`, headers)).status === 201) return;
      }
    };
    await Promise.all(Array.from({ length: 8 }, add));
    expect(await history("counter")).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("with a key: a retry gets the first answer though the position has moved", async () => {
    await start({ channels: { news: {} } });
    const headers = {
      ...once("k"),
      "expect-position": server.channels.peek("news")!.channel.position,
    };
    const first = await post("/channels/news", "1", headers);
    expect(await post("/channels/news", "1", headers)).toEqual({ ...first, isReplay: true });
  });
});

describe("POST /publish of the control listener", () => {
  const control = { listen: { hostname: "127.0.0.1", port: 0 }, token: null };
  const publish = (body: unknown, headers: Record<string, string> = {}, query = "") =>
    post(`/publish${query}`, JSON.stringify(body), headers, server.urls.control!);

  test("publishes each message of a key once, and refuses the key for something else", async () => {
    await start({ control, channels: { a: {}, b: {} } });
    const entries = [
      { channels: ["a", "b"], data: 1 },
      { channel: "a", data: 2 },
    ];
    const first = await publish(entries, once("k"));
    expect(first).toMatchObject({ status: 201, isReplay: false });
    const again = await publish(entries, once("k"));
    expect(again).toMatchObject({ status: 201, isReplay: true });
    expect(again.body.results).toEqual(
      first.body.results.map((result: object) => ({ ...result, replayed: true })),
    );
    const longer = await publish([...entries, { channel: "b", data: 3 }], once("k"));
    expect(longer.status).toBe(422);
    expect(await history("a")).toEqual([1, 2]);
    expect(await history("b")).toEqual([1]);
    // A client's key is another one.
    expect((await post("/channels/a", "3", once("k"))).isReplay).toBe(false);
  });

  test("tries again what was refused", async () => {
    let isFull = true;
    const moody = definePlugin({
      name: "moody",
      setup: () => ({
        transform(draft) {
          if (isFull) throw new Error("not now");
          return draft;
        },
      }),
    });
    await start({
      control,
      channels: { a: {}, b: { plugins: [{ use: moody, onError: "stop" }] } },
    });
    const entry = { channels: ["a", "b"], data: 1 };
    const first = await publish(entry, once("k"));
    expect(first.status).toBe(207);
    isFull = false;
    const again = await publish(entry, once("k"));
    expect(again.status).toBe(201);
    expect(again.body.results).toMatchObject([
      { channel: "a", id: first.body.results[0].id, replayed: true },
      { channel: "b" },
    ]);
    expect(await history("a")).toEqual([1]);
    expect(await history("b")).toEqual([1]);
  });

  test("answers 409 while the same is under way", async () => {
    const { plugin, begun, open } = gated();
    await start({ control, channels: { a: { plugins: [plugin] } } });
    const first = publish({ channel: "a", data: 1 }, once("k"));
    await begun;
    expect((await publish({ channel: "a", data: 1 }, once("k"))).status).toBe(409);
    open();
    expect((await first).status).toBe(201);
  });

  test("takes a position to expect, in the entry or, for one message, as a header", async () => {
    await start({ control, channels: { a: {}, b: {} } });
    const { body } = await publish({ channel: "a", data: 1 });
    const at = body.results[0].id as string;
    expect((await publish({ channel: "a", data: 2, expect: at })).status).toBe(201);
    const stale = await publish([
      { channel: "a", data: 3, expect: at },
      { channel: "b", data: 4 },
    ]);
    expect(stale.status).toBe(207);
    expect(stale.body.results[0].error).toMatchObject({
      type: "urn:tidewire:problem:position-moved",
      expected: at,
      position: server.channels.peek("a")!.channel.position,
    });
    const header = { "expect-position": at };
    expect((await publish(5, header, "?channel=a")).status).toBe(409);
    expect((await publish({ channel: "a", data: 6 }, header)).status).toBe(409);
    for (const wrong of [
      [{ channels: ["a", "b"], data: 1, expect: at }, {}],
      [{ channel: "a", data: 1, expect: "soon" }, {}],
      [{ channels: ["a", "b"], data: 1 }, header],
    ] as const) {
      expect((await publish(wrong[0], wrong[1])).status).toBe(400);
    }
    expect(await history("a")).toEqual([1, 2]);
  });
});

describe("a publish frame of tidewire.v1", () => {
  test("with a key is acknowledged again and published once, over POST too", async () => {
    await start({ channels: { news: {} } });
    const url = `${server.urls.public}/channels`;
    const publish = { type: "publish", channel: "news", data: { n: 1 }, idempotency: "k" };
    let socket = await TestSocket.open(url, "tidewire.v1");
    const ack = await socket.ask({ ...publish, ref: 1 });
    const { position } = server.channels.peek("news")!.channel;
    expect(ack).toEqual({ type: "ack", ref: 1, id: position });
    socket.close();
    socket = await TestSocket.open(url, "tidewire.v1");
    expect(await socket.ask({ ...publish, ref: 2 })).toEqual({ ...ack, ref: 2, replayed: true });
    expect(await socket.ask({ ...publish, data: 2, ref: 3 })).toMatchObject({
      type: "error",
      ref: 3,
      code: "idempotency-key-reused",
    });
    expect(await socket.ask({ ...publish, idempotency: "", ref: 4 })).toMatchObject({
      code: "bad-idempotency-key",
    });
    const posted = await post("/channels/news", '{"n":1}', once("k"));
    expect(posted).toMatchObject({ status: 201, isReplay: true, body: { id: ack["id"] } });
    expect(await history()).toEqual([{ n: 1 }]);
    socket.close();
  });

  test("with a position is refused where that has moved", async () => {
    await start({ channels: { news: {} } });
    const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
    const publish = (data: number, expect: string) =>
      socket.ask({ type: "publish", channel: "news", data, expect, ref: data });
    const { position } = server.channels.peek("news")!.channel;
    const { id } = await publish(1, position);
    expect(await publish(2, position)).toMatchObject({
      type: "error",
      ref: 2,
      code: "position-moved",
      expected: position,
      position: id as string,
    });
    expect(await publish(3, "soon")).toMatchObject({ code: "bad-position" });
    expect(await history()).toEqual([1]);
    socket.close();
  });
});
