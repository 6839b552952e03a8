/** One bad request: the bytes, where they go, and what becomes of the connection. */

import type { Random } from "./random.ts";

export type ListenerName = "public" | "control" | "push";

export interface Case {
  /** The kind of mistake, for the report. */
  readonly kind: string;
  readonly listener: ListenerName;
  readonly bytes: Buffer;
  /**
   * `half`: the client ends its side when nothing more comes, and the server has to end the other.
   * `vanish`: the client is gone at once.
   */
  readonly then: "half" | "vanish";
  /** Bytes that are sent once the server has answered with 101. */
  readonly frames?: Buffer;
}

/** A request of these header lines (latin1) and this body (UTF-8). */
export function request(head: readonly string[], body: string | Buffer = ""): Buffer {
  return Buffer.concat([
    Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"),
    typeof body === "string" ? Buffer.from(body) : body,
  ]);
}

/** Makes one case; it goes to the public listener unless it says otherwise. */
export type Generator = (random: Random) => Omit<Case, "listener"> & { listener?: ListenerName };

export const HOST = "Host: localhost";
export const PATHS = [
  "/channels/check",
  "/channels/closed",
  "/channels/strict",
  "/channels/stream",
  "/channels/room/a",
  "/channels/room/b%2Fc",
  "/channels/check/messages",
  "/channels/check/messages/abc-1",
  "/channels",
  "/nothing",
  "/",
];
export const CONTROL_PATHS = [
  "/publish",
  "/channels",
  "/channels/check",
  "/healthz",
  "/readyz",
  "/",
];
