/** The content codings of a server, as its config has them now. */
import { chooseCoding, type CodingName } from "./accept-encoding.ts";
import type { BodyCoding, CodingLimits, StreamCoding } from "./coding.ts";
import { GzipStreamCoding, gzipBody } from "./gzip.ts";
import { identity } from "./identity.ts";
import { ZstdStreamCoding, zstdBody } from "./zstd.ts";

/** Looked at when it is needed: a reload changes it in place. */
export interface Compression extends CodingLimits {
  /** What is offered over HTTP, the best for a body first. */
  readonly http: readonly CodingName[];
  /** WebSocket frames of `minBytes` or more are compressed for clients that can (RFC 7692). */
  readonly websocket: boolean;
}

/**
 * What streams are offered in, the best first, whatever the config prefers for bodies. A zstd stream has many
 * frames, as RFC 8878 §3.1 allows, and not a few clients silently read the first one alone: older ones of
 * reqwest, .NET and Node. All who take zstd take gzip too, which is as small and as cheap.
 */
const STREAM_ORDER: readonly CodingName[] = ["gzip", "zstd"];

const BODIES: Readonly<Record<CodingName, BodyCoding>> = { zstd: zstdBody, gzip: gzipBody };

export class Codings {
  static readonly none = new Codings({ http: [], websocket: false, minBytes: 0 });

  readonly #compression: Compression;
  readonly #streams: Readonly<Record<CodingName, StreamCoding>>;
  readonly #chooseBody = remembering((http) => http);
  readonly #chooseStream = remembering((http) => STREAM_ORDER.filter((one) => http.includes(one)));

  constructor(compression: Compression) {
    this.#compression = compression;
    this.#streams = {
      zstd: new ZstdStreamCoding(compression),
      gzip: new GzipStreamCoding(compression),
    };
  }

  /** Bytes from which a body is compressed. */
  get minBytes(): number {
    return this.#compression.minBytes;
  }

  /** Bytes from which a WebSocket frame is compressed. */
  get minFrameBytes(): number {
    const { websocket, minBytes } = this.#compression;
    return websocket ? minBytes : Infinity;
  }

  /** How a body for this request is encoded; null for as it is. */
  body(request: Request): BodyCoding | null {
    const name = this.#chooseBody(request, this.#compression.http);
    return name && BODIES[name];
  }

  /** How an event stream for this request is encoded. */
  stream(request: Request): StreamCoding {
    const name = this.#chooseStream(request, this.#compression.http);
    return name === null ? identity : this.#streams[name];
  }
}

/** Chooses, and remembers the field that it looked at last: most clients send one of two or three. */
function remembering(order: (http: readonly CodingName[]) => readonly CodingName[]) {
  let lastHeader: string | null = null;
  let lastHttp: readonly CodingName[] = [];
  let name: CodingName | null = null;
  return (request: Request, http: readonly CodingName[]): CodingName | null => {
    if (http.length === 0) return null;
    const header = request.headers.get("accept-encoding");
    if (header === lastHeader && http === lastHttp) return name;
    lastHeader = header;
    lastHttp = http;
    return (name = chooseCoding(header, order(http)));
  };
}
