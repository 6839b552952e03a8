/** One HTTP/2 connection: what it may cost, and when it is closed. */
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Log } from "../log.ts";
import type { BodyPump } from "./body-pump.ts";
import { Http2Pushes } from "./http2-pushes.ts";

export interface ConnectionLimits {
  /** Milliseconds after which a connection without a stream is closed. */
  readonly idleMs: number;
  /** Milliseconds that an HTTP/1.1 connection has until its first request is there. */
  readonly requestMs: number;
  /** Milliseconds in which a client has to take one chunk of a body, or one push. */
  readonly stallMs: number;
  /** Streams that the client may reset before they are answered: at once, and more by the second. */
  readonly resets: { readonly burst: number; readonly perSecond: number };
}

/** nghttp2's figures for rapid reset (CVE-2023-44487); a browser that leaves a page stays far below. */
export const DEFAULT_LIMITS: ConnectionLimits = {
  idleMs: 60_000,
  requestMs: 10_000,
  stallMs: 60_000,
  resets: { burst: 1000, perSecond: 33 },
};

export class Http2Connection {
  readonly pushes: Http2Pushes;
  readonly bodies = new Set<BodyPump>();
  readonly #session: ServerHttp2Session;
  readonly #socket: Socket;
  readonly #limits: ConnectionLimits;
  readonly #log: Log;
  #streams = 0;
  #idle: Timer | null = null;
  #resets: number;
  #resetsAt = performance.now();
  /** A PING is out and not answered. */
  #pinging = false;

  /** Something was written in this turn. */
  #wrote = false;

  /** @param socket The one that `session` runs over; a session hides it. */
  constructor(session: ServerHttp2Session, socket: Socket, limits: ConnectionLimits, log: Log) {
    this.#session = session;
    this.#socket = socket;
    this.#limits = limits;
    this.#log = log;
    this.#resets = limits.resets.burst;
    this.pushes = new Http2Pushes(session, this.wrote, () => this.#streams);
    // What goes wrong on one connection is its client's doing; the session is destroyed by then.
    session.on("error", (error) => log.debug("http2 connection failed", { error }));
    session.once("close", () => this.#stopIdle());
    this.#startIdle();
  }

  /** A request came in on `stream`. */
  opened(stream: ServerHttp2Stream): void {
    this.#streams++;
    this.#stopIdle();
    stream.once("close", () => {
      if (--this.#streams === 0) this.#startIdle();
      if (stream.aborted) this.#countReset();
    });
  }

  /**
   * Something was written to a stream: it goes out when the turn ends.
   *
   * While flow control holds one stream back, Bun queues the DATA of all others too, and sends it when
   * the client next says something, which may be never. A drained socket makes it look at its queue.
   */
  readonly wrote = (): void => {
    if (this.#wrote) return;
    this.#wrote = true;
    setImmediate(() => {
      this.#wrote = false;
      if (!this.#session.destroyed && this.#isWriting()) this.#socket.emit("drain");
    });
  };

  /** Finishes what is under way, takes no new stream (GOAWAY, RFC 9113 §6.8), and closes. */
  close(): void {
    if (!this.#session.destroyed) this.#session.close();
  }

  destroy(): void {
    if (!this.#session.destroyed) this.#session.destroy();
  }

  /** Lets go of what stalls: bodies and pushes that are not taken, and peers that are gone silently. */
  sweep(now: number): void {
    if (this.#session.destroyed) return;
    const { stallMs } = this.#limits;
    for (const body of this.bodies) body.sweep(now, stallMs);
    this.pushes.sweep(now, stallMs);
    if (this.#streams === 0) return;
    if (this.#pinging) return this.destroy();
    this.#pinging = true;
    this.#session.ping(() => (this.#pinging = false));
  }

  #isWriting(): boolean {
    if (this.pushes.isWriting) return true;
    for (const body of this.bodies) if (body.isWriting) return true;
    return false;
  }

  #countReset(): void {
    const { burst, perSecond } = this.#limits.resets;
    const now = performance.now();
    this.#resets = Math.min(burst, this.#resets + ((now - this.#resetsAt) / 1000) * perSecond);
    this.#resetsAt = now;
    if (--this.#resets >= 0 || this.#session.destroyed) return;
    this.#log.warn("http2 client resets streams too often; its connection is closed");
    this.#session.destroy(
      new Error("too many streams were reset"),
      constants.NGHTTP2_ENHANCE_YOUR_CALM,
    );
  }

  #startIdle(): void {
    if (this.#session.destroyed) return;
    this.#idle = setTimeout(() => this.close(), this.#limits.idleMs);
    this.#idle.unref();
  }

  #stopIdle(): void {
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = null;
  }
}
