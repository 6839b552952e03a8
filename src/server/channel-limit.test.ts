/** `limits.channels`: what counts, what makes room, and what never opens a channel. */
import { afterEach, describe, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { gated } from "./gated-testing.ts";
import { alive, history, post, server, start, sweepIn, TTL } from "./patterns-testing.ts";
import { TestSocket } from "./socket-testing.ts";

afterEach(() => server.stop());

/** Looks at a channel, which brings it to life, without waiting. */
const look = async (path: string) => (await fetch(`${server.urls.public}${path}?wait=0`)).status;

describe("limits.channels", () => {
  test("refuses a further channel with 503, and takes it when one was let go of", async () => {
    await start({ channels: { "room/{name}": { history }, fixed: {} }, limits: { channels: 2 } });
    for (const name of ["a", "b"]) expect((await post(`/channels/room/${name}`)).status).toBe(201);
    const refused = await post("/channels/room/c");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "10"]);
    expect(await refused.json()).toMatchObject({
      type: "urn:tidewire:problem:too-many-channels",
      detail: "this server has 2 channels alive, its limit; try again later",
    });
    // Those that are there go on.
    for (const path of ["/channels/room/a", "/channels/fixed"]) {
      expect((await post(path)).status).toBe(201);
    }
    await sweepIn(TTL + 1000);
    expect((await post("/channels/room/c")).status).toBe(201);
  });

  test("does not count a channel whose plugin fails to start", async () => {
    const failing = definePlugin({
      name: "failing",
      setup({ channel }) {
        if (channel.params["name"] === "bad") throw new Error("secret: no such host db1");
        return {};
      },
    });
    await start({ channels: { "room/{name}": { plugins: [failing] } }, limits: { channels: 1 } });
    for (let i = 0; i < 3; i++) {
      const response = await post("/channels/room/bad");
      expect([response.status, response.headers.get("retry-after")]).toEqual([503, "10"]);
      expect(await response.json()).toMatchObject({
        type: "urn:tidewire:problem:channel-failed",
        detail:
          'channel "room/bad" could not be opened: one of its plugins failed to start; the server\'s log says why',
      });
    }
    expect((await post("/channels/room/good")).status).toBe(201);
  });

  test("opens a channel once, however many ask for it at once", async () => {
    let setups = 0;
    const counting = definePlugin({
      name: "counting",
      async setup() {
        setups++;
        await Bun.sleep(1);
        return {};
      },
    });
    await start({ channels: { "room/{name}": { plugins: [counting] } }, limits: { channels: 1 } });
    const answers = await Promise.all(Array.from({ length: 20 }, () => post("/channels/room/a")));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(201));
    expect(setups).toBe(1);
  });
});

describe("a channel that is not alive", () => {
  test("stays so when a publish to it is refused", async () => {
    await start({ channels: { "room/{name}": { publish: "nobody" } } });
    const refused = await post("/channels/room/a");
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({
      type: "urn:tidewire:problem:publish-not-allowed",
      detail: expect.stringContaining('channel "room/a" takes no messages from clients'),
    });
    expect(alive()).toEqual([]);
  });

  test("stays so when its history is read, which is empty", async () => {
    await start({ channels: { "room/{name}": {} } });
    const url = `${server.urls.public}/channels/room/a/messages`;
    const read = async (query = "") =>
      (await (await fetch(url + query)).json()) as { next: string; gap: boolean };
    for (const query of ["", "?after=earliest", "?last=3"]) {
      const page = await read(query);
      expect(page).toEqual({ messages: [], next: expect.any(String), gap: false } as never);
    }
    // What came after it is lost.
    expect(await read("?after=old1-3")).toEqual({
      messages: [],
      next: "old1-3",
      gap: true,
    } as never);
    expect((await fetch(`${url}/old1-3`)).status).toBe(404);
    expect((await fetch(`${url}/latest`)).status).toBe(400);
    expect((await fetch(`${url}?limit=x`)).status).toBe(400);
    expect(alive()).toEqual([]);
    // Who goes on from there misses nothing unknowingly.
    const { next } = await read();
    await post("/channels/room/a");
    expect(await read(`?after=${next}`)).toMatchObject({ messages: [{ data: "x" }], gap: true });
  });
});

describe("at limits.channels", () => {
  test("the idle channel that was used least of late and that nothing was published to makes room", async () => {
    await start({ channels: { "room/{name}": { history } }, limits: { channels: 4 } });
    await look("/channels/room/oldest");
    const socket = await TestSocket.open(`${server.urls.public}/channels/room/held`, "tidewire.v1");
    await socket.json();
    expect((await post("/channels/room/published")).status).toBe(201);
    await look("/channels/room/newer");
    server.channels.peek("room/oldest")!.lastUsed -= 2;
    server.channels.peek("room/newer")!.lastUsed -= 1;
    expect(await look("/channels/room/b")).toBe(204);
    expect(alive().toSorted()).toEqual(["room/b", "room/held", "room/newer", "room/published"]);
    expect((await post("/channels/room/c")).status).toBe(201);
    expect((await post("/channels/room/b")).status).toBe(201);
    expect(alive().toSorted()).toEqual(["room/b", "room/c", "room/held", "room/published"]);
    expect((await post("/channels/room/d")).status).toBe(503);
    socket.close();
  });

  test("a channel that a message is on its way to does not make room", async () => {
    const { plugin, begun, open } = gated();
    await start({
      channels: { "room/{name}": { plugins: [plugin] } },
      control: { listen: { hostname: "127.0.0.1", port: 0 }, token: null },
      limits: { channels: 1 },
    });
    const publishes = [
      () => post("/channels/room/a"),
      () =>
        fetch(`${server.urls.control}/publish`, {
          method: "POST",
          body: JSON.stringify({ channel: "room/a", data: "x" }),
        }),
    ];
    const published = publishes.map((publish) => publish());
    await begun;
    expect(await look("/channels/room/b")).toBe(503);
    open();
    for (const { status } of await Promise.all(published)) expect(status).toBe(201);
  });

  test("no more are alive than the limit, however many ask at once, and each waits for the one before", async () => {
    let open = 0;
    let most = 0;
    const counting = definePlugin({
      name: "counting",
      async setup() {
        most = Math.max(most, ++open);
        await Bun.sleep(1);
        return {
          async close() {
            await Bun.sleep(1);
            open--;
          },
        };
      },
    });
    await start({ channels: { "room/{name}": { plugins: [counting] } }, limits: { channels: 3 } });
    for (let round = 0; round < 3; round++) {
      const names = Array.from({ length: 12 }, (_, i) => `/channels/room/${round}-${i}`);
      const statuses = await Promise.all(names.map(look));
      expect(statuses.filter((status) => status === 204).length).toBeGreaterThanOrEqual(3);
      expect(statuses.every((status) => status === 204 || status === 503)).toBe(true);
    }
    expect(most).toBe(3);
    expect(alive().length).toBeLessThanOrEqual(3);
  });
});
