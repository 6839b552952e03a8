/** Frames of a WebSocket without a subprotocol, against a real server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    channels: {
      "chat/{room}": {},
      closed: { publish: "nobody" },
      strict: { schema: { type: "object", properties: { größe: { type: "integer" } } } },
      "世界/{name}/の非常に長い名前のチャンネルで理由は百二十三バイトを超えます": {
        path: "/long/{name}",
        publish: "nobody",
      },
      broken: {
        plugins: [
          definePlugin({
            name: "broken",
            setup: () => ({
              receive() {
                throw new Error("no such table: users");
              },
            }),
          }),
        ],
      },
    },
    limits: { message: 1000 },
  });
});
afterAll(() => server.stop());

const open = (path: string) => TestSocket.open(`${server.urls.public}${path}`);

describe("a raw frame", () => {
  test("is published: JSON where it is an object or array, else text, else bytes", async () => {
    const socket = await open("/channels/chat/kinds");
    const bytes = new Uint8Array([0, 255]);
    for (const frame of ['{"a":1.0}', "[1]", "1", "{not json", "", bytes]) socket.send(frame);
    for (const frame of ['{"a":1.0}', "[1]", "1", "{not json", "", bytes]) {
      expect(await socket.next()).toEqual(frame);
    }
    const response = await fetch(`${server.urls.public}/channels/chat/kinds/messages`);
    const { messages } = (await response.json()) as { messages: { data: unknown }[] };
    expect(messages.map(({ data }) => data)).toEqual([{ a: 1 }, [1], "1", "{not json", "", "AP8="]);
    socket.close();
  });

  const refused: [string, string | Uint8Array, number, string][] = [
    ["/channels/closed", "x", 4003, 'channel "closed" takes no messages from clients'],
    ["/channels/strict", '{"größe":"x"}', 1008, 'data does not fit the schema of channel "strict"'],
    ["/channels/chat/big", "x".repeat(1001), 1009, "a message has at most 1000 bytes"],
    ["/channels/chat/big", "é".repeat(600), 1009, "data has 1200 bytes; at most 1000 are allowed"],
    ["/channels/chat/big", new Uint8Array(1001), 1009, "a message has at most 1000 bytes"],
    ["/channels/broken", "x", 1011, "a plugin of the channel failed"],
  ];
  for (const [path, frame, code, reason] of refused) {
    test(`that ${path} refuses closes the socket with ${code}`, async () => {
      const socket = await open(path);
      socket.send(frame);
      const closed = (await socket.next()) as { code: number; reason: string };
      expect(closed.code).toBe(code);
      expect(closed.reason).toStartWith(reason);
    });
  }

  test("that is refused has a reason that is UTF-8 and at most 123 bytes", async () => {
    // Wherever in a character the limit falls.
    for (const name of ["x", "xx", "xxx"]) {
      const socket = await open(`/long/${name}`);
      socket.send("x");
      const closed = (await socket.next()) as { code: number; reason: string };
      expect(closed.code).toBe(4003);
      expect(closed.reason).toStartWith(`channel "世界/${name}/`);
      expect(Buffer.byteLength(closed.reason)).toBeLessThanOrEqual(123);
      expect(closed.reason).not.toContain("\ufffd");
    }
  });

  test("that is refused is the last that counts", async () => {
    const socket = await open("/channels/chat/last");
    for (const frame of ["one", "é".repeat(600), "after"]) socket.send(frame);
    expect(await socket.next()).toMatchObject({ code: 1009 });
    expect(server.channels.peek("chat/last")!.channel.published).toBe(1);
  });

  test("after a position that is too old closes the socket with 4010", async () => {
    const socket = await open("/channels/chat/gap?after=another1-3");
    expect(await socket.next()).toMatchObject({
      code: 4010,
      reason: expect.stringContaining("gap: what came after another1-3"),
    });
  });
});
