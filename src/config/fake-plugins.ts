/** Plugins that the tests of the config know: real schemas, and no code behind them. */
import { Type as t, type TObject } from "@sinclair/typebox";
import { resolve } from "node:path";
import { DURATION_PATTERN } from "../units.ts";
import type { ResolvePlugin } from "./check-plugins.ts";

export const SHIPPED: Readonly<Record<string, TObject | null>> = {
  clock: t.Object({
    every: t.String({
      pattern: DURATION_PATTERN,
      default: "1s",
      description: "Time between two ticks.",
    }),
    format: t.Union([t.Literal("time"), t.Literal("iso"), t.Literal("unix")], { default: "time" }),
  }),
  "random-walk": t.Object({
    symbols: t.Array(t.String({ minLength: 1 }), { minItems: 1, description: "What has a price." }),
    every: t.String({ pattern: DURATION_PATTERN, default: "1s" }),
    seed: t.Optional(t.Integer()),
  }),
  poll: t.Object({
    url: t.String({
      pattern: "^https?://",
      description: "An address on the web.",
      examples: ["https://example.org/news.json"],
    }),
    retry: t.Optional(t.Object({ times: t.Integer({ minimum: 0, default: 3 }) })),
    headers: t.Optional(t.Record(t.String(), t.String())),
  }),
  echo: t.Object({ prefix: t.String({ default: "" }) }),
  shout: null,
};

const ROUND = t.Object({ decimals: t.Integer({ minimum: 0, maximum: 10, default: 2 }) });

/** Knows those above, and any file named `round.ts`. */
export const resolveFake: ResolvePlugin = async (use, directory) => {
  if (Object.hasOwn(SHIPPED, use)) return { options: SHIPPED[use] ?? null, file: null };
  if (!/^\.{0,2}\//.test(use)) {
    throw Object.assign(new Error(`no plugin "${use}" ships`), { names: Object.keys(SHIPPED) });
  }
  const file = resolve(directory, use);
  if (use.endsWith("/round.ts")) return { options: ROUND, file };
  throw new Error(`plugin "${use}" is not there: no file ${file}`);
};
