/** How a server starts, and how it does not. */
import { describe, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { startTestServer } from "./testing.ts";

const hostname = "127.0.0.1";
const free = { hostname, port: 0 };

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const listener = Bun.listen({ hostname, port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

const portOf = (url: string) => Number(new URL(url).port);

describe("a server", () => {
  test("says which address is taken, and what to do about it", async () => {
    const first = await startTestServer({ channels: {}, control: { listen: free, token: null } });
    for (const port of [portOf(first.urls.public), portOf(first.urls.control!)]) {
      const listen = { hostname, port };
      const text = `can't listen on 127.0.0.1:${port}: another program listens there; stop it, or give another address in the config`;
      for (const config of [
        { server: { listen } },
        { server: { http2Push: { listen, tls: null } } },
        { control: { listen, token: null } },
      ]) {
        await expect(startTestServer({ channels: {}, ...config })).rejects.toThrow(text);
      }
    }
    expect((await fetch(`${first.urls.control}/healthz`)).status).toBe(200);
    await first.stop();
  });

  test("says what is wrong with an address that this machine does not have", async () => {
    const listen = { hostname: "192.0.2.1", port: 8080 };
    await expect(startTestServer({ channels: {}, server: { listen } })).rejects.toThrow(
      /^can't listen on 192\.0\.2\.1:8080: .+/,
    );
  });

  test("does not start when a plugin's setup fails, and leaves its ports free", async () => {
    const closed: string[] = [];
    const plugin = (name: string, fails: boolean) =>
      definePlugin({
        name,
        setup() {
          if (fails) throw new Error("no such host: db1");
          return { close: () => void closed.push(name) };
        },
      });
    const ports = [await freePort(), await freePort(), await freePort()];
    const listens = ports.map((port) => ({ hostname, port }));
    const config = (fails: boolean) => ({
      channels: {
        first: { plugins: [plugin("fine", false)] },
        second: { plugins: [plugin("failing", fails)] },
      },
      server: { listen: listens[0]!, http2Push: { listen: listens[1]!, tls: null } },
      control: { listen: listens[2]!, token: null },
    });
    await expect(startTestServer(config(true))).rejects.toThrow(
      'plugin "failing", setup, channel "second": no such host: db1',
    );
    expect(closed).toEqual(["fine"]);
    const second = await startTestServer(config(false));
    await second.stop();
  });

  test("tells clients that come while it starts to try again, and sets nothing up twice", async () => {
    const port = await freePort();
    const url = `http://${hostname}:${port}`;
    let setups = 0;
    const setup = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = definePlugin({
      name: "slow",
      async setup() {
        setups++;
        begun.resolve();
        await setup.promise;
        return {};
      },
    });
    const control = await freePort();
    const starting = startTestServer({
      channels: { prices: { plugins: [slow] }, "room/{name}": {} },
      server: { listen: { hostname, port } },
      control: { listen: { hostname, port: control }, token: null },
    });
    await begun.promise;
    for (const path of ["/channels/prices", "/channels/room/a"]) {
      const early = await fetch(url + path);
      expect([early.status, early.headers.get("retry-after")]).toEqual([503, "1"]);
      expect(await early.json()).toMatchObject({ type: "urn:tidewire:problem:not-ready" });
    }
    expect((await fetch(`http://${hostname}:${control}/healthz`)).status).toBe(200);
    expect((await fetch(`http://${hostname}:${control}/readyz`)).status).toBe(503);
    setup.resolve();
    const server = await starting;
    expect((await fetch(`${url}/channels/prices?wait=0`)).status).toBe(204);
    expect((await fetch(`http://${hostname}:${control}/readyz`)).status).toBe(200);
    expect(setups).toBe(1);
    await server.stop();
  });
});
