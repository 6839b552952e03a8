/** Channels with `latest_by_key`: what is published to their state, and what is refused. */
import { afterEach, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { TestSocket } from "./socket-testing.ts";
import { clientOf, entries, KEYED } from "./state-testing.ts";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

const CONTROL = { listen: { hostname: "127.0.0.1", port: 0 }, token: null };

let server: TestServer;
afterEach(() => server.stop());
const start = async (config: TestConfig) => void (server = await startTestServer(config));
const { page, post, publish } = clientOf(() => server);

test("a key in the URL that is not UTF-8 is refused: two of them would be one key", async () => {
  await start({ channels: { prices: { history: KEYED } } });
  const url = `${server.urls.public}/channels/prices?key=`;
  for (const key of ["%FF", "%E9", "a%ED%A0%80"]) {
    const response = await fetch(`${url}${key}`, { method: "POST", body: "1" });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      type: "urn:tidewire:problem:bad-encoding",
      detail: `the query's key has broken percent-encoding; each % is followed by two hex digits and the bytes are UTF-8`,
    });
  }
  expect(entries(await page("/channels/prices/messages?after=state"))).toEqual([]);
});

test("a publish that the state has no room for is refused with 409 state-full, over every way", async () => {
  const prices = { history: { ...KEYED, maxKeys: 2 } };
  await start({ channels: { prices }, control: CONTROL });
  await publish("prices", "a", 1);
  const id = await publish("prices", "b", 2);
  const detail = `channel "prices" keeps at most 2 keys, and has 2 keys with 2 bytes: nothing was published; delete keys by publishing null to them, or raise "keys" of its history`;
  const refused = await post("prices", "c", 3);
  expect(refused.status).toBe(409);
  const problem = { type: "urn:tidewire:problem:state-full", detail, keys: 2, bytes: 2 };
  expect(await refused.json()).toMatchObject(problem);
  const control = await fetch(`${server.urls.control}/publish`, {
    method: "POST",
    body: JSON.stringify({ channel: "prices", key: "c", data: 3 }),
  });
  expect([control.status, await control.json()]).toMatchObject([409, problem]);
  const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
  const frame = { type: "publish", channel: "prices", key: "c", data: 3, ref: 1 };
  expect(await socket.ask(frame)).toMatchObject({
    type: "error",
    ref: 1,
    code: "state-full",
    keys: 2,
  });
  expect(server.channels.peek("prices")!.channel.position).toBe(id);
  expect(await socket.ask({ ...frame, key: "a", data: null })).toMatchObject({
    type: "ack",
    ref: 1,
  });
  expect(await socket.ask(frame)).toMatchObject({ type: "ack", ref: 1 });
  socket.close();
});

test("a schema refuses no deletion, and a null without a key it does", async () => {
  const schema = { type: "object", required: ["price"] };
  await start({ channels: { prices: { schema, history: KEYED }, chat: { schema } } });
  await publish("prices", "a", { price: 1 });
  expect((await post("prices", "a", 5)).status).toBe(422);
  expect((await post("prices", "", null)).status).toBe(422);
  expect((await post("chat", "a", null)).status).toBe(422);
  await publish("prices", "a", null);
  expect(entries(await page("/channels/prices/messages?after=state"))).toEqual([]);
});

test("a transform may set the key, and a source's drafts have theirs", async () => {
  const arrived = Promise.withResolvers<void>();
  const symbols = definePlugin({
    name: "symbols",
    setup: () => ({
      async *source() {
        yield { data: { symbol: "X", price: 0 } };
        yield { data: { symbol: "Y", price: 1 }, key: "own" };
        arrived.resolve();
      },
      transform: (draft) => {
        const { symbol } = draft.data as { symbol: string };
        return { ...draft, key: draft.key || symbol };
      },
    }),
  });
  await start({ channels: { prices: { history: KEYED, plugins: [symbols] } } });
  await arrived.promise;
  await publish("prices", "", { symbol: "X", price: 2 });
  const { messages } = await page("/channels/prices/messages?after=state");
  expect(messages.map(({ key, data }) => [key, (data as { price: number }).price])).toEqual([
    ["own", 1],
    ["X", 2],
  ]);
});
