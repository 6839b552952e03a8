/** The keys of one use of a plugin. */
import { Type as t } from "@sinclair/typebox";
import { choice, MayBeEmpty } from "./kinds.ts";
import { duration, keys, size } from "./spec-values.ts";

export const PluginSpec = keys("a plugin", {
  use: t.String({
    minLength: 1,
    description:
      "The name of a plugin that ships, the path of a file, relative to this one, or an npm package.",
    examples: ["clock", "./plugins/round.ts", "npm:some-plugin"],
  }),
  with: t.Record(t.String(), t.Unknown(), {
    default: {},
    description: "The plugin's options.",
    [MayBeEmpty]: true,
  }),
  isolate: t.Boolean({
    default: false,
    description:
      "Runs it in a worker thread of its own: a crash or an endless loop ends that alone, and it is started again.",
  }),
  timeout: t.Optional(
    duration({
      min: "1ms",
      description:
        "With `isolate`: a worker that gives no sign of life for so long, as in an endless loop, is ended; awaiting is fine. A transform that awaits longer fails. Default: 1s.",
    }),
  ),
  memory: t.Optional(
    size({
      min: "16MiB",
      description: "With `isolate`: a worker that holds more is ended. Default: 256MiB.",
    }),
  ),
  on_error: choice(["drop", "pass", "stop"], {
    noun: "a way to deal with a failure",
    default: "drop",
    description:
      "What becomes of a message that its transform fails on, or that its worker held when it ended: dropped, passed on as it was, or refused with all that was published with it, so that its publisher is told.",
  }),
});
