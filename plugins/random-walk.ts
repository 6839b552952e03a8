/** Publishes made-up prices that move as prices do: a geometric random walk, for demos and load. */
import { setTimeout as sleep } from "node:timers/promises";
import { definePlugin, duration, OptionError, parseDuration, t } from "tidewire";

const MIN_MS = 1;
/**
 * Share of the way back to the start that each step pulls. Without it a walk that runs for weeks ends at
 * nothing or at millions; with it prices stay within about 70 volatilities of the start.
 */
const PULL = 0.0001;
/** The lowest price, in ticks: the bid, one tick less, is still above zero. */
const LOWEST_TICKS = 2;

export default definePlugin({
  name: "random-walk",
  options: t.Object({
    symbols: t.Array(t.String({ minLength: 1, maxLength: 64 }), {
      minItems: 1,
      uniqueItems: true,
      description: "What has a price. Each is the key of its messages.",
      examples: [["ACME", "INIT"]],
    }),
    every: duration({ default: "1s", description: "Time between two prices of a symbol." }),
    seed: t.Optional(
      t.Integer({
        description:
          "The same seed gives the same prices, for each symbol on its own. Default: chance.",
      }),
    ),
    start: t.Number({
      exclusiveMinimum: 0,
      default: 100,
      description: "The price that each symbol opens at and stays around.",
    }),
    volatility: t.Number({
      minimum: 0,
      maximum: 1,
      default: 0.001,
      description: "Standard deviation of one step, relative to the price: 0.001 is 0.1 %.",
    }),
    tick_size: t.Number({
      minimum: 0.00000001,
      default: 0.01,
      description: "The smallest move: prices are multiples of it, at least twice it.",
    }),
    event: t.String({ default: "price", description: "Event name of the messages." }),
  }),
  check,
  setup({ options, signal }) {
    check(options);
    const { symbols, event } = options;
    const everyMs = parseDuration(options.every);
    const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
    // A stream of chance for each symbol: another symbol in the list changes no one else's prices.
    const walks = symbols.map((symbol) => ({
      symbol,
      walk: createWalk(options, mulberry32(seed ^ hash(symbol))),
    }));
    return {
      async *source() {
        let due = performance.now();
        while (!signal.aborted) {
          for (const { symbol, walk } of walks) {
            yield { event, key: symbol, data: { symbol, ...walk() } };
          }
          // From the due time, not from now, so that intervals do not add up their delays. What a
          // sleeping machine missed is left out.
          const late = (performance.now() - due) / everyMs;
          due += everyMs * Math.max(1, Math.ceil(late));
          const waitMs = Math.max(0, due - performance.now());
          await sleep(waitMs, undefined, { signal }).catch(() => {});
        }
      },
    };
  },
});

/** @throws {OptionError} When `every` or `start` is too small. */
function check(options: WalkOptions & { readonly every: string }): void {
  const { every, start, tick_size: tickSize } = options;
  if (parseDuration(every) < MIN_MS) {
    throw new OptionError("every", `every is "${every}"; it must be at least ${MIN_MS}ms`);
  }
  if (start < tickSize * LOWEST_TICKS) {
    const message = `start is ${start}; it must be at least twice tick_size, ${tickSize}`;
    throw new OptionError("start", message);
  }
}

interface Quote {
  price: number;
  bid: number;
  ask: number;
  /** The opening price. */
  open: number;
  /** Since the opening. */
  change: number;
}

interface WalkOptions {
  readonly start: number;
  readonly volatility: number;
  readonly tick_size: number;
}

function createWalk(options: WalkOptions, random: () => number): () => Quote {
  const { start, volatility, tick_size: tickSize } = options;
  const decimals = decimalsOf(tickSize);
  const price = (ticks: number) => Number((ticks * tickSize).toFixed(decimals));
  const open = Math.round(start / tickSize);
  const center = Math.log(start / tickSize);
  // The walk itself is not rounded: rounding each step would stop small moves altogether.
  let log = center;
  return () => {
    log += volatility * gaussian(random) - PULL * (log - center);
    log = Math.max(log, Math.log(LOWEST_TICKS));
    const ticks = Math.round(Math.exp(log));
    return {
      price: price(ticks),
      bid: price(ticks - 1),
      ask: price(ticks + 1),
      open: price(open),
      change: price(ticks - open),
    };
  };
}

/** Digits after the point that multiples of `tickSize` need: 2 for 0.25. */
function decimalsOf(tickSize: number): number {
  let decimals = 0;
  while (decimals < 10 && Math.abs(tickSize - Number(tickSize.toFixed(decimals))) > 1e-12) {
    decimals++;
  }
  return decimals;
}

/**
 * Numbers from 0 up to 1 from a 32-bit seed.
 *
 * @see https://github.com/cprosche/mulberry32 Tommy Ettinger's mulberry32, public domain.
 */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One number of the normal distribution, by Box and Muller's method. */
function gaussian(random: () => number): number {
  // 1 - random() is never 0, of which there is no logarithm.
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** FNV-1a of the text, 32 bits. @see https://datatracker.ietf.org/doc/html/draft-eastlake-fnv */
function hash(text: string): number {
  let sum = 0x811c9dc5;
  for (const byte of Buffer.from(text)) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum >>> 0;
}
