/** The keys of `server:` and `control:`, the two sides that a server listens on. */
import { Type as t } from "@sinclair/typebox";
import { choice, Noun } from "./kinds.ts";
import { CompressionSpec } from "./spec-compression.ts";
import { address, file, keys, Origin, tcpAddress, tls } from "./spec-values.ts";

export const ServerSpec = keys(
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

export const ControlSpec = keys(
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
