import type { TestServer } from "../../src/server/testing.ts";

/**
 * Publishes a text to a channel, by POST.
 *
 * @returns The message's id.
 * @throws {Error} When it is not taken.
 */
export async function publishText(
  { urls }: TestServer,
  channel: string,
  text: string,
): Promise<string> {
  const response = await fetch(`${urls.public}/channels/${channel}`, {
    method: "POST",
    body: text,
    headers: { "content-type": "text/plain" },
  });
  if (response.status !== 201) throw new Error(await response.text());
  return ((await response.json()) as { id: string }).id;
}
