/** Lets those messages through that an expression is true of. */
import { compileExpression, definePlugin, t } from "tidewire";

export default definePlugin({
  name: "filter",
  options: t.Object({
    where: t.String({
      minLength: 1,
      description:
        "JSONata over data, event, key, format, channel and params. A message goes on where it is " +
        "true as JSONata's $boolean has it: nothing, null, 0, an empty string, array or object is not.",
      examples: ["data.price > 100", 'event = "trade" and data.symbol in ["ACME", "INIT"]'],
    }),
  }),
  check: ({ where }) => void compileExpression(where, "where"),
  setup({ options, channel }) {
    const where = compileExpression(options.where, "where");
    return {
      async transform(draft) {
        return isTrue(await where.evaluate(draft, channel)) ? draft : null;
      },
    };
  },
});

/** @see https://docs.jsonata.org/boolean-functions#boolean */
function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(isTrue);
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}
