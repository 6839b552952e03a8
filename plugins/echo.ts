/** Answers each client with what it sent, and nobody else. Nothing is published. */
import { definePlugin, t } from "tidewire";

export default definePlugin({
  name: "echo",
  options: t.Object({
    prefix: t.String({
      default: "",
      description:
        "Text before what was sent. With one, JSON is answered as its text, and bytes as bytes.",
      examples: ["Server received: "],
    }),
  }),
  setup({ options: { prefix } }) {
    return {
      receive(data, client) {
        client.send(prefix === "" ? data : addPrefix(prefix, data));
        return null;
      },
    };
  },
});

function addPrefix(prefix: string, data: unknown): string | Uint8Array {
  if (data instanceof Uint8Array) return Buffer.concat([Buffer.from(prefix), data]);
  return prefix + (typeof data === "string" ? data : JSON.stringify(data));
}
