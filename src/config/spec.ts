/** Every key of a config: this one spec drives checks, defaults and the JSON Schema for editors. */
import { Type as t, type StaticDecode } from "@sinclair/typebox";
import { choice } from "./kinds.ts";
import { ChannelSpec, DefaultsSpec } from "./spec-channel.ts";
import { LimitsSpec } from "./spec-limits.ts";
import { ControlSpec, ServerSpec } from "./spec-server.ts";
import { BrokerSpec, StoreSpec } from "./spec-stores.ts";
import { TestsSpec } from "./spec-tests.ts";
import { duration, keys, NAME_PATTERN } from "./spec-values.ts";

export const ConfigSpec = keys(
  "a config",
  {
    server: ServerSpec,
    control: t.Optional(ControlSpec),
    broker: BrokerSpec,
    store: StoreSpec,
    limits: LimitsSpec,
    idempotency: keys(
      "idempotency",
      {
        window: duration({
          min: "1s",
          max: "7d",
          default: "10m",
          description:
            "How long a publish with an `Idempotency-Key` is remembered: the same one, sent again, gets the first answer and publishes nothing.",
        }),
        keys: t.Integer({
          minimum: 1,
          maximum: 100_000_000,
          default: 100_000,
          description:
            "Keys that are remembered at most, all channels together; the oldest is forgotten first.",
        }),
      },
      { default: {}, description: "Publishes that may be sent again." },
    ),
    sse: keys(
      "sse",
      {
        retry: duration({
          max: "1d",
          default: "2s",
          description: "How long a client waits before it comes back: the `retry:` field.",
        }),
        heartbeat: duration({
          min: "100ms",
          max: "1m",
          default: "15s",
          description:
            "Time between two comments that keep a quiet stream open: a stream without a byte for 90 s is closed.",
        }),
      },
      { default: {}, description: "Server-Sent Events." },
    ),
    shutdown: keys(
      "shutdown",
      {
        drain: duration({
          max: "1d",
          default: "10s",
          description: "In which clients are told to come back and what is under way is finished.",
        }),
      },
      { default: {}, description: "How the server stops." },
    ),
    log: keys(
      "log",
      {
        level: choice(["debug", "info", "warn", "error"], {
          noun: "a log level",
          default: "info",
          description: "The least important lines that are written.",
        }),
        format: choice(["json", "text", "auto"], {
          noun: "a log format",
          default: "auto",
          description: "Lines of JSON or readable text; auto: text on a terminal.",
        }),
      },
      { default: {}, description: "The log, on stderr." },
    ),
    defaults: DefaultsSpec,
    channels: t.Record(t.String(), ChannelSpec, {
      minProperties: 1,
      propertyNames: { pattern: NAME_PATTERN },
      description: "Names (prices) and patterns with parameters (chat/{room}).",
    }),
    tests: TestsSpec,
  },
  {
    title: "Tidewire config",
    description: "One file that declares channels and how they are exposed.",
  },
);

/** A config that passed all checks, durations in milliseconds and sizes in bytes. */
export type DecodedConfig = StaticDecode<typeof ConfigSpec>;
