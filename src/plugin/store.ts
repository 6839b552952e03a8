/** The `store` of a setup context: JSON values of one plugin in one channel. */
import type { KeyValues } from "../channel/key-values.ts";
import { parseDuration } from "../units.ts";
import { describe } from "./errors.ts";
import { kindOf } from "./kind-of.ts";
import type { Reports } from "./reports.ts";
import type { Store } from "./sdk.ts";
import { orUnheard } from "./unheard.ts";

/** Bytes of a key, in UTF-8. */
export const MAX_KEY_BYTES = 512;
/** Bytes of a value's JSON text, in UTF-8. */
export const MAX_VALUE_BYTES = 64 * 1024;
/** A hundred years: far more would be no whole number of milliseconds any more. */
const MAX_TTL_MS = 36_525 * 86_400_000;

export interface StoreOptions {
  readonly values: KeyValues;
  /** Names the plugin in its channel, the same after a restart: see `useName`. */
  readonly use: string;
  readonly reports: Reports;
  readonly now?: () => number;
}

/**
 * Names one use of a plugin, so that reloads and restarts find what it kept, also when the plugins of the
 * channel are put in another order.
 *
 * @param written The plugin as the config writes it.
 * @param ordinal Which of the uses of the channel that are written like this, from 0.
 */
export function useName(channel: string, written: string, ordinal: number): string {
  return JSON.stringify([channel, written, ordinal]);
}

/** A failure of `set` or `delete` that nobody awaits is logged as the plugin's. */
export function createStore({ values, use, reports, now = Date.now }: StoreOptions): Store {
  const heard = <T>(work: Promise<T>) =>
    orUnheard(work, (error) => reports.failed("store", error, 0));
  return {
    get: <Value>(key: string) =>
      heard(
        (async () => {
          const text = await values.get(use, checkKey("get", key));
          return text === undefined ? undefined : (JSON.parse(text) as Value);
        })(),
      ),
    set: (key, value, options) =>
      heard(
        (async () => {
          checkKey("set", key);
          const text = toText(key, value);
          const ttlMs = readTtl(key, options?.ttl);
          await values.set(use, key, text, ttlMs === null ? null : now() + ttlMs);
        })(),
      ),
    delete: (key) => heard((async () => values.delete(use, checkKey("delete", key)))()),
    entries: <Value>(prefix = "") =>
      heard(
        (async () => {
          if (typeof prefix !== "string") {
            throw new TypeError(`store.entries: the prefix is ${kindOf(prefix)}; it is a string`);
          }
          // No key is written so: UTF-8 would make another prefix of it.
          if (!prefix.isWellFormed()) return [];
          const found = await values.entries(use, prefix);
          return found.map(([key, text]): [string, Value] => [key, JSON.parse(text) as Value]);
        })(),
      ),
  };
}

function checkKey(method: "get" | "set" | "delete", key: unknown): string {
  const wrong = (what: string) => `store.${method}: ${what}`;
  if (typeof key !== "string") {
    throw new TypeError(wrong(`the key is ${kindOf(key)}; it is a string`));
  }
  if (key === "") throw new RangeError(wrong("the key is empty; it has 1 to 512 bytes"));
  if (!key.isWellFormed()) {
    throw new TypeError(wrong("the key has half of a surrogate pair, which UTF-8 can't write"));
  }
  const bytes = Buffer.byteLength(key);
  if (bytes > MAX_KEY_BYTES) {
    const shown = JSON.stringify(`${key.slice(0, 40)}…`);
    throw new RangeError(
      wrong(`the key ${shown} has ${bytes} bytes; at most ${MAX_KEY_BYTES} are allowed`),
    );
  }
  return key;
}

function toText(key: string, value: unknown): string {
  const start = `store.set(${JSON.stringify(key)})`;
  const wrong = (what: string) => new TypeError(`${start}: ${what}`);
  if (value === undefined) {
    throw wrong(`the value is undefined, which is no JSON; use delete to remove a key, or null`);
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(value, function (this: Record<string, unknown>, name, item: unknown) {
      // A Buffer has a toJSON, which has been called by now: what it was is in its holder.
      const advice = noJson(item) ?? noJson(this[name]);
      if (advice) throw wrong(`${name === "" ? "the value" : `"${name}"`} is ${advice}`);
      return item;
    });
  } catch (error) {
    if (error instanceof TypeError && error.message.startsWith(start)) throw error;
    if (error instanceof RangeError) throw wrong("the value is nested too deeply");
    // A getter or a toJSON of the value may have thrown anything.
    const message = describe(error);
    throw wrong(
      /cycl|circular/i.test(message)
        ? "the value holds itself, which JSON can't write"
        : `the value is not JSON: ${message}`,
    );
  }
  if (text === undefined) throw wrong("the value's toJSON gives nothing");
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_VALUE_BYTES) {
    throw new RangeError(
      `${start}: the value has ${bytes} bytes of JSON; at most ${MAX_VALUE_BYTES} (64 KiB) are allowed: keep it under several keys`,
    );
  }
  return text;
}

/** What JSON would leave out or spoil without a word. */
function noJson(item: unknown): string | null {
  if (typeof item === "number" && !Number.isFinite(item)) return `${item}, which JSON can't hold`;
  if (typeof item === "bigint") return "a bigint, which is no JSON; keep String(it)";
  if (typeof item === "function" || typeof item === "symbol") {
    return `a ${typeof item}, which is no JSON`;
  }
  if (item instanceof Map) return "a Map, which is no JSON; keep [...it]";
  if (item instanceof Set) return "a Set, which is no JSON; keep [...it]";
  if (item instanceof ArrayBuffer || ArrayBuffer.isView(item)) {
    return "bytes, which are no JSON; keep their toBase64()";
  }
  return null;
}

function readTtl(key: string, ttl: unknown): number | null {
  if (ttl === undefined) return null;
  const start = `store.set(${JSON.stringify(key)}): the ttl`;
  if (typeof ttl !== "string") {
    throw new TypeError(`${start} is ${kindOf(ttl)}; it is a duration such as "10m"`);
  }
  let ms: number;
  try {
    ms = parseDuration(ttl);
  } catch (error) {
    throw new SyntaxError(`${start}: ${(error as Error).message}`);
  }
  if (ms > MAX_TTL_MS) {
    throw new RangeError(`${start} is ${ttl.slice(0, 40)}; leave it out for what stays`);
  }
  if (ms >= 1) return ms;
  throw new RangeError(`${start} is ${ttl}; it is 1ms at least, and left out for what stays`);
}
