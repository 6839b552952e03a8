import { expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { RequestPeer } from "./peer.ts";
import { readTarget } from "./target.ts";
import { startTestServer } from "./testing.ts";

const request = () => new Request("http://a.example/channels/prices?token=x");

test("RequestPeer asks for its address once, and not before somebody wants it", () => {
  let asked = 0;
  const peer = new RequestPeer(request(), readTarget(request()), () => `192.0.2.${++asked}`);
  expect(asked).toBe(0);
  peer.outlive();
  expect([peer.address, peer.address, asked]).toEqual(["192.0.2.1", "192.0.2.1", 1]);
});

test("RequestPeer has a query of its own: what a plugin changes in it, no other request sees", () => {
  const target = readTarget(request());
  const [one, other] = [1, 2].map(() => new RequestPeer(request(), target, () => ""));
  one!.query.set("token", "changed");
  expect([one!.query.get("token"), other!.query.get("token"), target.query.get("token")]).toEqual([
    "changed",
    "x",
    "x",
  ]);
});

test("a plugin learns the address of a subscriber whose request is over when it asks for it first", async () => {
  const told = Promise.withResolvers<string>();
  const leaving = definePlugin({
    name: "leaving",
    setup: () => ({ left: (client) => told.resolve(client.address) }),
  });
  const server = await startTestServer({ channels: { prices: { plugins: [leaving] } } });
  const left = new AbortController();
  const headers = { accept: "text/event-stream" };
  await fetch(`${server.urls.public}/channels/prices`, { headers, signal: left.signal });
  left.abort();
  expect(await told.promise).toBe("127.0.0.1");
  await server.stop();
});
