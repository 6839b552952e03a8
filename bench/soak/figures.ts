/** What is counted by way of receiving. */
import { Latency } from "../latency.ts";

const WAY_NAMES = [
  "websocket, raw",
  "websocket, tidewire.v1",
  "websocket, many",
  "sse",
  "sse, many",
  "long-poll, raw",
  "long-poll, envelope",
  "long-poll, many",
  "http2-push",
] as const;

export type WayName = (typeof WAY_NAMES)[number];

export class WayFigures {
  deliveries = 0;
  joins = 0;
  /** Joins that showed a position. */
  resumes = 0;
  /** Of those, with a position that another way gave. */
  crossed = 0;
  leaves = 0;
  kills = 0;
  pauses = 0;
  /** Ended by the server since the client was too slow. */
  slow = 0;
  gaps = 0;
  /** Gaps that had to be told: what was asked for is kept no longer. */
  gapsExpected = 0;
  open = 0;
  readonly latency = new Latency();
  maxMs = 0;

  /** A live message came; `ms` after it was sent. */
  late(ms: number): void {
    this.latency.add(ms);
    if (ms > this.maxMs) this.maxMs = ms;
  }
}

export class Figures {
  readonly ways = new Map<WayName, WayFigures>(WAY_NAMES.map((name) => [name, new WayFigures()]));
  /** Messages that were acknowledged. */
  published = 0;
  /** Publishes that were sent again with the same key. */
  retries = 0;
  /** Of those, that had been taken the first time. */
  replayed = 0;
  reloads = 0;
  /** Reloads that were refused, as they had to be. */
  refused = 0;
  rooms = 0;

  way(name: WayName): WayFigures {
    return this.ways.get(name)!;
  }

  sum(of: (way: WayFigures) => number): number {
    let sum = 0;
    for (const way of this.ways.values()) sum += of(way);
    return sum;
  }
}
