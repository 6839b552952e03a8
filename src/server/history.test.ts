import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
let ids: string[];
beforeAll(async () => {
  server = await startTestServer({ channels: { log: { history: { size: 5, ttlMs: 600_000 } } } });
  const response = await fetch(`${server.urls.public}/channels/log?event=e`, {
    method: "POST",
    body: '1\n2\n3\n4\n5\n6\n"seven"',
    headers: { "content-type": "application/x-ndjson" },
  });
  ({ ids } = (await response.json()) as { ids: string[] });
});
afterAll(() => server.stop());

interface Page {
  readonly messages: { id: string; data: unknown }[];
  readonly next: string;
  readonly gap: boolean;
}

async function page(query: string): Promise<Page> {
  const response = await fetch(`${server.urls.public}/channels/log/messages${query}`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/vnd.tidewire+json");
  expect(response.headers.get("cache-control")).toBe("no-cache");
  return (await response.json()) as Page;
}

describe("GET <channel>/messages", () => {
  test("begins with the oldest that is kept", async () => {
    const { messages, next, gap } = await page("");
    expect(messages).toMatchObject([
      { id: ids[2]!, data: 3, event: "e", channel: "log" },
      { data: 4 },
      { data: 5 },
      { data: 6 },
      { id: ids[6]!, data: "seven" },
    ]);
    expect([next, gap]).toEqual([ids[6]!, false]);
  });

  test("goes on after a position, a page at a time", async () => {
    const first = await page(`?after=${ids[2]}&limit=2`);
    expect(first.messages.map(({ data }) => data)).toEqual([4, 5]);
    expect(first.next).toBe(ids[4]!);
    const second = await page(`?after=${first.next}&limit=2`);
    expect(second.messages.map(({ data }) => data)).toEqual([6, "seven"]);
    expect(await page(`?after=${second.next}`)).toEqual({
      messages: [],
      next: ids[6]!,
      gap: false,
    });
  });

  test("says when messages after the position are lost", async () => {
    for (const after of [ids[0], "another1-3"]) {
      const { messages, gap } = await page(`?after=${after}`);
      expect([gap, messages[0]!.id]).toEqual([true, ids[2]!]);
    }
  });

  test("gives the last ones", async () => {
    expect((await page("?last=2")).messages.map(({ id }) => id)).toEqual(ids.slice(5));
  });

  test("refuses a position or limit that is none", async () => {
    for (const query of ["after=x", "last=x", "limit=0", "limit=x"]) {
      const response = await fetch(`${server.urls.public}/channels/log/messages?${query}`);
      expect([query, response.status]).toEqual([query, 400]);
    }
  });
});

describe("GET <channel>/messages/<id>", () => {
  const get = (id: string) => fetch(`${server.urls.public}/channels/log/messages/${id}`);

  test("answers the data as it was published, for any cache to keep", async () => {
    const response = await get(ids[6]!);
    expect(await response.text()).toBe('"seven"');
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("etag")).toBe(`"${ids[6]}"`);
    expect(response.headers.get("cache-control")).toContain("immutable");
  });

  test("answers 404 for a message that is too old, of another epoch, or not there yet", async () => {
    const [epoch] = ids[0]!.split("-");
    for (const id of [
      ids[0]!,
      "another1-3",
      `${epoch}-8`,
      `${epoch}-0`,
      `${epoch}-${"9".repeat(15)}`,
    ]) {
      const response = await get(id);
      expect([id, response.status]).toEqual([id, 404]);
      expect(await response.json()).toMatchObject({
        type: "urn:tidewire:problem:unknown-message",
        detail: `channel "log" does not keep message ${id}: it is too old, or never was`,
      });
    }
  });

  test("answers 400 for what is no id", async () => {
    for (const id of ["latest", "", "%0d%0a", "x".repeat(500)]) {
      const response = await get(id);
      expect([id, response.status]).toEqual([id, 400]);
      const { type, detail } = (await response.json()) as { type: string; detail: string };
      expect(type).toBe("urn:tidewire:problem:bad-position");
      expect(detail.length).toBeLessThan(200);
    }
  });
});
