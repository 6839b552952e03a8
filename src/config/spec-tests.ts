/** The keys of `tests:`, in a config or in a file beside it. */
import { Type as t } from "@sinclair/typebox";
import { quoteText } from "../diagnostic/visible-text.ts";
import { choice, parsed } from "./kinds.ts";
import { Refusal } from "./refusal.ts";
import { duration, keys } from "./spec-values.ts";

const encoding = () =>
  choice(["base64"], {
    noun: "an encoding",
    description: "The data is bytes, and written in base64.",
  });

const SenderSpec = keys(
  "a client",
  {
    transport: choice(["websocket", "post"], {
      noun: "a way to send",
      default: "websocket",
      description: "A frame of a WebSocket, or a POST.",
    }),
    headers: t.Record(t.String(), t.String(), {
      default: {},
      description: "Headers of its request.",
      examples: [{ cookie: "session=ada" }],
    }),
    query: t.Record(t.String(), t.String(), {
      default: {},
      description: "Parameters of its URL.",
    }),
    address: t.String({ default: "127.0.0.1", description: "Its IP address." }),
  },
  { description: "Who sends it. Steps that say the same are of one client." },
);

const StepSpec = keys("a step", {
  data: t.Optional(
    t.Unknown({ description: "Published, as your app does through the control listener." }),
  ),
  receive: t.Optional(
    t.Unknown({
      description: "Sent by a client: the hooks `authorize` and `receive` see it first.",
    }),
  ),
  wait: t.Optional(
    duration({
      example: "5s",
      description: "Lets this much time pass, at once: timers of plugins run.",
    }),
  ),
  encoding: t.Optional(encoding()),
  event: t.Optional(t.String({ description: "The message's type name." })),
  key: t.Optional(t.String({ description: "What the message is about." })),
  from: t.Optional(SenderSpec),
  answers: t.Optional(
    t.Array(t.Unknown(), {
      description: "What hooks have to send back to this client, all of it, in order.",
    }),
  ),
  refused: t.Optional(
    t.String({
      minLength: 1,
      description: "The code that it has to be refused with.",
      examples: ["schema", "publish-not-allowed"],
    }),
  ),
});

const ExpectedSpec = keys("an expected message", {
  channel: t.Optional(
    t.String({ minLength: 1, description: "The channel that it is seen in. Default: the test's." }),
  ),
  data: t.Optional(t.Unknown({ description: "Its data: a value, or a matcher." })),
  encoding: t.Optional(encoding()),
  event: t.Optional(t.Unknown({ description: "Its event; without it, it has none." })),
  key: t.Optional(t.Unknown({ description: "Its key; without it, it may have any." })),
});

export const TestSpec = keys("a test", {
  name: t.String({ minLength: 1, description: "What it shows, in words." }),
  channel: t.String({
    minLength: 1,
    description: "The channel's name; of a pattern one that fits it.",
    examples: ["prices", "chat/lobby"],
  }),
  now: t.Optional(
    parsed(readTime, {
      noun: `a time such as "2026-01-01T00:00:00Z"`,
      code: "bad-time",
      description: "When its time begins. Default: 2026-01-01T00:00:00Z.",
      pattern: "^\\d{4}-\\d{2}-\\d{2}(T[0-9:.]+(Z|[+-]\\d{2}:\\d{2}))?$",
      examples: ["2026-01-01T00:00:00Z"],
    }),
  ),
  sources: t.Boolean({ default: false, description: "Whether sources of plugins run." }),
  sinks: t.Boolean({
    default: false,
    description: "Whether sinks of plugins get what is published: a webhook would send it.",
  }),
  feed: t.Array(StepSpec, { default: [], description: "What happens, in order." }),
  expect: t.Array(ExpectedSpec, {
    description: "What subscribers see: all of it, in order.",
  }),
});

/** Tests of a config, in itself. */
export const TestsSpec = t.Array(TestSpec, {
  default: [],
  description: "What `tidewire check --tests` runs: messages fed to a channel, and what comes out.",
});

/** A file such as `tidewire.test.yaml`, beside `tidewire.yaml`. */
export const TestsFileSpec = keys(
  "a file of tests",
  { tests: t.Array(TestSpec, { minItems: 1, description: "Run by `tidewire check --tests`." }) },
  { title: "Tidewire tests", description: "Tests of the channels of the config beside it." },
);

/** An ISO 8601 time with its zone, or a day, which begins at midnight UTC. */
function readTime(text: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}(T[0-9:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? Date.parse(text)
    : NaN;
  if (Number.isNaN(ms)) {
    throw new Refusal(
      `${quoteText(text)} is not a time`,
      `write "2026-01-01T00:00:00Z", with its zone`,
    );
  }
  return ms;
}
