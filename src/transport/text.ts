/** What `client.send` takes, as the text of a frame or an event, or as a member of a frame. */

/** Strings as they are, bytes as base64, everything else as JSON. */
export function textOf(data: unknown): string {
  if (typeof data === "string") return data;
  if (data instanceof Uint8Array) return Buffer.from(data).toString("base64");
  return JSON.stringify(data) ?? "null";
}

/** The members of a frame that hold `data`: bytes are base64, and said to be, as in every envelope. */
export function dataMembers(data: unknown): { data: unknown; encoding?: "base64" } {
  if (data instanceof Uint8Array) return { data: textOf(data), encoding: "base64" };
  return { data };
}
