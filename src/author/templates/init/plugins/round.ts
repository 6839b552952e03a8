/** Rounds every number of a message: {"price": 101.234} becomes {"price": 101.2}. */
import { definePlugin, t } from "tidewire";

export default definePlugin({
  name: "round",
  // What the config may say under `with:`. Try a wrong value there and run `tidewire check`.
  options: t.Object({
    decimals: t.Integer({ minimum: 0, maximum: 10, default: 2, description: "Digits that stay." }),
  }),
  // Called once for each channel that uses it. `options` has the types from above.
  setup({ options }) {
    const scale = 10 ** options.decimals;
    function round(value: unknown): unknown {
      if (typeof value === "number") return Math.round(value * scale) / scale;
      if (Array.isArray(value)) return value.map(round);
      if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, round(inner)]));
    }
    return {
      // Changes a message before it goes out; null would drop it, an array would make several of it.
      transform(draft) {
        return { ...draft, data: round(draft.data) };
      },
    };
  },
});
