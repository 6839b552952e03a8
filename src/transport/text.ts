/** What `client.send` takes, as the text of a frame or an event. */

/** Strings as they are, bytes as base64, everything else as JSON. */
export function textOf(data: unknown): string {
  if (typeof data === "string") return data;
  if (data instanceof Uint8Array) return Buffer.from(data).toString("base64");
  return JSON.stringify(data) ?? "null";
}
