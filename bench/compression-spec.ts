/** What the bench of compression tells its load process, and what that one answers. Both are JSON. */
export type CompressedTransport = "sse" | "long-poll" | "websocket";

/** `none` is what every transport has; permessage-deflate is `deflate`. */
export type WireCoding = "none" | "gzip" | "zstd" | "deflate";

export const CODINGS: Readonly<Record<CompressedTransport, readonly WireCoding[]>> = {
  sse: ["none", "gzip", "zstd"],
  "long-poll": ["none", "gzip", "zstd"],
  websocket: ["none", "deflate"],
};

export interface CompressionLoad {
  readonly transport: CompressedTransport;
  readonly coding: WireCoding;
  readonly port: number;
  /** The server's process, whose CPU is read. */
  readonly pid: number;
  readonly subscribers: number;
  /** Messages of one batch, and bytes of one message. */
  readonly messages: number;
  readonly messageBytes: number;
  readonly batches: number;
  /** Batches a second. */
  readonly rate: number;
}

export interface CompressionResult {
  /** Bytes that one subscriber was sent for one batch, the framing of HTTP or WebSocket included. */
  readonly wireBytes: number;
  /** CPU time of the server for one batch and subscriber; publishing is in it. */
  readonly cpuUs: number;
  /** Messages that the sample, which is decoded, got; of how many. */
  readonly decoded: number;
  readonly published: number;
  /** Subscribers that got another number of bytes than the sample, where all get the same. */
  readonly uneven: number;
}
