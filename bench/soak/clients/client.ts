/** What every way to receive gives the soak: callbacks, no promise and no queue for a message. */
import type { Numbered } from "../data.ts";
import type { WayName } from "../figures.ts";

export interface Sink {
  /** The subscription of this channel stands: what is published from here on comes. */
  stands(channel: string): void;
  /** @param id null where the framing has none. */
  message(channel: string, id: string | null, data: Numbered): void;
  gap(channel: string, after: string, id: string): void;
  /** Where it is, told without a message. */
  at(channel: string, id: string): void;
  /** Where it is in all of its channels. */
  cursor(text: string): void;
  /** A channel that it unsubscribed from brings nothing more. */
  left(): void;
  /** The server took the channel away. */
  gone(channel: string): void;
  /** It ended, otherwise than by `leave` or `kill`: `slow`, `gap`, or what was not awaited. */
  end(why: string): void;
}

/** Where a channel starts: a query such as `after=e-4` or `last=3`; empty for live. */
export interface Start {
  readonly channel: string;
  readonly query: string;
}

export interface Target {
  readonly publicUrl: string;
  readonly pushUrl: string;
  /** One, or several for a way that carries many. */
  readonly starts: readonly Start[];
  /** In place of their queries, for a way that has cursors. */
  readonly cursor: string | null;
}

export interface SoakClient {
  /** Goes as the protocol wants it. */
  leave(): void;
  /** Breaks off. */
  kill(): void;
  /** Stops reading. */
  pause(): void;
  resume(): void;
  /** Takes one more channel, where the way can. */
  subscribe?(start: Start): void;
  unsubscribe?(channel: string): void;
}

export interface Way {
  readonly name: WayName;
  readonly isMany: boolean;
  /** Whether messages carry their position. */
  readonly hasIds: boolean;
  open(target: Target, sink: Sink): SoakClient;
}

/** The path of one channel with its start. */
export function channelPath({ channel, query }: Start, parameters = ""): string {
  return `/channels/${channel}?${[query, parameters].filter(Boolean).join("&")}`;
}

/** The path of many channels, with an `after` for each unless there is a cursor. */
export function manyPath({ starts, cursor }: Target, parameters = ""): string {
  const names = starts.map(({ channel }) => `channel=${channel}`);
  const queries = starts.map(({ query }) => query);
  const isPositions = queries.some((query) => query.includes("-"));
  // A word is for all of them; positions are one for each, in order.
  const start =
    cursor !== null
      ? [`after=${cursor}`]
      : isPositions
        ? queries.map((query) => (query.includes("-") ? query : "after="))
        : queries.slice(0, 1);
  return `/channels?${[...names, ...start, parameters].filter(Boolean).join("&")}`;
}
