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
  pick: t.Object({
    where: t.String({ default: "a" }),
    times: t.Integer({ default: 1 }),
    headers: t.Record(t.String(), t.String(), { default: {} }),
  }),
  sieve: t.Object({ where: t.String({ description: "JSONata over data. ETags too." }) }),
  shout: null,
};

interface PickOptions {
  readonly where: string;
  readonly times: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Throws what the sdk's `OptionError` is to the config: an error with an `option` and maybe a `part`. */
function checkPick({ where, times, headers }: PickOptions): void {
  const index = where.indexOf("?");
  if (index >= 0) {
    const line = where.slice(0, index).split("\n").at(-1)!;
    const frame = `  ${line}?\n  ${" ".repeat(line.length)}^`;
    const message = `where: "?" is not known, at character ${index + 1}\n${frame}`;
    throw Object.assign(new Error(message), { option: "where", part: { index, length: 1 } });
  }
  for (const [name, value] of Object.entries(headers)) {
    if (!/[\r\n]/.test(value)) continue;
    const message = `the header ${name} is "${value}"; it has a line end`;
    throw Object.assign(new Error(message), { option: `/headers/${name}` });
  }
  if (times === 0) throw new RangeError("pick has nothing to do\nonce more");
  if (times === 7) throw Object.assign(new Error("where must be given"), { option: "where" });
  if (times === 9) throw new Error(`can't pick "${where}" (${where}) "${where.slice(1)}"`);
  if (times === 8) throw "a word";
}

const ROUND = t.Object({ decimals: t.Integer({ minimum: 0, maximum: 10, default: 2 }) });

/** Knows those above, and any file named `round.ts`. */
export const resolveFake: ResolvePlugin = async (use, directory) => {
  if (Object.hasOwn(SHIPPED, use)) {
    const check = (options: unknown) => checkPick(options as PickOptions);
    return { options: SHIPPED[use] ?? null, file: null, ...(use === "pick" ? { check } : {}) };
  }
  if (!/^\.{0,2}\//.test(use)) {
    throw Object.assign(new Error(`no plugin "${use}" ships`), { names: Object.keys(SHIPPED) });
  }
  const file = resolve(directory, use);
  if (use.endsWith("/round.ts")) return { options: ROUND, file };
  throw new Error(`plugin "${use}" is not there: no file ${file}`);
};
