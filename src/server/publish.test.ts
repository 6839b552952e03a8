import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { sendRaw } from "./raw-http-testing.ts";
import { startTestServer, type TestServer } from "./testing.ts";

const NDJSON = "application/x-ndjson";

let server: TestServer;
let roomy: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    channels: {
      open: {},
      closed: { publish: "nobody" },
      root: { path: "/" },
      "room/{name}": {},
      strict: {
        schema: {
          type: "object",
          required: ["text"],
          properties: { text: { type: "string", maxLength: 5 } },
        },
      },
      filtered: {
        plugins: [
          definePlugin({
            name: "filtered",
            setup: () => ({
              transform(draft) {
                if (draft.data === "drop") return null;
                if (draft.data === "split") return [{ data: "a" }, { data: "b" }];
                return draft;
              },
            }),
          }),
        ],
      },
    },
    limits: { message: 1000 },
  });
  // Where only the number of lines and the nesting are bounds.
  roomy = await startTestServer({
    channels: {
      big: {},
      nested: { schema: { $ref: "#/$defs/n", $defs: { n: { items: { $ref: "#/$defs/n" } } } } },
    },
  });
});
afterAll(() => Promise.all([server.stop(), roomy.stop()]));

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function post(
  path: string,
  body: BodyInit,
  type: string | null = "text/plain",
  to = server,
): Promise<Answer> {
  const headers: Record<string, string> = type === null ? {} : { "content-type": type };
  const response = await fetch(to.urls.public + path, { method: "POST", body, headers });
  const json = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body: json };
}

async function history(channel: string): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${server.urls.public}/channels/${channel}/messages`);
  return ((await response.json()) as { messages: Record<string, unknown>[] }).messages;
}

describe("POST", () => {
  test("publishes text and answers 201 with the id and where it is", async () => {
    const { status, headers, body } = await post("/channels/room/text", "hello");
    expect(status).toBe(201);
    expect(body["id"]).toMatch(/^[0-9a-z]+-1$/);
    expect(headers.get("location")).toBe(`/channels/room/text/messages/${body["id"] as string}`);
    const found = await fetch(server.urls.public + headers.get("location")!);
    expect(await found.text()).toBe("hello");
  });

  test("of a channel at the root path answers a location that is there", async () => {
    const { headers } = await post("/", "hello");
    const found = await fetch(server.urls.public + headers.get("location")!);
    expect(await found.text()).toBe("hello");
  });

  test("keeps JSON as it was written, with event and key from the query", async () => {
    const text = '{ "n": 1.0, "big": 12345678901234567890 }';
    const { status, body } = await post(
      "/channels/room/json?event=tick&key=k1",
      text,
      "application/json",
    );
    expect(status).toBe(201);
    const found = await fetch(
      `${server.urls.public}/channels/room/json/messages/${body["id"] as string}`,
    );
    expect(found.headers.get("content-type")).toBe("application/json");
    expect(await found.text()).toBe(text);
    expect(await history("room/json")).toMatchObject([{ event: "tick" }]);
  });

  test("takes any other type, and none, as bytes", async () => {
    for (const type of ["application/octet-stream", "image/png", null]) {
      const name = `bytes${type?.replace("/", "-") ?? ""}`;
      const { status } = await post(`/channels/room/${name}`, new Uint8Array([0, 255, 10]), type);
      expect(status).toBe(201);
      expect(await history(`room/${name}`)).toMatchObject([{ data: "AP8K", encoding: "base64" }]);
    }
  });

  test("takes an empty body as empty text", async () => {
    expect((await post("/channels/room/empty", "")).status).toBe(201);
    expect(await history("room/empty")).toMatchObject([{ data: "" }]);
  });

  test("of NDJSON publishes each line in order and answers all ids", async () => {
    const lines = '{"n":1}\n\n"two"\r\n3\n';
    const { status, body } = await post("/channels/room/lines?event=e", lines, NDJSON);
    expect(status).toBe(201);
    const messages = await history("room/lines");
    expect(messages.map(({ data }) => data)).toEqual([{ n: 1 }, "two", 3]);
    expect(messages.map(({ event }) => event)).toEqual(["e", "e", "e"]);
    expect(body).toEqual({ id: messages[2]!["id"], ids: messages.map(({ id }) => id) });
  });

  test("of NDJSON with CRLF keeps the lines as they were written, without the CR", async () => {
    const { body } = await post("/channels/room/crlf", '{"a": 1}\r\n [2] \r\n', NDJSON);
    const texts = (body["ids"] as string[]).map(async (id) =>
      (await fetch(`${server.urls.public}/channels/room/crlf/messages/${id}`)).text(),
    );
    expect(await Promise.all(texts)).toEqual(['{"a": 1}', " [2] "]);
  });

  test("of NDJSON with one bad line publishes none", async () => {
    const bad = await post("/channels/room/none", '{"n":1}\n{"n":', NDJSON);
    expect(bad.status).toBe(400);
    expect(bad.body["detail"]).toStartWith("line 2 is not JSON");
    const refused = await post("/channels/strict", '{"text":"ok"}\n{"text":1}', NDJSON);
    expect(refused.status).toBe(422);
    expect(await history("room/none")).toEqual([]);
    expect(await history("strict")).toEqual([]);
  });

  test("of NDJSON with no line answers 400", async () => {
    const { status, body } = await post("/channels/open", "\n \n", NDJSON);
    expect([status, body["type"]]).toEqual([400, "urn:tidewire:problem:empty-body"]);
  });

  test("answers 202 when a transform dropped the message", async () => {
    const { status, body, headers } = await post("/channels/filtered", "drop");
    expect([status, body]).toEqual([202, { id: null }]);
    expect(headers.get("location")).toBeNull();
  });

  test("answers every id when a transform split the message", async () => {
    const { status, body } = await post("/channels/filtered", "split");
    expect(status).toBe(201);
    expect(body["ids"]).toHaveLength(2);
    expect(body["id"]).toBe((body["ids"] as string[])[1]!);
  });
});

describe("POST refuses", () => {
  test("where clients may not publish, before the body is read", async () => {
    const { status, body } = await sendRaw(
      server.urls.public,
      "POST /channels/closed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n",
    );
    expect(status).toBe(403);
    expect(JSON.parse(body)).toEqual({
      type: "urn:tidewire:problem:publish-not-allowed",
      title: "publish not allowed",
      status: 403,
      detail:
        'channel "closed" takes no messages from clients; its config may say "publish: clients", or publish through the control listener',
    });
  });

  test("a body that is too large, whether it says so or not", async () => {
    const { status, body } = await post("/channels/open", "x".repeat(1001));
    expect([status, body["detail"]]).toEqual([413, "the body has more than 1000 bytes"]);
    const chunk = `1f4\r\n${"x".repeat(500)}\r\n`;
    const chunked = await sendRaw(
      server.urls.public,
      `POST /channels/open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(3)}`,
    );
    expect(chunked.status).toBe(413);
    expect(chunked.headers.get("connection")).toBe("close");
  });

  test("a line of NDJSON that is too large for a message", async () => {
    const { status, body } = await post("/channels/open", `1\n"${"x".repeat(1000)}"`, NDJSON);
    expect([status, body["type"]]).toEqual([413, "urn:tidewire:problem:too-large"]);
  });

  test("forms, and says what to send instead", async () => {
    for (const type of ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
      const { status, body, headers } = await post("/channels/open", "a=b", type);
      expect([status, body["type"]]).toEqual([415, "urn:tidewire:problem:unsupported-media-type"]);
      expect(body["detail"]).toContain('-H "Content-Type: application/json"');
      expect(headers.get("accept-post")).toContain(NDJSON);
    }
  });

  test("a body that is compressed", async () => {
    const response = await fetch(`${server.urls.public}/channels/open`, {
      method: "POST",
      body: Bun.gzipSync("hello"),
      headers: { "content-encoding": "gzip", "content-type": "text/plain" },
    });
    expect(response.status).toBe(415);
    expect(response.headers.get("accept-encoding")).toBe("identity");
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining("gzip") });
  });

  test("data that does not fit the schema, with a pointer to what is wrong", async () => {
    const { status, body } = await post(
      "/channels/strict",
      '{"text":"too long"}',
      "application/json",
    );
    expect(status).toBe(422);
    expect(body["type"]).toBe("urn:tidewire:problem:schema");
    expect(body["errors"]).toEqual(["/text must NOT have more than 5 characters"]);
    expect(body["detail"]).toBe(
      'data does not fit the schema of channel "strict": /text must NOT have more than 5 characters',
    );
    const missing = await post("/channels/strict", "{}", "application/json");
    expect(missing.body["errors"]).toEqual(["the data must have required property 'text'"]);
  });

  test("JSON that is broken, in a few words however long it is", async () => {
    for (const text of ["", "{", "{'a':1}", "nul", "x".repeat(900)]) {
      const { status, body } = await post("/channels/open", text, "application/json");
      expect([status, body["type"]]).toEqual([400, "urn:tidewire:problem:invalid-json"]);
      expect((body["detail"] as string).length).toBeLessThan(300);
    }
  });

  test("text and JSON that are not UTF-8", async () => {
    for (const type of ["text/plain", "application/json", NDJSON]) {
      const { status, body } = await post(
        "/channels/open",
        new Uint8Array([0x22, 0xff, 0x22]),
        type,
      );
      expect([status, body["type"]]).toEqual([400, "urn:tidewire:problem:invalid-utf8"]);
    }
  });

  test("event names and keys that no transport could carry", async () => {
    for (const query of [
      "event=a%0Adata:%20x",
      "event=tidewire:gap",
      "key=%00",
      `event=${"e".repeat(257)}`,
    ]) {
      const { status, body } = await post(`/channels/open?${query}`, "x");
      expect([status, body["type"]]).toEqual([400, "urn:tidewire:problem:invalid-message"]);
    }
  });
  test("NDJSON with more lines than one commit takes", async () => {
    const { status, body } = await post("/channels/big", "1\n".repeat(10_001), NDJSON, roomy);
    expect([status, body["type"]]).toEqual([413, "urn:tidewire:problem:too-large"]);
    expect(body["detail"]).toBe("the body has more than 10000 messages");
    const blank = await post("/channels/big", "\n".repeat(15_000_000), NDJSON, roomy);
    expect([blank.status, blank.body["type"]]).toEqual([400, "urn:tidewire:problem:empty-body"]);
  });

  test("data that is nested more deeply than a schema can be checked", async () => {
    const data = "[".repeat(200_000) + "]".repeat(200_000);
    const { status, body } = await post("/channels/nested", data, "application/json", roomy);
    expect(status).toBe(422);
    expect(body["detail"]).toContain("nested too deeply");
  });
});

test("an upload that breaks off is no error of the server's", async () => {
  const { hostname, port } = new URL(server.urls.public);
  for (const head of ["Content-Length: 50", "Transfer-Encoding: chunked"]) {
    // The server says "100 Continue" when it is about to read the body.
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = await Bun.connect({
      hostname,
      port: Number(port),
      socket: { data: () => resolve() },
    });
    socket.write(
      `POST /channels/open HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n${head}\r\n\r\n`,
    );
    await promise;
    socket.terminate();
  }
  // The server learns of both before it takes a connection that is made later.
  expect((await post("/channels/open", "later")).status).toBe(201);
  expect(server.logged.filter(({ level }) => level === "error")).toEqual([]);
});
