/** Appends every message to a file, one JSON a line. */
import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { definePlugin, t } from "tidewire";

export default definePlugin({
  name: "plugin-name",
  options: t.Object({
    path: t.String({ minLength: 1, description: "The file, relative to the config." }),
  }),
  async setup({ options, directory }) {
    const file = await open(resolve(directory, options.path), "a");
    return {
      // What was committed, in order; the next batch comes when this one is done.
      async sink(messages) {
        const lines = messages.map(({ id, time, data }) => JSON.stringify({ id, time, data }));
        await file.write(`${lines.join("\n")}\n`);
      },
      // Always runs, after the last batch.
      async close() {
        await file.close();
      },
    };
  },
});
