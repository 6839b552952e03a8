/** What the bench tells its load process, and what that one answers. Both are JSON. */
export const TRANSPORTS = ["websocket", "sse", "long-poll", "http2-push"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** Where requests go; always on 127.0.0.1. */
export interface Endpoint {
  readonly port: number;
  readonly path: string;
  /** Bytes that a subscriber sends when its request was answered. */
  readonly first?: readonly number[];
}

export interface LoadSpec {
  readonly mode: "fan-out" | "idle";
  readonly transport: Transport;
  /** The server's process, whose CPU and memory are read. */
  readonly pid: number;
  readonly subscribe: Endpoint;
  readonly publish: Endpoint;
  readonly subscribers: number;
  /** Bytes of one message's data. */
  readonly payloadBytes: number;
  /** Messages a second while CPU and latency are measured. */
  readonly rate: number;
  readonly seconds: number;
  /** Paced publishing before anything counts, in which both sides compile what they run. */
  readonly warmUpSeconds: number;
  /** How long nothing may come before what is missing counts as lost. */
  readonly quietMs: number;
  /** Connections that publish as fast as they are answered, when the server is saturated. */
  readonly publishers: number;
  /** Publishes that one such connection has under way at a time (HTTP/1.1 pipelining). */
  readonly pipeline: number;
  /** Messages by which the subscribers, on average, may be behind before publishing pauses. */
  readonly window: number;
}

/** One stretch of publishing, after everything that will come has come. */
export interface Phase {
  readonly published: number;
  readonly publishErrors: number;
  readonly deliveries: number;
  /** Deliveries that never came: published × subscribers − deliveries. */
  readonly lost: number;
  /** Messages that a subscriber got again, or after a later one. */
  readonly repeated: number;
  /** Subscribers whose connection the server closed. */
  readonly closed: number;
  /** From the first publish to the last delivery. */
  readonly seconds: number;
  readonly serverCpuSeconds: number;
  readonly loadCpuSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface FanOutResult {
  readonly paced: Phase;
  readonly saturated: Phase;
}

export interface IdleResult {
  readonly connections: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Connections that got a message published after the measurement: those that truly subscribed. */
  readonly reached: number;
}
