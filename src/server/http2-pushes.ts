/** The pushes of one HTTP/2 connection: as many at once as the client allows, the others in order. */
import {
  constants,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { PushError } from "../transport/push-error.ts";
import type { PushPort } from "../transport/transport.ts";
import { resetStream } from "./http2-reset.ts";

/**
 * Pushed streams open at once, whatever the client would take: each costs some kilobytes until its data
 * is out, and a client that stalls could have any number of them.
 */
const MAX_OPEN = 100;

interface Push {
  readonly parent: ServerHttp2Stream;
  readonly request: OutgoingHttpHeaders;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly done: (error: Error | null) => void;
}

export class Http2Pushes {
  readonly #session: ServerHttp2Session;
  readonly #onWrite: () => void;
  /** Pushed streams that are open, and where `performance.now()` stood when each was promised. */
  readonly #open = new Map<ServerHttp2Stream, number>();
  #opening = 0;
  #waiting: Push[] = [];

  /** @param onWrite Called when a pushed response was written. */
  constructor(session: ServerHttp2Session, onWrite: () => void) {
    this.#session = session;
    this.#onWrite = onWrite;
    session.on("remoteSettings", () => this.#advance());
  }

  /** A push would be promised at once. */
  get hasRoom(): boolean {
    return this.#waiting.length === 0 && this.#openCount < this.#limit;
  }

  /** Pushed streams that are open. */
  get open(): number {
    return this.#open.size;
  }

  /** Pushes on `parent`, or null when the client takes none. */
  port(parent: ServerHttp2Stream, origin: { scheme: string; authority: string }): PushPort | null {
    if (!parent.pushAllowed) return null;
    // What waits must not outlive its request: a promise needs an open stream to be made on.
    parent.once("close", () => this.#drop(parent));
    const pushes = this;
    return {
      connection: this.#session,
      get hasRoom() {
        return pushes.hasRoom;
      },
      push: (path, headers, body, done) => {
        const request = {
          ":method": "GET",
          ":path": path,
          ":scheme": origin.scheme,
          ":authority": origin.authority,
        };
        this.#waiting.push({ parent, request, headers, body, done });
        this.#advance();
      },
    };
  }

  /** Resets pushed streams that the client has not taken for `stallMs`. */
  sweep(now: number, stallMs: number): void {
    for (const [stream, since] of this.#open) {
      if (now - since > stallMs) resetStream(stream, constants.NGHTTP2_CANCEL);
    }
  }

  get #openCount(): number {
    return this.#open.size + this.#opening;
  }

  get #limit(): number {
    if (this.#session.destroyed) return 0;
    return Math.min(MAX_OPEN, this.#session.remoteSettings.maxConcurrentStreams ?? MAX_OPEN);
  }

  #advance(): void {
    let sent = 0;
    const limit = this.#limit;
    while (sent < this.#waiting.length && this.#openCount < limit)
      this.#promise(this.#waiting[sent++]!);
    if (sent > 0) this.#waiting = sent === this.#waiting.length ? [] : this.#waiting.slice(sent);
  }

  #promise(push: Push): void {
    const fail = (error: Error) => push.done(new PushError(false, `no push: ${error.message}`));
    if (!push.parent.pushAllowed) {
      const reason = new Error("its stream closed, or the client switched pushes off");
      return queueMicrotask(() => fail(reason));
    }
    this.#opening++;
    try {
      push.parent.pushStream(push.request, (error, stream) => {
        this.#opening--;
        if (error) {
          fail(error);
          this.#advance();
        } else {
          this.#respond(stream, push);
        }
      });
    } catch (error) {
      this.#opening--;
      queueMicrotask(() => fail(error as Error));
    }
  }

  #respond(stream: ServerHttp2Stream, { headers, body, done }: Push): void {
    const settle = () => {
      this.#open.delete(stream);
      const isOut = stream.writableFinished && stream.rstCode === constants.NGHTTP2_NO_ERROR;
      done(isOut ? null : new PushError(true, `the pushed stream was reset (${stream.rstCode})`));
      this.#advance();
    };
    // A client may refuse any push (RFC 9113 §8.4.2): no error of ours.
    stream.on("error", () => {});
    if (stream.destroyed) return settle();
    this.#open.set(stream, performance.now());
    stream.once("close", settle);
    try {
      stream.respond(headers, { endStream: body.byteLength === 0 });
      if (body.byteLength > 0) stream.end(body);
      this.#onWrite();
    } catch {
      stream.destroy();
    }
  }

  #drop(parent: ServerHttp2Stream): void {
    const dropped = this.#waiting.filter((push) => push.parent === parent);
    if (dropped.length === 0) return;
    this.#waiting = this.#waiting.filter((push) => push.parent !== parent);
    for (const { done } of dropped) done(new PushError(false, "no push: its stream closed"));
  }
}
