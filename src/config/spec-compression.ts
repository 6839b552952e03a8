/** The keys of `server.compression:`. */
import { Type as t } from "@sinclair/typebox";
import { CODING_NAMES } from "./config.ts";
import { choice } from "./kinds.ts";
import { keys, size } from "./spec-values.ts";

export const CompressionSpec = keys(
  "compression",
  {
    http: t.Array(
      choice(CODING_NAMES, {
        noun: "a content coding that this version has",
        description: "zstd or gzip.",
      }),
      {
        default: [...CODING_NAMES],
        uniqueItems: true,
        description:
          "Content codings of event streams, long-polls and history, the best first: zstd, gzip. Each client gets one that its Accept-Encoding names, an event stream gzip rather than zstd; what many are sent is compressed once. []: none.",
      },
    ),
    websocket: t.Boolean({
      default: false,
      description:
        "WebSocket frames by permessage-deflate, for clients that ask for it. Each frame is compressed anew for each client, which takes two to forty times the CPU; frames of one channel that go out together, up to 16 MiB over all its clients.",
    }),
    min: size({
      min: "1B",
      max: "32KiB",
      default: "1KiB",
      description:
        "What is smaller is not compressed: the events that go out together, an answer, a frame.",
    }),
  },
  { default: {}, description: "What is sent in fewer bytes, to clients that can take it so." },
);
