/** Answers "ping", and signs every other text with the time at which it came. */
import { definePlugin, t } from "tidewire";

export default definePlugin({
  name: "plugin-name",
  options: t.Object({
    answer: t.String({ default: "pong", description: "What a client gets for its ping." }),
  }),
  setup({ options, log }) {
    return {
      // What a client sent, by a WebSocket frame or a POST.
      receive(data, client) {
        if (data === "ping") {
          // For this client alone; nothing is published.
          client.send(options.answer);
          return null;
        }
        log.debug("a client sent something", { client: client.id });
        return { data: { text: data, at: new Date().toISOString() } };
      },
    };
  },
});
