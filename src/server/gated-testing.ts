import { definePlugin, type Draft, type Plugin } from "../plugin/sdk.ts";

export interface Gated {
  readonly plugin: Plugin;
  /** Resolves when the first draft has come. */
  readonly begun: Promise<void>;
  /** Lets go on what has come, and all that comes. */
  open(): void;
}

/**
 * A plugin whose transform waits until it is let go on.
 *
 * @param change What becomes of each draft then.
 */
export function gated(name = "gated", change: (draft: Draft) => Draft = (draft) => draft): Gated {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const plugin = definePlugin({
    name,
    setup: () => ({
      async transform(draft) {
        begun.resolve();
        await gate.promise;
        return change(draft);
      },
    }),
  });
  return { plugin, begun: begun.promise, open: () => gate.resolve() };
}
