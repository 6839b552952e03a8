/** Publishes to channels with `latest_by_key`, and reads their state, as a client does. */
import type { TestServer } from "./testing.ts";

export const KEYED = { size: 3, ttlMs: 600_000, latestByKey: true };

export interface Page {
  readonly messages: { id: string; key?: string; data: unknown }[];
  readonly next: string;
  readonly gap: boolean;
}

export const entries = ({ messages }: Page) => messages.map(({ key, data }) => `${key}=${data}`);

/** @param server The one of the test that runs. */
export function clientOf(server: () => TestServer) {
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${server().urls.public}${path}`, { headers });

  const post = (channel: string, key: string, data: unknown) =>
    fetch(`${server().urls.public}/channels/${channel}?key=${encodeURIComponent(key)}`, {
      method: "POST",
      body: JSON.stringify(data),
      headers: { "content-type": "application/json" },
    });

  async function publish(channel: string, key: string, data: unknown): Promise<string> {
    const response = await post(channel, key, data);
    if (response.status !== 201) throw new Error(await response.text());
    return ((await response.json()) as { id: string }).id;
  }

  async function page(path: string): Promise<Page> {
    const response = await get(path, { accept: "application/vnd.tidewire+json" });
    if (response.status !== 200) throw new Error(await response.text());
    return (await response.json()) as Page;
  }

  /** Publishes five keys, of which one is deleted, and more messages than history has room for. */
  async function fill(channel: string): Promise<string[]> {
    const ids: string[] = [];
    for (const key of ["a", "b", "gone", "c", "b"])
      ids.push(await publish(channel, key, ids.length));
    ids.push(await publish(channel, "gone", null));
    return ids;
  }

  return { get, post, publish, page, fill };
}
