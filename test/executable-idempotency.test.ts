/**
 * The executable, killed while publishes with an `Idempotency-Key` are under way: each is sent again until
 * it is answered, and is there once, under the id that it was answered with.
 */
import { afterAll, expect, test } from "bun:test";
import { executable, Folder, start, type RunningServer } from "./executable.ts";

const CONFIG = `
server: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
broker: { use: sqlite, path: ./tidewire.db }
defaults: { publish: clients, history: { size: 100000, ttl: 1d } }
channels: { news: {} }
`;
const KILLS = 8;
const WRITERS = 6;

const folder = new Folder({ "tidewire.yaml": CONFIG });
afterAll(() => folder[Symbol.dispose]());

/** The server of the moment, for those who come back. */
class Lives {
  server = Promise.withResolvers<RunningServer>();
  answered = 0;
  #waiting: (() => void)[] = [];

  count(): void {
    this.answered++;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async untilAnswered(count: number): Promise<void> {
    while (this.answered < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** Sends one publish until it is answered: by the life that took it, or by a later one. */
async function insist(lives: Lives, key: string, isControl: boolean): Promise<string> {
  for (;;) {
    const { promise } = lives.server;
    const { publicUrl, controlUrl } = await promise;
    const [url, body] = isControl
      ? [`${controlUrl}/publish`, JSON.stringify({ channel: "news", data: key })]
      : [`${publicUrl}/channels/news`, JSON.stringify(key)];
    const answered = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": `"${key}"` },
      body,
    })
      .then(async (response) => ({ status: response.status, text: await response.text() }))
      .catch(() => null);
    if (answered === null) {
      // It was killed: another life answers. The test may hear of it later than this client.
      while (lives.server.promise === promise) await new Promise(setImmediate);
      continue;
    }
    const { status, text } = answered;
    if (status === 201) {
      lives.count();
      const { id, results } = JSON.parse(text) as { id?: string; results?: { id: string }[] };
      return id ?? results![0]!.id;
    }
    // Nothing else is right but that it can't take it now.
    if (status !== 503) throw new Error(`${status} ${text}`);
  }
}

test("a publish with a key is there once, whenever the server is killed", async () => {
  await executable();
  const lives = new Lives();
  let isOver = false;
  const ids = new Map<string, string>();
  const writers = Array.from({ length: WRITERS }, async (_, writer) => {
    for (let n = 0; !isOver; n++) {
      const key = `${writer}/${n}`;
      ids.set(key, await insist(lives, key, writer % 2 === 1));
    }
  });
  for (let life = 0; ; life++) {
    const server = await start(folder);
    lives.server.resolve(server);
    await lives.untilAnswered(lives.answered + 10 + Math.floor(Math.random() * 40));
    if (life === KILLS) isOver = true;
    if (isOver) break;
    lives.server = Promise.withResolvers();
    server.signal("SIGKILL");
    await server.exited;
  }
  await Promise.all(writers);
  const server = await lives.server.promise;
  const kept: { id: string; data: string }[] = [];
  for (let after = "earliest"; ; after = kept.at(-1)!.id) {
    const page = await fetch(
      `${server.publicUrl}/channels/news/messages?after=${after}&limit=1000`,
    );
    const { messages } = (await page.json()) as { messages: typeof kept };
    if (messages.length === 0) break;
    kept.push(...messages);
  }
  // Once each, and each under the id that its publisher was told, in whichever life that was.
  expect(kept.length).toBe(ids.size);
  expect(Object.fromEntries(kept.map(({ id, data }) => [data, id]))).toEqual(
    Object.fromEntries(ids),
  );
  // Sent again to one more life, they are answered the same, and nothing is added.
  server.signal("SIGKILL");
  await server.exited;
  await using last = await start(folder);
  lives.server = Promise.withResolvers();
  lives.server.resolve(last);
  for (const [key, id] of [...ids].slice(-50)) {
    expect(await insist(lives, key, Number(key.split("/")[0]) % 2 === 1)).toBe(id);
  }
  const top = await fetch(`${last.publicUrl}/channels/news?after=${kept.at(-1)!.id}&wait=0`);
  expect(top.status).toBe(204);
}, 120_000);
