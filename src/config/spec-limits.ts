/** The keys of `limits:`. */
import { Type as t } from "@sinclair/typebox";
import { duration, keys, size } from "./spec-values.ts";

export const LimitsSpec = keys(
  "limits",
  {
    buffer: size({
      min: "1KiB",
      default: "1MiB",
      description:
        "What may wait for one slow connection; what becomes of one that has more is the channel's `slow`.",
    }),
    message: size({ default: "1MiB", description: "The data of one message." }),
    connections: t.Integer({
      minimum: 1,
      default: 100_000,
      description:
        "Connections that are held at once, all listeners together: streams, polls that wait, and WebSockets.",
    }),
    connections_per_address: t.Optional(
      t.Integer({
        minimum: 1,
        description:
          "Of those, what one client address may hold, an IPv6 network of 64 bits counting as one. Default: no limit, for behind a proxy all clients have its address.",
      }),
    ),
    subscriptions: t.Integer({
      minimum: 1,
      default: 1000,
      description: "Channels that one connection for many may be subscribed to.",
    }),
    polls: t.Integer({
      minimum: 1,
      default: 50_000,
      description: "Long-polls that wait at once.",
    }),
    publishes: keys(
      "publishes",
      {
        per_second: t.Integer({
          minimum: 1,
          maximum: 1_000_000,
          default: 1000,
          description: "Messages a second that a client may go on publishing.",
        }),
        burst: t.Integer({
          minimum: 1,
          maximum: 10_000_000,
          default: 10_000,
          description: "Messages that it may publish at once, after a rest.",
        }),
        loopback: t.Boolean({
          default: false,
          description:
            "Limit POSTs from this machine's own addresses (127.0.0.0/8, ::1) too. A proxy there has the messages of all its clients under one address, so by default they may always.",
        }),
      },
      {
        default: {},
        description:
          "How fast one client may publish: a WebSocket by itself, POSTs by their address. The control listener may always.",
      },
    ),
    headers: size({
      min: "4KiB",
      max: "1MiB",
      default: "16KiB",
      description: "The request line and header fields of one request.",
    }),
    body: keys(
      "body",
      {
        time: duration({
          min: "100ms",
          max: "1h",
          default: "30s",
          description: "Time that every body has to arrive in, however small.",
        }),
        rate: size({
          default: "4KiB",
          description: "A body has a second more for each so many bytes.",
        }),
      },
      { default: {}, description: "How slowly a request's body may come." },
    ),
    http2: keys(
      "http2",
      {
        connections: t.Optional(
          t.Integer({
            minimum: 1,
            description: "Connections of the HTTP/2 listener. Default: as limits.connections.",
          }),
        ),
        streams: t.Integer({
          minimum: 1,
          maximum: 10_000,
          default: 100,
          description: "Requests that one connection may have open at once.",
        }),
        resets: keys(
          "resets",
          {
            per_second: t.Integer({
              minimum: 1,
              maximum: 1_000_000,
              default: 33,
              description: "Streams a second that a client may go on resetting.",
            }),
            burst: t.Integer({
              minimum: 1,
              maximum: 1_000_000,
              default: 1000,
              description: "Streams that it may reset at once, after a rest.",
            }),
          },
          {
            default: {},
            description:
              "Streams that are reset before their answer (rapid reset, CVE-2023-44487).",
          },
        ),
      },
      { default: {}, description: "The listener of `server.http2_push`." },
    ),
    channels: t.Integer({
      minimum: 1,
      default: 10_000,
      description: "Channels of patterns that are alive at once.",
    }),
    workers: t.Integer({
      minimum: 1,
      default: 100,
      description:
        "Worker threads of plugins with `isolate` in channels of patterns, about 8 MiB each; a channel that would need one more is refused.",
    }),
    waiting: t.Integer({
      minimum: 1,
      default: 1024,
      description: "Messages of one channel that may wait for its transforms.",
    }),
  },
  { default: {}, description: "Bounds on memory, and on what one client may ask for." },
);
