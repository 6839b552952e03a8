/** Every key of a config: this one spec drives checks, defaults and the JSON Schema for editors. */
import { Type as t, type StaticDecode } from "@sinclair/typebox";
import { SLOW_POLICIES } from "../channel/lag.ts";
import { TRANSPORT_NAMES } from "./config.ts";
import { choice, MayBeEmpty, Noun } from "./kinds.ts";
import { CompressionSpec } from "./spec-compression.ts";
import { LimitsSpec } from "./spec-limits.ts";
import { TestsSpec } from "./spec-tests.ts";
import {
  address,
  duration,
  file,
  keys,
  NAME_PATTERN,
  Origin,
  path,
  size,
  tcpAddress,
  tls,
} from "./spec-values.ts";

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

const Server = keys(
  "server",
  {
    listen: tcpAddress({
      default: "127.0.0.1:8080",
      description:
        "Where WebSocket, SSE, long-poll and publishing are served. `:8080` is all interfaces.",
    }),
    tls: t.Optional(tls("Serves HTTPS, with HTTP/2 and HTTP/3, in place of plain HTTP.")),
    http2_push: t.Optional(
      keys(
        "http2_push",
        {
          listen: tcpAddress({ description: "Where HTTP/2 with server push is served." }),
          tls: t.Optional(tls("Without it, HTTP/2 is served in cleartext (prior knowledge).")),
        },
        { description: "A second public listener, which can push (RFC 9113 §8.4)." },
      ),
    ),
    static: t.Optional(
      keys(
        "static",
        {
          root: file("Folder whose files are served."),
          push: t.Record(
            t.String(),
            t.Array(t.String({ minLength: 1 }), { description: "URL paths of files." }),
            {
              default: {},
              description: "URL path of a page to the URL paths that are pushed with it.",
              examples: [{ "/": ["/style.css"] }],
            },
          ),
        },
        { description: "Files that are served beside the channels." },
      ),
    ),
    cors: t.Union(
      [
        choice(["*"], { noun: `"*"`, description: "Pages of any origin." }),
        t.Array(Origin, { uniqueItems: true }),
      ],
      {
        default: [],
        [Noun]: `"*" or a list of origins`,
        description: `Origins of pages that may use the channels: "*" is any. Pages of the server's own origin always may.`,
      },
    ),
    compression: CompressionSpec,
  },
  { default: {}, description: "The public side: listeners and files." },
);

const Control = keys(
  "control",
  {
    listen: address({ description: "Loopback or a unix socket, unless there is a token." }),
    token: t.Optional(
      t.String({
        minLength: 1,
        description: "What a caller sends as `Authorization: Bearer <token>`.",
      }),
    ),
  },
  { description: "The private listener: publishing by your app, channels, health." },
);

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

export const ConfigSpec = keys(
  "a config",
  {
    server: Server,
    control: t.Optional(Control),
    broker: keys(
      "broker",
      {
        use: choice(["memory", "sqlite"], {
          noun: "a broker that this version has",
          default: "memory",
          description:
            "Keeps each channel's history. memory: it is gone when the server stops. sqlite: a file, where it outlives the server; plugins keep their values in it too.",
        }),
        path: t.Optional(file("The SQLite file, in a folder that is there. Default: tidewire.db.")),
        durability: t.Optional(
          choice(["full", "normal"], {
            noun: "a durability",
            description:
              "What a power cut may cost. full (the default): nothing that was acknowledged, for each commit is on the disk first. normal: the last moments' messages, though acknowledged, and then every channel starts a new epoch, so that clients are told of a gap; never the file; it is faster. With either, the end of the process, kill -9 included, costs nothing.",
          }),
        ),
      },
      { default: {}, description: "Where history is kept." },
    ),
    store: keys(
      "store",
      {
        use: choice(["sqlite", "memory"], {
          noun: "a store",
          default: "sqlite",
          description:
            "sqlite: a file, made when a plugin first keeps something. memory: gone when the server stops.",
        }),
        path: t.Optional(
          file("The SQLite file. Default: .tidewire/store.db, or the file of a sqlite broker."),
        ),
      },
      { default: {}, description: "Where plugins keep their small values (`ctx.store`)." },
    ),
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
    defaults: keys(
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
    ),
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
