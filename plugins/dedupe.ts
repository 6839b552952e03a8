/** Drops a message that is the same as one that went on a short time ago. */
import { createHash } from "node:crypto";
import { compileExpression, definePlugin, duration, OptionError, parseDuration, t } from "tidewire";

/** Identities up to this many characters are kept as they are; longer ones as their SHA-256. */
const MAX_PLAIN = 64;

export default definePlugin({
  name: "dedupe",
  options: t.Object({
    key: t.Optional(
      t.String({
        minLength: 1,
        description:
          "JSONata over data, event, key, format, channel and params: messages for which it gives " +
          "the same are the same; one for which it gives nothing always goes on. Default: the same " +
          "event, key and data, whatever the order of an object's members.",
        examples: ["data.id"],
      }),
    ),
    window: duration({
      default: "1m",
      description:
        "Repeats are dropped for this long after the one that went on; repeats do not extend it.",
    }),
    size: t.Integer({
      minimum: 1,
      maximum: 10_000_000,
      default: 10_000,
      description: "Messages that are remembered. Over it, the oldest is forgotten early.",
    }),
  }),
  check: read,
  setup({ options, channel }) {
    const { windowMs, keyOf } = read(options);
    /** When each identity went on, in that order. */
    const seen = new Map<string, number>();

    const isRepeat = (identity: string): boolean => {
      const now = performance.now();
      for (const [old, time] of seen) {
        if (now - time < windowMs) break;
        seen.delete(old);
      }
      if (seen.has(identity)) return true;
      seen.set(identity, now);
      if (seen.size > options.size) seen.delete(seen.keys().next().value!);
      return false;
    };

    return {
      transform(draft) {
        if (!keyOf) {
          const { data, event = null, key = null, format } = draft;
          const isText = typeof data === "string" && format !== "json";
          return isRepeat(identify([event, key, isText, toJson(data)])) ? null : draft;
        }
        return keyOf
          .evaluate(draft, channel)
          .then((key) => (key !== undefined && isRepeat(identify(key)) ? null : draft));
      },
    };
  },
});

/** @throws {OptionError} When `window` is nothing, or `key` is not JSONata. */
function read({ window, key }: { readonly window: string; readonly key?: string }) {
  const windowMs = parseDuration(window);
  if (windowMs < 1) {
    throw new OptionError("window", `window is "${window}"; it must be at least 1ms`);
  }
  return { windowMs, keyOf: key === undefined ? null : compileExpression(key, "key") };
}

function identify(value: unknown): string {
  const text = JSON.stringify(value, sortMembers);
  if (text.length <= MAX_PLAIN) return text;
  return createHash("sha256").update(text).digest("base64");
}

/** Bytes as base64: as an object of numbers they would take ten times the room. */
function toJson(data: unknown): unknown {
  if (!(data instanceof Uint8Array) && !(data instanceof ArrayBuffer)) return data;
  return { bytes: Buffer.from(data as Uint8Array).toString("base64") };
}

/** Puts an object's members in one order. */
function sortMembers(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
