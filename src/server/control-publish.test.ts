import { heapStats } from "bun:jsc";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { startTestServer, type TestServer } from "./testing.ts";

const NDJSON = "application/x-ndjson";
const JSON_TYPE = "application/json";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    channels: {
      prices: { publish: "nobody" },
      "chat/{room}": {},
      strict: { schema: { type: "object", required: ["n"] } },
      "changing/{name}": {
        plugins: [
          definePlugin({
            name: "change",
            setup: ({ channel }) => ({
              transform(draft) {
                (draft.data as { seen: string[] }).seen.push(channel.name);
                return draft;
              },
            }),
          }),
        ],
      },
      dropping: {
        plugins: [definePlugin({ name: "drop", setup: () => ({ transform: () => null }) })],
      },
    },
    control: { listen: { hostname: "127.0.0.1", port: 0 }, token: null },
  });
});
afterAll(() => server.stop());

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function publish(body: unknown, { type = JSON_TYPE, query = "" } = {}): Promise<Answer> {
  const isRaw = typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(`${server.urls.control}/publish${query}`, {
    method: "POST",
    body: isRaw ? (body as string) : JSON.stringify(body),
    headers: { "content-type": type },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function history(channel: string): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${server.urls.public}/channels/${channel}/messages`);
  return ((await response.json()) as { messages: Record<string, unknown>[] }).messages;
}

describe("POST /publish", () => {
  test("publishes to one channel, where clients may not publish too", async () => {
    const { status, body } = await publish({
      channel: "prices",
      data: { price: 1.5 },
      event: "tick",
      key: "ACME",
    });
    const [message] = await history("prices");
    expect(message).toMatchObject({ data: { price: 1.5 }, event: "tick" });
    expect([status, body]).toEqual([201, { results: [{ channel: "prices", id: message!["id"] }] }]);
  });

  test("publishes to many channels, each with its own id", async () => {
    const { status, body } = await publish({
      channels: ["chat/a", "chat/b%2Fc"],
      data: [1, { x: 2 }],
    });
    expect(status).toBe(201);
    expect((body["results"] as { channel: string }[]).map(({ channel }) => channel)).toEqual([
      "chat/a",
      "chat/b%2Fc",
    ]);
    for (const name of ["a", "b%2Fc"]) {
      expect(await history(`chat/${name}`)).toMatchObject([{ data: [1, { x: 2 }] }]);
    }
  });

  test("gives each channel data of its own, for transforms that change it in place", async () => {
    const channels = ["changing/a", "changing/b", "chat/same", "changing/c"];
    const direct = channels.map((name) => `channel=${name}`).join("&");
    expect((await publish({ channels, data: { seen: [] } })).status).toBe(201);
    expect((await publish('{"seen": []}', { query: `?${direct}` })).status).toBe(201);
    for (const name of channels) {
      const seen = name.startsWith("changing") ? [name] : [];
      expect(await history(name)).toMatchObject([{ data: { seen } }, { data: { seen } }]);
    }
  });

  test("holds data for many channels once", async () => {
    const channels = Array.from({ length: 1000 }, (_, i) => `chat/held${i}`);
    const data = { items: Array.from({ length: 10_000 }, (_, i) => `item ${i}`) };
    const heldBytes = () => {
      Bun.gc(true);
      const { heapSize, extraMemorySize } = heapStats();
      return heapSize + extraMemorySize;
    };
    // The channels themselves come to life first.
    await publish({ channels, data: 0 });
    const before = heldBytes();
    expect((await publish({ channels, data })).status).toBe(201);
    const grownBytes = heldBytes() - before;
    expect(await history("chat/held999")).toMatchObject([{ data: 0 }, { data }]);
    // One text of 150 kB, and a message for each channel.
    expect(grownBytes).toBeLessThan(10_000_000);
  });

  test("publishes an array or NDJSON of entries in order", async () => {
    const entries = [1, 2, 3].map((n) => ({ channel: "chat/many", data: n }));
    expect((await publish(entries)).status).toBe(201);
    const lines = [4, 5].map((n) => JSON.stringify({ channel: "chat/many", data: n }));
    const { status, body } = await publish(`${lines.join("\n")}\n\n`, { type: NDJSON });
    expect([status, (body["results"] as unknown[]).length]).toEqual([201, 2]);
    expect((await history("chat/many")).map(({ data }) => data)).toEqual([1, 2, 3, 4, 5]);
  });

  test("takes bytes as base64 or as the body itself", async () => {
    const entry = { channel: "chat/bytes", data: "AP8=", encoding: "base64" };
    expect((await publish(entry)).status).toBe(201);
    const direct = await publish(new Uint8Array([0, 255]), {
      type: "application/octet-stream",
      query: "?channel=chat/bytes&channel=chat/bytes2&event=e",
    });
    expect((direct.body["results"] as unknown[]).length).toBe(2);
    expect(await history("chat/bytes")).toMatchObject([
      { data: "AP8=", encoding: "base64" },
      { data: "AP8=", encoding: "base64", event: "e" },
    ]);
  });

  test("answers null for a message that a transform dropped", async () => {
    const { status, body } = await publish({ channel: "dropping", data: 1 });
    expect([status, body]).toEqual([201, { results: [{ channel: "dropping", id: null }] }]);
  });

  test("answers 207 when some were refused, with the reason in their place", async () => {
    const { status, body } = await publish([
      { channel: "strict", data: { n: 1 } },
      { channel: "strict", data: {} },
      { channel: "chat/ok", data: 1, event: "tidewire:x" },
    ]);
    expect(status).toBe(207);
    expect(body["results"]).toMatchObject([
      { channel: "strict", id: expect.any(String) },
      {
        channel: "strict",
        error: {
          type: "urn:tidewire:problem:schema",
          detail: expect.stringContaining("must have required property 'n'"),
        },
      },
      { error: { type: "urn:tidewire:problem:invalid-message" } },
    ]);
  });

  test("answers with the problem itself when all were refused", async () => {
    const { status, body } = await publish({ channel: "strict", data: {} });
    expect([status, body["type"]]).toEqual([422, "urn:tidewire:problem:schema"]);
  });

  test("publishes nothing where a channel is unknown", async () => {
    const { status, body } = await publish([
      { channel: "chat/none", data: 1 },
      { channel: "nowhere", data: 1 },
    ]);
    expect([status, body["detail"]]).toEqual([404, 'there is no channel "nowhere"']);
    expect(server.channels.peek("chat/none")).toBeNull();
  });

  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  const bad: [string, string | Uint8Array, number, string][] = [
    ["nothing", "", 400, "the body is not JSON"],
    ["no entry", "[]", 400, "the body has no entry"],
    ["what is not UTF-8", new Uint8Array([0x22, 0xff, 0x22]), 400, "the body is not UTF-8"],
    ["what is no object", "null", 400, "the body: it expected object"],
    ["an entry without data", '{"channel":"prices"}', 400, "the body: /data expected required"],
    [
      "an entry without a channel",
      '{"data":1}',
      400,
      'the body: it needs either "channel" or "channels"',
    ],
    [
      "an entry with both",
      '{"channel":"prices","channels":["prices"],"data":1}',
      400,
      'the body: it needs either "channel" or "channels"',
    ],
    [
      "a key that there is not",
      '{"channel":"prices","data":1,"evnt":"x"}',
      400,
      "the body: /evnt unexpected property",
    ],
    [
      "a prototype",
      '{"channel":"prices","data":1,"__proto__":{}}',
      400,
      "the body: /__proto__ unexpected",
    ],
    ["no channels", '{"channels":[],"data":1}', 400, "the body: /channels expected array length"],
    [
      "a second entry that is wrong",
      '[{"channel":"prices","data":1},7]',
      400,
      "entry 1: it expected object",
    ],
    [
      "bytes that are not base64",
      '{"channel":"prices","data":"%","encoding":"base64"}',
      400,
      'the body: "data" is not base64',
    ],
    [
      "an encoding that there is not",
      '{"channel":"prices","data":"x","encoding":"hex"}',
      400,
      "the body: /encoding",
    ],
    [
      "a broken channel name",
      '{"channel":"chat/%zz","data":1}',
      400,
      'the channel name "chat/%zz" has broken',
    ],
    [
      "too many copies",
      JSON.stringify(Array(11).fill({ channels: Array(1000).fill("prices"), data: 1 })),
      413,
      "a publish has at most 10000 messages",
    ],
    [
      "data nested too deeply",
      `{"channels":["prices","prices"],"data":${deep}}`,
      400,
      "the data is nested too deeply to be copied",
    ],
  ];
  for (const [what, body, status, detail] of bad) {
    test(`refuses ${what}`, async () => {
      const answer = await publish(body);
      expect(answer.body["detail"]).toStartWith(detail);
      expect(answer.status).toBe(status);
    });
  }

  test("refuses NDJSON with a line that is none", async () => {
    const { status, body } = await publish('{"channel":"prices","data":1}\n{', { type: NDJSON });
    expect([status, body["type"]]).toEqual([400, "urn:tidewire:problem:invalid-json"]);
    expect(body["detail"]).toStartWith("line 2 is not JSON");
    expect((await publish("\n", { type: NDJSON })).body["type"]).toBe(
      "urn:tidewire:problem:empty-body",
    );
  });
});
