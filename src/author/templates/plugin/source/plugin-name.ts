/** Publishes how much memory the server uses, at even times. */
import { setTimeout as sleep } from "node:timers/promises";
import { definePlugin, duration, parseDuration, t } from "tidewire";

export default definePlugin({
  name: "plugin-name",
  options: t.Object({
    every: duration({ default: "5s", description: "Time between two messages." }),
  }),
  setup({ options, signal }) {
    const everyMs = parseDuration(options.every);
    return {
      // Runs until the signal aborts. One that throws is started again, after a while.
      async *source() {
        while (!signal.aborted) {
          yield { event: "memory", data: { bytes: process.memoryUsage.rss() } };
          await sleep(everyMs, undefined, { signal });
        }
      },
    };
  },
});
