/** Streams of many channels that do not read, and 500 that do: as the suites for one channel ask for it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "../../src/server/testing.ts";
import { connectTcp, get, type TcpClient } from "./clients/tcp.ts";
import { BIG, BUFFER, MOST } from "./overfill.ts";
import { publishText } from "./publish-text.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    channels: {
      "room/{name}": { history: { size: 1000, ttlMs: 600_000 } },
      "oldest/{name}": { history: { size: 10, ttlMs: 600_000 }, slow: "drop-oldest" },
      "latest/{name}": { history: { size: 10, ttlMs: 600_000 }, slow: "latest" },
    },
    limits: { buffer: BUFFER, message: 128 * 1024 },
  });
});
afterAll(() => server.stop());

const held = (channel: string) => server.channels.peek(channel)?.held ?? 0;

const publish = (channel: string, text: string) => publishText(server, channel, text);

const target = (channels: readonly string[], more = "") =>
  `/channels?${channels.map((name) => `channel=${name}`).join("&")}${more}`;

async function open(channels: readonly string[], headers = "", more = ""): Promise<TcpClient> {
  return connectTcp(
    server.urls.public,
    get(target(channels, more), `Accept: text/event-stream\r\nConnection: close\r\n${headers}`),
  );
}

/** What a client got: channel and number of each message, as its data says. */
const messagesIn = (text: string) =>
  [...text.matchAll(/"channel":"([^"]+)","time":\d+,"data":"(\d+)/g)].map(
    ([, channel, number]) => `${channel} ${number}`,
  );

test("a slow stream ends, its last id still works, and who reads notices nothing", async () => {
  const channels = ["room/slow-a", "room/slow-b"];
  const slow = await open(channels);
  const healthy = await open(channels);
  for (const client of [slow, healthy]) await client.until((text) => text.includes("id: v1."));
  slow.socket.pause();
  const sent: string[] = [];
  while (held(channels[0]!) === 2 && sent.length < MOST) {
    const channel = channels[sent.length % 2]!;
    const number = sent.length;
    await publish(channel, `${number} ${BIG}`);
    sent.push(`${channel} ${number}`);
    await healthy.until((text) => text.slice(-2 * BIG.length).includes(`"data":"${number} `));
  }
  expect(channels.map(held)).toEqual([1, 1]);
  expect(messagesIn(healthy.text())).toEqual(sent);
  slow.socket.resume();
  await slow.ended;
  expect(slow.text().endsWith("0\r\n\r\n")).toBe(true);
  const got = messagesIn(slow.text());
  expect(got).toEqual(sent.slice(0, got.length));
  expect(got.length).toBeLessThan(sent.length);
  const lastId = [...slow.text().matchAll(/^id: (.*)$/gm)].at(-1)![1]!;
  const back = await open(channels, `Last-Event-ID: ${lastId}\r\n`);
  const missed = sent.slice(got.length);
  await back.until((text) => messagesIn(text).length >= missed.length);
  expect(messagesIn(back.text()).toSorted()).toEqual(missed.toSorted());
  for (const client of [healthy, back]) client.socket.destroy();
});

test("a slow stream whose channels all let it lag stays, is told what it lost, and is live again", async () => {
  const channels = ["oldest/a", "latest/b"];
  const slow = await open(channels);
  await slow.until((text) => text.includes("id: v1."));
  slow.socket.pause();
  const hears = () => channels.map((name) => server.channels.peek(name)!.channel.fanOut.size);
  const lagging = () => channels.map((name) => server.channels.peek(name)!.channel.laggards.size);
  const ids = new Map<string, string[]>(channels.map((name) => [name, []]));
  const publishToAll = async (text: string) => {
    for (const channel of channels) ids.get(channel)!.push(await publish(channel, text));
  };
  for (let sent = 0; hears().includes(1) && sent < MOST; sent++) await publishToAll(`1 ${BIG}`);
  // More than the history holds.
  for (let i = 0; i < 20; i++) await publishToAll("2");
  expect(channels.map(held)).toEqual([1, 1]);
  expect(lagging()).toEqual([1, 1]);
  slow.socket.resume();
  while (hears().includes(0)) await new Promise(setImmediate);
  expect(lagging()).toEqual([0, 0]);
  await publishToAll("3 the end");
  await slow.until((text) => text.slice(-1000).split("3 the end").length === 3);
  const given = new Map<string, string[]>(channels.map((name) => [name, []]));
  const lost = new Map<string, string[]>(channels.map((name) => [name, []]));
  for (const [, data] of slow.text().matchAll(/^data: (.*)$/gm)) {
    const { channel, id, after } = JSON.parse(data!) as Record<string, string>;
    const all = ids.get(channel!)!;
    const got = given.get(channel!)!;
    if (after === undefined) got.push(id!);
    else {
      expect(after).toBe(got.at(-1)!);
      lost.get(channel!)!.push(...all.slice(all.indexOf(after) + 1, all.indexOf(id!) + 1));
    }
  }
  for (const channel of channels) {
    expect(lost.get(channel)!.length).toBeGreaterThan(8);
    expect([...given.get(channel)!, ...lost.get(channel)!].toSorted()).toEqual(
      ids.get(channel)!.toSorted(),
    );
  }
  expect(channels.map(held)).toEqual([1, 1]);
  slow.socket.destroy();
});

test("a slow stream ends where one of its channels does not let it lag", async () => {
  const channels = ["oldest/strict", "room/strict"];
  const slow = await open(channels);
  await slow.until((text) => text.includes("id: v1."));
  slow.socket.pause();
  for (let sent = 0; held(channels[0]!) === 1 && sent < MOST; sent++) {
    await publish(channels[0]!, `1 ${BIG}`);
  }
  expect(channels.map(held)).toEqual([0, 0]);
  slow.socket.resume();
  await slow.ended;
});

test("a slow stream of 100 channels, each with little to send, keeps no more than one buffer", async () => {
  const channels = Array.from({ length: 100 }, (_, i) => `room/many-${i}`);
  const slow = await open(channels);
  await slow.until((text) => text.includes("id: v1."));
  slow.socket.pause();
  let rounds = 0;
  // Each round is 2 MB, a hundredth of it from each channel.
  for (; held(channels[0]!) === 1 && rounds < 20; rounds++) {
    for (const channel of channels) await publish(channel, `${rounds} ${"y".repeat(20_000)}`);
  }
  expect(channels.map(held)).toEqual(channels.map(() => 0));
  expect(server.connections).toBe(0);
  slow.socket.resume();
  await slow.ended;
  // What the kernel took for the connection is more than what waited.
  const numbers = messagesIn(slow.text());
  expect(numbers.length).toBeLessThan(rounds * 100);
  expect(new Set(numbers).size).toBe(numbers.length);
});

test("a stream with more history than any buffer holds catches up at its own pace, and is live then", async () => {
  const channels = ["room/history-a", "room/history-b", "room/history-c"];
  const count = 150;
  for (let i = 0; i < count; i++) await publish(channels[i % 3]!, `${i} ${BIG}`);
  const slow = await open(channels, "", "&after=earliest");
  await slow.until((text) => text.includes(`"data":"0 `));
  slow.socket.pause();
  const members = () => channels.map((name) => server.channels.peek(name)!.channel.fanOut.size);
  for (let turn = 0; turn < 20; turn++) {
    await Bun.sleep(2);
    expect(members()).not.toEqual([1, 1, 1]);
    expect(channels.map(held)).toEqual([1, 1, 1]);
  }
  slow.socket.resume();
  while (members().join() !== "1,1,1") await Bun.sleep(2);
  await publish(channels[0]!, `${count} live`);
  await slow.until((text) => text.slice(-500).includes(`"data":"${count} live`));
  const got = messagesIn(slow.text());
  expect(got).toHaveLength(count + 1);
  for (const [index, name] of channels.entries()) {
    const own = got.filter((line) => line.startsWith(`${name} `)).map((line) => line.split(" ")[1]);
    const expected = Array.from({ length: count / 3 }, (_, i) => String(i * 3 + index));
    expect(own).toEqual(index === 0 ? [...expected, String(count)] : expected);
  }
  slow.socket.destroy();
});

const SUBSCRIBERS = 500;

test("500 streams of the same channels get all, in one order, with the same ids", async () => {
  const channels = ["room/all-a", "room/all-b"];
  const clients = await Promise.all(Array.from({ length: SUBSCRIBERS }, () => open(channels)));
  for (const client of clients) await client.until((text) => text.includes("id: v1."));
  for (let i = 0; i < 20; i++) await publish(channels[i % 2]!, `${i} message`);
  const expected = Array.from({ length: 20 }, (_, i) => `${channels[i % 2]} ${i}`);
  const streams = new Set<string>();
  for (const client of clients) {
    await client.until((text) => text.includes("19 message"));
    expect(messagesIn(client.text())).toEqual(expected);
    streams.add([...client.text().matchAll(/^id: .*$/gm)].join("\n"));
    client.socket.destroy();
  }
  expect(streams.size).toBe(1);
});

test("500 polls of the same channels get all, in one order", async () => {
  const channels = ["room/polls-a", "room/polls-b"];
  // Not by `fetch`: it holds 256 requests at most, and the publishes would wait behind them.
  const poll = async () => {
    const got: string[] = [];
    const request = get(target(channels, "&after=earliest"));
    const client = await connectTcp(server.urls.public, request);
    for (let at = 0; got.length < 20;) {
      const ending = () => client.text().indexOf("\r\n\r\n", at);
      await client.until(() => ending() >= 0);
      const head = client.text().slice(at, ending());
      const length = Number(/content-length: (\d+)/i.exec(head)![1]);
      const body = ending() + 4;
      await client.until((text) => text.length >= body + length);
      got.push(...messagesIn(client.text().slice(body, body + length)));
      at = body + length;
      client.socket.write(get(/<([^>]+)>; rel="next"/.exec(head)![1]!));
    }
    client.socket.destroy();
    return got;
  };
  const polls = Array.from({ length: SUBSCRIBERS }, poll);
  for (let i = 0; i < 20; i++) await publish(channels[i % 2]!, `${i} message`);
  for (const got of await Promise.all(polls)) {
    for (const [index, name] of channels.entries()) {
      const own = got.filter((line) => line.startsWith(`${name} `));
      expect(own).toEqual(Array.from({ length: 10 }, (_, i) => `${name} ${i * 2 + index}`));
    }
  }
});
