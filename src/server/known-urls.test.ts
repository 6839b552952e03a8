import { afterAll, beforeAll, expect, test } from "bun:test";
import { KnownUrls } from "./known-urls.ts";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
beforeAll(async () => void (server = await startTestServer({ channels: { "chat/{room}": {} } })));
afterAll(() => server.stop());

const request = (path: string, host = "a.example") =>
  new Request(`http://a.example${path}`, { headers: { host } });

test("KnownUrls.read() gives the same for the same URL until it forgets", () => {
  const urls = new KnownUrls(server.channels);
  const path = "/channels/chat/red?after=x-1";
  const first = urls.read(request(path));
  expect(first.target).toMatchObject({
    origin: "http://a.example",
    pathname: "/channels/chat/red",
  });
  expect(first.match?.params).toEqual({ room: "red" });
  expect(urls.read(request(path))).toBe(first);
  urls.forget();
  expect(urls.read(request(path))).not.toBe(first);
});

test("KnownUrls.read() checks the Host of a URL that it knows: another can be written as the same", () => {
  const urls = new KnownUrls(server.channels);
  urls.read(request("/channels/chat/red"));
  expect(() => urls.read(request("/channels/chat/red", "a.example/channels"))).toThrow("Host is");
});

test("KnownUrls.read() remembers few URLs, no long one, and none that leads nowhere", () => {
  const urls = new KnownUrls(server.channels);
  const isKnown = (path: string) => urls.read(request(path)) === urls.read(request(path));
  expect(isKnown("/channels/chat/red")).toBe(true);
  expect(isKnown("/nothing")).toBe(false);
  expect(isKnown(`/channels/chat/red?token=${"x".repeat(1024)}`)).toBe(false);
  const first = urls.read(request("/channels/chat/red"));
  for (let room = 0; room < 256; room++) urls.read(request(`/channels/chat/${room}`));
  expect(urls.read(request("/channels/chat/red"))).not.toBe(first);
});
