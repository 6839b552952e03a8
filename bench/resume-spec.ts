/** What bench/resume.ts tells its load processes, and what they answer. All of it is JSON. */
import type { Transport } from "./spec.ts";

export const RESUME_TRANSPORTS = ["websocket", "websocket-v1", "sse", "long-poll"] as const;
export type ResumeTransport = (typeof RESUME_TRANSPORTS)[number];

export const PAYLOAD_BYTES = 128;
export const RUSH = "/channels/rush";
export const STEADY = "/channels/steady";

/** What this process is told to do, one thing after the other; it answers each with a value. */
export type Order =
  | {
      do: "level";
      transport: Transport;
      port: number;
      clients: number;
      connections: number;
      sent: [number, number];
    }
  | { do: "publish"; count: number }
  | { do: "pace"; rate: number; live: number }
  | { do: "count" }
  | { do: "rest" }
  | { do: "clients"; transport: ResumeTransport; port: number; count: number; atOnce: number }
  | { do: "reach"; target: number }
  | { do: "cut" }
  | { do: "resume"; epoch: string; target: number; from: number; spread: number; atOnce: number };

/** How it went for the clients that were level all the time. */
export interface Level {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  readonly deliveries: number;
  readonly lost: number;
  readonly repeated: number;
  /** Messages sent so far on either channel. */
  readonly sent: [number, number];
  readonly error: string | null;
}

/** What came of one rush. */
export interface Rush {
  /** From the first connection's start until so many clients had all that they had missed. */
  readonly halfMs: number;
  readonly levelMs: number;
  /** Until every connection was answered. */
  readonly answeredMs: number;
}
