/** Which settings of a config take hold while the server runs, and which only when it starts. */
import { readFileSync } from "node:fs";
import type { Config } from "../config/config.ts";

/** A part of the config that listeners or files were opened by. */
interface Fixed {
  /** As a warning names it. */
  readonly key: string;
  readonly of: (config: Config) => unknown;
  /** The config with this part as another has it. */
  readonly keep: (config: Config, from: Config) => Config;
}

const FIXED: readonly Fixed[] = [
  ...(["listen", "tls", "http2Push"] as const).map((name): Fixed => ({
    key: `server.${name === "http2Push" ? "http2_push" : name}`,
    of: ({ server }) => server[name],
    keep: (config, { server }) => ({
      ...config,
      server: { ...config.server, [name]: server[name] },
    }),
  })),
  {
    key: "server.compression.websocket",
    of: ({ server }) => server.compression.websocket,
    keep: (config, { server: { compression } }) => ({
      ...config,
      server: {
        ...config.server,
        compression: { ...config.server.compression, websocket: compression.websocket },
      },
    }),
  },
  {
    key: "control.listen",
    of: ({ control }) => control?.listen ?? null,
    // A token, or none, is right for the address that it is written for, and may open another to everyone.
    keep: (config, { control }) => ({ ...config, control }),
  },
  ...(["broker", "store"] as const).map((name): Fixed => ({
    key: name,
    of: (config) => config[name],
    keep: (config, from) => ({ ...config, [name]: from[name] }),
  })),
  {
    key: "idempotency.keys",
    of: ({ idempotency }) => idempotency.keys,
    keep: (config, { idempotency: { keys } }) => ({
      ...config,
      idempotency: { ...config.idempotency, keys },
    }),
  },
  ...(["buffer", "message", "headers", "http2"] as const).map((name): Fixed => ({
    key: `limits.${name}`,
    of: ({ limits }) => limits[name],
    keep: (config, { limits }) => ({
      ...config,
      limits: { ...config.limits, [name]: limits[name] },
    }),
  })),
];

/**
 * What the files of certificates hold, by the key that names them. A listener has read them when it was
 * opened: a renewed certificate holds from a restart on.
 */
export function certificateStamps({ server }: Config): ReadonlyMap<string, string> {
  const stamps = new Map<string, string>();
  for (const [key, tls] of [
    ["server.tls", server.tls],
    ["server.http2_push.tls", server.http2Push?.tls ?? null],
  ] as const) {
    if (tls === null || tls === "self-signed") continue;
    const texts = [tls.cert, tls.key].map(read);
    stamps.set(key, new Bun.CryptoHasher("sha256").update(texts.join("\0")).digest("hex"));
  }
  return stamps;
}

/** What can't be read is told of where the listener is opened. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/**
 * What of a new config can hold in a running server.
 *
 * @param certificates What `certificateStamps` gave when the listeners were opened.
 * @returns The config, with what needs a restart as it was, and the keys of that.
 */
export function applicable(
  before: Config,
  after: Config,
  certificates: ReadonlyMap<string, string>,
): { readonly config: Config; readonly needsRestart: readonly string[] } {
  let config = after;
  const needsRestart: string[] = [];
  for (const { key, of, keep } of FIXED) {
    if (Bun.deepEquals(of(before), of(after), true)) continue;
    needsRestart.push(key);
    config = keep(config, before);
  }
  // Of the listeners that there are: others have their own warning already.
  for (const [key, stamp] of certificateStamps(config)) {
    if (certificates.get(key) !== stamp) needsRestart.push(key);
  }
  return { config, needsRestart };
}
