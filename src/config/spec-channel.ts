/** The keys of a channel, and of `defaults:`, what holds for every channel that does not say otherwise. */
import { Type as t } from "@sinclair/typebox";
import { SLOW_POLICIES } from "../channel/lag.ts";
import { TRANSPORT_NAMES } from "./config.ts";
import { choice } from "./kinds.ts";
import { PluginSpec } from "./spec-plugin.ts";
import { duration, keys, path, size } from "./spec-values.ts";

const transports = () =>
  t.Array(
    choice(TRANSPORT_NAMES, { noun: "a transport", description: "How clients may receive." }),
    {
      minItems: 1,
      uniqueItems: true,
      description:
        "How clients may receive: websocket, sse, long-poll, and http2-push, which needs `server.http2_push`.",
    },
  );

const publish = () =>
  choice(["nobody", "clients", "authorized"], {
    noun: "a way to publish that this version has",
    description:
      "Who may publish by POST and WebSocket: nobody, all clients, or those that a plugin's `authorize` hook allows. Plugins and the control listener always may.",
  });

const slow = () =>
  choice(SLOW_POLICIES, {
    noun: "a way to deal with slow subscribers",
    description:
      "What becomes of a subscriber that reads so slowly that `limits.buffer` waits for it. disconnect (the default): it is disconnected and comes back with its position. drop-oldest, latest: it stays, and gets what is left when it reads on, with a gap wherever something was dropped; of what waits the newest `limits.buffer` is kept, with latest only the newest message of each key.",
  });

const historySize = {
  minimum: 0,
  maximum: 10_000_000,
  description: "Messages that are kept at most.",
};
const TTL = "How long a message is kept at most.";
const HISTORY_BYTES = {
  min: "1KiB",
  max: "64GiB",
  description: "Bytes of data that are kept at most; a message that is larger is not kept.",
};
const LATEST_BY_KEY =
  "Keeps the newest message of each `key` beside the history, however old it is, so that a client that starts with `after=state` gets the present state, then what changes. A message with a key and null as its data deletes the key. The bytes of what is kept by key are within `bytes` too, by themselves.";
const historyKeys = {
  minimum: 1,
  maximum: 1_000_000,
  description:
    "With `latest_by_key`: keys that are kept at most; a message that would add one more is refused.",
};
const HISTORY = "What is kept of a channel, for clients that come back.";

export const ChannelSpec = keys(
  "a channel",
  {
    path: t.Optional(
      path({
        description:
          "The URL path it is served at, with the same parameters as its name. Default: /channels/<name>.",
      }),
    ),
    transports: t.Optional(transports()),
    history: t.Optional(
      keys(
        "history",
        {
          size: t.Optional(t.Integer(historySize)),
          ttl: t.Optional(duration({ min: "1ms", description: TTL })),
          bytes: t.Optional(size(HISTORY_BYTES)),
          latest_by_key: t.Optional(t.Boolean({ description: LATEST_BY_KEY })),
          keys: t.Optional(t.Integer(historyKeys)),
        },
        { description: HISTORY },
      ),
    ),
    publish: t.Optional(publish()),
    slow: t.Optional(slow()),
    schema: t.Optional(
      t.Record(t.String(), t.Unknown(), {
        description:
          "JSON Schema that published data has to fit: draft 2020-12, or 07 where $schema says so.",
      }),
    ),
    plugins: t.Array(PluginSpec, {
      default: [],
      description:
        "What makes, changes and answers messages; the order is the order of the pipeline.",
    }),
  },
  { mayBeEmpty: true, description: "A named, ordered stream of messages." },
);

export const DefaultsSpec = keys(
  "defaults",
  {
    transports: { ...transports(), default: ["websocket", "sse", "long-poll"] },
    history: keys(
      "history",
      {
        size: t.Integer({ ...historySize, default: 100 }),
        ttl: duration({ min: "1ms", default: "10m", description: TTL }),
        bytes: size({ ...HISTORY_BYTES, default: "16MiB" }),
        latest_by_key: t.Boolean({ default: false, description: LATEST_BY_KEY }),
        keys: t.Integer({ ...historyKeys, default: 10_000 }),
      },
      { default: {}, description: HISTORY },
    ),
    publish: { ...publish(), default: "nobody" },
    slow: { ...slow(), default: "disconnect" },
  },
  { default: {}, description: "What holds for every channel that does not say otherwise." },
);
