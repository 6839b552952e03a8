/** Frames of publishers that do not wait for answers, over a broker that commits at the turn's end. */
import { afterAll, beforeAll, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Commit } from "../broker/sqlite-commit.ts";
import { definePlugin } from "../plugin/sdk.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestServer } from "./testing.ts";

const folder = mkdtempSync(join(tmpdir(), "tidewire-frames-"));
const { write } = Commit.prototype;
const commits = spyOn(Commit.prototype, "write");
/** Opens the `authorize` hook of the channels `guarded` for the publish that asked first. */
let letIn = Promise.withResolvers<void>();
let asked = 0;
let server: TestServer;

const slowFirst = definePlugin({
  name: "slow-first",
  setup: () => ({
    async receive(data) {
      if (data === 0) await Bun.sleep(5);
      return { data };
    },
  }),
});
const guard = definePlugin({
  name: "guard",
  setup: () => ({
    async authorize({ action }) {
      if (action === "publish" && asked++ === 0) await letIn.promise;
      return "allow" as const;
    },
  }),
});
const isOdd = (data: unknown) => Number(data) % 2 === 1;
const swallow = definePlugin({
  name: "swallow",
  setup: () => ({ receive: (data) => (isOdd(data) ? null : { data }) }),
});
const drop = definePlugin({
  name: "drop",
  setup: () => ({ transform: (draft) => (isOdd(draft.data) ? null : draft) }),
});

beforeAll(async () => {
  const schema = { type: "object", properties: { n: { type: "integer" } } };
  server = await startTestServer({
    broker: { use: "sqlite", path: join(folder, "t.db"), durability: "normal" },
    channels: {
      "room/{name}": { schema },
      received: { publish: "nobody", plugins: [slowFirst] },
      "guarded/{who}": { plugins: [guard] },
      swallowed: { publish: "nobody", plugins: [swallow] },
      dropped: { plugins: [drop] },
    },
    limits: { message: 1000 },
  });
});
afterAll(async () => {
  await server.stop();
  commits.mockRestore();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => commits.mockClear());

const many = () => TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
const publish = (channel: string, data: unknown, ref?: number) => ({
  ...{ type: "publish", channel, data, ref },
});

async function historyOf(name: string): Promise<{ id: string; data: unknown }[]> {
  const response = await fetch(`${server.urls.public}/channels/${name}/messages`);
  return ((await response.json()) as { messages: { id: string; data: unknown }[] }).messages;
}

describe("publish frames that come in one turn", () => {
  test("share a commit, in order, and each is acknowledged with its own id", async () => {
    const socket = await many();
    for (const n of numbers(30)) socket.send(publish("room/a", { n }, n));
    const answers = new Map<unknown, unknown>();
    for (const _ of numbers(30)) {
      const { type, ref, id } = await socket.json();
      if (type === "ack") answers.set(ref, id);
    }
    const history = await historyOf("room/a");
    expect(history.map(({ data }) => data)).toEqual(numbers(30).map((n) => ({ n })));
    expect(numbers(30).map((n) => answers.get(n))).toEqual(history.map(({ id }) => id));
    expect(commits.mock.calls.length).toBeLessThan(10);
    socket.close();
  });

  test("are refused each for itself, and answered in order", async () => {
    const socket = await many();
    for (const n of [0, "no", 2]) socket.send(publish("room/b", { n }, n === "no" ? 1 : Number(n)));
    const answers = await Promise.all(numbers(3).map(() => socket.json()));
    expect(answers.map(({ ref, type, code }) => [ref, code ?? type])).toEqual([
      [0, "ack"],
      [1, "schema"],
      [2, "ack"],
    ]);
    expect((await historyOf("room/b")).map(({ data }) => data)).toEqual([{ n: 0 }, { n: 2 }]);
    socket.close();
  });

  test("are all committed before a subscribe behind them is served", async () => {
    const socket = await many();
    for (const n of numbers(3)) socket.send(publish("room/c", { n }, n));
    socket.send({ type: "subscribe", channel: "room/c", ref: "s" });
    socket.send(publish("room/c", { n: 3 }, 3));
    const frames = await Promise.all(numbers(6).map(() => socket.json()));
    const history = await historyOf("room/c");
    expect(frames.slice(0, 3).map(({ type }) => type)).toEqual(["ack", "ack", "ack"]);
    expect(frames[3]).toMatchObject({ type: "subscribed", id: history[2]!.id });
    expect(frames.find(({ type }) => type === "message")).toMatchObject({ data: { n: 3 } });
    socket.close();
  });

  test("may each expect the one before it, and are answered in order", async () => {
    const socket = await many();
    const { id } = await socket.ask(publish("room/d", { n: 0 }, 0));
    const [epoch] = (id as string).split("-");
    socket.send(publish("room/d", { n: 1 }, 1));
    socket.send({ ...publish("room/d", { n: 2 }, 2), expect: `${epoch}-2` });
    socket.send({ ...publish("room/d", { n: 9 }, 3), expect: `${epoch}-2` });
    socket.send({ ...publish("room/d", { n: 9 }, 4), expect: "nonsense" });
    const answers = await Promise.all(numbers(4).map(() => socket.json()));
    expect(answers.map(({ ref, code, type }) => [ref, code ?? type])).toEqual([
      [1, "ack"],
      [2, "ack"],
      [3, "position-moved"],
      [4, "bad-position"],
    ]);
    socket.close();
  });

  test("keep their order where a receive hook takes its time over the first", async () => {
    const socket = await many();
    for (const n of numbers(5)) socket.send(publish("received", n, n));
    const answers = await Promise.all(numbers(5).map(() => socket.json()));
    expect(answers.map(({ ref }) => ref)).toEqual(numbers(5));
    expect((await historyOf("received")).map(({ data }) => data)).toEqual(numbers(5));
    socket.close();
  });

  for (const channel of ["swallowed", "dropped"]) {
    test(`are answered in order where nothing comes of some: ${channel}`, async () => {
      const socket = await many();
      for (const n of numbers(6)) socket.send(publish(channel, n, n));
      const answers = await Promise.all(numbers(6).map(() => socket.json()));
      expect(answers.map(({ ref, id }) => [ref, id === null])).toEqual(
        numbers(6).map((n) => [n, isOdd(n)]),
      );
      socket.close();
    });
  }

  for (const isSubscribed of [false, true]) {
    const who = isSubscribed ? "a subscriber's" : "a publisher's";
    test(`keep their order where an authorize hook takes its time over ${who} first`, async () => {
      letIn = Promise.withResolvers();
      asked = 0;
      const name = `guarded/${isSubscribed}`;
      const socket = await many();
      if (isSubscribed) await socket.ask({ type: "subscribe", channel: name });
      for (const n of numbers(5)) socket.send(publish(name, n, n));
      // Answered when those before it are taken.
      expect(await socket.ask(publish("room/other", { n: 0 }, 9))).toMatchObject({ ref: 9 });
      letIn.resolve();
      const answers: unknown[] = [];
      while (answers.length < 5) {
        const { type, ref } = await socket.json();
        if (type !== "message") answers.push([type, ref]);
      }
      expect(answers).toEqual(numbers(5).map((n) => ["ack", n]));
      expect((await historyOf(name)).map(({ data }) => data)).toEqual(numbers(5));
      socket.close();
    });
  }
});

test("publish frames that were taken are answered before the server's stop ends their socket", async () => {
  const other = await startTestServer({
    broker: { use: "sqlite", path: join(folder, "stopped.db"), durability: "normal" },
    channels: { news: {} },
  });
  const socket = await TestSocket.open(`${other.urls.public}/channels`, "tidewire.v1");
  const stopping = new Promise((resolve, reject) => {
    commits.mockImplementationOnce(function (this: Commit, appends) {
      other.stop().then(resolve, reject);
      write.call(this, appends);
    });
  });
  for (const n of numbers(8)) socket.send(publish("news", n, n));
  for (const n of numbers(8)) expect(await socket.json()).toMatchObject({ type: "ack", ref: n });
  expect(await socket.next()).toMatchObject({ code: 1001 });
  await stopping;
});

describe("raw frames that come in one turn", () => {
  test("share a commit, in order", async () => {
    const socket = await TestSocket.open(`${server.urls.public}/channels/room/raw`);
    for (const n of numbers(30)) socket.send({ n });
    for (const n of numbers(30)) expect(await socket.json()).toEqual({ n });
    expect(commits.mock.calls.length).toBeLessThan(10);
    socket.close();
  });

  test("behind one that is refused are not published, those before it are, and come back", async () => {
    const socket = await TestSocket.open(`${server.urls.public}/channels/room/hole`);
    for (const n of [0, 1, "no", 3]) socket.send({ n });
    expect([await socket.json(), await socket.json()]).toEqual([{ n: 0 }, { n: 1 }]);
    expect(await socket.next()).toMatchObject({ code: 1008 });
    expect((await historyOf("room/hole")).map(({ data }) => data)).toEqual([{ n: 0 }, { n: 1 }]);
  });
});
