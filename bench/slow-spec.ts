/** What the bench of slow subscribers tells its load process, and what that one answers. Both are JSON. */
import type { Told } from "./slow-told.ts";
import type { Transport } from "./spec.ts";

export const SLOW_KINDS = ["sse", "tidewire.v1", "raw", "http2-push", "long-poll"] as const;
export type SlowKind = (typeof SLOW_KINDS)[number];

/** The transport that is measured beside them by clients that read. */
export const TRANSPORT_OF: Readonly<Record<SlowKind, Transport>> = {
  sse: "sse",
  "tidewire.v1": "websocket",
  raw: "websocket",
  "http2-push": "http2-push",
  "long-poll": "long-poll",
};

export const POLICIES = ["disconnect", "drop-oldest", "latest"] as const;

export interface SlowSpec {
  readonly kind: SlowKind;
  /** The server's process, whose memory is read. */
  readonly pid: number;
  readonly port: number;
  readonly pushPort: number;
  readonly controlPort: number;
  readonly channel: string;
  readonly stalled: number;
  readonly healthy: number;
  /** Messages a second. */
  readonly rate: number;
  readonly payloadBytes: number;
  readonly keys: number;
  readonly seconds: number;
}

/** The latency of the healthy subscribers in one stretch, milliseconds. */
export interface Stretch {
  readonly published: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface SlowResult {
  readonly alone: Stretch;
  /** While the stalled ones fill up. */
  readonly filling: Stretch;
  /** When all of them lag, or are disconnected. */
  readonly stalled: Stretch;
  /** When all of them read on at once. */
  readonly goingOn: Stretch;
  readonly bytesBefore: number;
  readonly bytesPeak: number;
  readonly bytesAfter: number;
  /** Stalled clients that lagged, and that were disconnected, before they read on. */
  readonly lagged: number;
  readonly disconnected: number;
  /** Messages that the server counts as dropped. */
  readonly dropped: number;
  /** Healthy ones whose connection was closed, or that lost or repeated a message. */
  readonly harmed: number;
  readonly told: readonly Told[];
}
