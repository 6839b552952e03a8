/** Passes on the messages in which a number is large enough, and drops the others. */
import { definePlugin, t } from "tidewire";

export default definePlugin({
  name: "plugin-name",
  options: t.Object({
    field: t.String({ default: "value", description: "The number's name in the data." }),
    least: t.Number({ description: "Messages with less are dropped." }),
  }),
  setup({ options }) {
    return {
      // Gives back a draft, several in an array, or null to drop it. It may be async.
      transform(draft) {
        const data = draft.data as Record<string, unknown> | null;
        const value = data?.[options.field];
        return typeof value === "number" && value >= options.least ? draft : null;
      },
    };
  },
});
