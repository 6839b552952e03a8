/** Makes another message of each: its data, event and key are what expressions give. */
import { compileExpression, definePlugin, t } from "tidewire";

const SEES = "JSONata over data, event, key, format, channel and params.";

export default definePlugin({
  name: "map",
  options: t.Object({
    to: t.Optional(
      t.String({
        minLength: 1,
        description: `${SEES} Gives the new data; where it gives nothing, the message is dropped.`,
        examples: ['{ "symbol": data.s, "price": $number(data.p) }'],
      }),
    ),
    event: t.Optional(
      t.String({
        minLength: 1,
        description: `${SEES} Gives the new event name; nothing or null takes it away.`,
        examples: ["data.type", '"price"'],
      }),
    ),
    key: t.Optional(
      t.String({
        minLength: 1,
        description: `${SEES} Gives the new key; nothing or null takes it away.`,
        examples: ["data.symbol"],
      }),
    ),
  }),
  check: compile,
  setup({ options, channel }) {
    const { toData, toEvent, toKey } = compile(options);
    return {
      async transform(draft) {
        const mapped = { ...draft };
        // All expressions see the draft as it came in, not what the others made of it.
        if (toData) {
          mapped.data = await toData.evaluate(draft, channel);
          if (mapped.data === undefined) return null;
          // A string that is picked from JSON is text.
          mapped.format = undefined;
        }
        if (toEvent) mapped.event = toName("event", await toEvent.evaluate(draft, channel));
        if (toKey) mapped.key = toName("key", await toKey.evaluate(draft, channel));
        return mapped;
      },
    };
  },
});

interface MapOptions {
  readonly to?: string;
  readonly event?: string;
  readonly key?: string;
}

/** @throws {Error} When an expression is not JSONata, or there is none. */
function compile({ to, event, key }: MapOptions) {
  if (to === undefined && event === undefined && key === undefined) {
    throw new TypeError('map has nothing to do; give it "to", "event" or "key"');
  }
  return {
    toData: to === undefined ? null : compileExpression(to, "to"),
    toEvent: event === undefined ? null : compileExpression(event, "event"),
    toKey: key === undefined ? null : compileExpression(key, "key"),
  };
}

function toName(option: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "object") {
    throw new TypeError(`${option} gives ${JSON.stringify(value)}; it must give a string`);
  }
  return String(value);
}
