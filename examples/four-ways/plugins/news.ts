/** Publishes news at an interval, numbered, so that a reader can tell whether one is missing. */
import { setInterval } from "node:timers/promises";
import { definePlugin, duration, parseDuration, t } from "tidewire";

export default definePlugin({
  name: "news",
  options: t.Object({
    every: duration({ default: "5s", description: "Time between two messages." }),
    message: t.String({ default: "New data from server", description: "What each one says." }),
  }),
  setup({ options: { every, message }, signal }) {
    return {
      async *source() {
        let number = 0;
        // Ends when the channel closes or the server stops.
        for await (const _ of setInterval(parseDuration(every), undefined, { signal })) {
          yield { data: { message, number: ++number } };
        }
      },
    };
  },
});
