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

/**
 * Promises in a row, before the first of them is responded to. Node's client takes 200
 * (`maxReservedRemoteStreams`) and resets the others without a word to its program. One at a time would
 * cost a write each, where Bun gathers what is written to one connection in a row.
 */
const MAX_PROMISING = 64;

/**
 * Pushed streams that the client may not have read to their end.
 *
 * One that has not read for a while gets all at once what the sockets between kept, whose streams have
 * ended here long ago: Bun's takes 200 of them (`maxReservedRemoteStreams`) and resets the others without
 * a word to its program, or to us.
 */
const MAX_UNREAD = 128;

/**
 * Who takes fewer streams at once may have none to spare when a push is promised, and reset it when the push
 * has long ended here, which nobody would be told of. There a push ends when the client has answered for its
 * promise: by the second PING, since nghttp2 answers the first before it sends the reset.
 */
const FEW = 64;

/** Where a pushed stream would have the time that it was promised at: it was cut off. */
const CUT_OFF = -1;

/** Pushes that were sent and are still in the queue, over which it is made anew. */
const MANY_SENT = 256;

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
  readonly #clientStreams: () => number;
  /** Pushed streams that are open, and where `performance.now()` stood when each was promised. */
  readonly #open = new Map<ServerHttp2Stream, number>();
  #waiting: Push[] = [];
  /** What comes before this index of those that wait was promised. */
  #head = 0;
  /** Streams that are promised and not yet responded to. */
  #promising = 0;
  #promised = 0;
  #closed = 0;
  /** How many of those that closed the client has read to their end, as its answers to PING tell. */
  #read = 0;
  #isPinging = false;
  /** Streams that the client takes at once (SETTINGS_MAX_CONCURRENT_STREAMS). */
  #most = Infinity;
  /** Pushed streams whose data is out, and that end when two PINGs after it were answered. */
  #unended: ServerHttp2Stream[] = [];
  /** Those of which one was. */
  #answered: ServerHttp2Stream[] = [];

  /**
   * @param onWrite Called when a pushed response was written.
   * @param clientStreams Streams that the client has open by its requests.
   */
  constructor(session: ServerHttp2Session, onWrite: () => void, clientStreams: () => number) {
    this.#session = session;
    this.#onWrite = onWrite;
    this.#clientStreams = clientStreams;
    session.on("remoteSettings", ({ maxConcurrentStreams }) => {
      this.#most = maxConcurrentStreams ?? Infinity;
      this.#advance();
    });
  }

  /** A push would be promised at once. */
  get hasRoom(): boolean {
    return this.#head === this.#waiting.length && this.#mayPromise;
  }

  /** A response is out that the client has not taken yet: flow control, or the socket, holds it back. */
  get isWriting(): boolean {
    for (const stream of this.#open.keys()) if (!stream.writableFinished) return true;
    return false;
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
      if (since === CUT_OFF || now - since <= stallMs) continue;
      this.#open.set(stream, CUT_OFF);
      resetStream(stream, constants.NGHTTP2_CANCEL);
    }
  }

  get #mayPromise(): boolean {
    if (this.#promising >= MAX_PROMISING || this.#session.destroyed) return false;
    if (this.#open.size + this.#promising >= MAX_OPEN) return false;
    return this.#promised + this.#promising - this.#read < this.#maxUnread;
  }

  /**
   * Node's client takes its own streams for some of those that it allows, and each until its program has
   * read it: it resets what is promised beyond without a word to the program.
   */
  get #maxUnread(): number {
    const most = this.#most;
    if (most >= 2 * MAX_UNREAD) return MAX_UNREAD;
    return Math.min(most, MAX_UNREAD, Math.max(1, most - this.#clientStreams()));
  }

  #advance(): void {
    while (this.#head < this.#waiting.length && this.#mayPromise) {
      this.#promise(this.#waiting[this.#head++]!);
    }
    if (this.#head === this.#waiting.length || this.#head > MANY_SENT) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    this.#ask();
  }

  #promise(push: Push): void {
    const fail = (error: Error) => push.done(new PushError(false, `no push: ${error.message}`));
    if (!push.parent.pushAllowed) {
      const reason = new Error("its stream closed, or the client switched pushes off");
      return queueMicrotask(() => fail(reason));
    }
    this.#promising++;
    try {
      push.parent.pushStream(push.request, (error, stream) => {
        this.#promising--;
        if (error) {
          fail(error);
        } else {
          this.#promised++;
          this.#respond(stream, push);
        }
        this.#advance();
      });
    } catch (error) {
      this.#promising--;
      queueMicrotask(() => fail(error as Error));
    }
  }

  #respond(stream: ServerHttp2Stream, { headers, body, done }: Push): void {
    const settle = () => {
      const isCutOff = this.#open.get(stream) === CUT_OFF;
      this.#open.delete(stream);
      this.#closed++;
      const isReset = stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR;
      const isOut = stream.writableFinished && !isReset;
      done(isOut ? null : new PushError(true, isCutOff ? NOT_TAKEN : refusal(stream.rstCode)));
      this.#advance();
    };
    // A client may refuse any push (RFC 9113 §8.4.2): no error of ours.
    stream.on("error", ignore);
    if (stream.destroyed) return settle();
    this.#open.set(stream, performance.now());
    // Not `once`, which makes another function for each: a stream closes once.
    stream.on("close", settle);
    try {
      const isLate = this.#most < FEW;
      stream.respond(headers, { endStream: body.byteLength === 0 && !isLate });
      if (isLate) this.#endLate(stream, body);
      else if (body.byteLength > 0) stream.end(body);
      this.#onWrite();
    } catch {
      stream.destroy();
    }
  }

  /** A stream that has ended here would not tell of its reset. */
  #endLate(stream: ServerHttp2Stream, body: Uint8Array): void {
    if (body.byteLength > 0) stream.write(body);
    this.#unended.push(stream);
  }

  /** Asks the client how far it has read, by a PING, which it answers in its turn: in time, or none would wait. */
  #ask(): void {
    if (this.#isPinging) return;
    const unread = this.#closed - this.#read;
    const isLate = this.#unended.length > 0 || this.#answered.length > 0;
    if (unread === 0 && !isLate) return;
    const isBlocked = this.#head < this.#waiting.length && this.#promising === 0;
    if (!isBlocked && !isLate && unread * 2 < this.#maxUnread) return;
    if (this.#session.destroyed) return;
    this.#isPinging = true;
    const closed = this.#closed;
    const unended = this.#unended;
    this.#unended = [];
    this.#session.ping((error) => {
      this.#isPinging = false;
      if (error) return;
      this.#read = closed;
      for (const stream of this.#answered) stream.end();
      if (this.#answered.length > 0) this.#onWrite();
      this.#answered = unended;
      this.#advance();
    });
  }

  #drop(parent: ServerHttp2Stream): void {
    const waiting = this.#waiting.slice(this.#head);
    const dropped = waiting.filter((push) => push.parent === parent);
    if (dropped.length === 0) return;
    this.#waiting = waiting.filter((push) => push.parent !== parent);
    this.#head = 0;
    for (const { done } of dropped) done(new PushError(false, "no push: its stream closed"));
  }
}

const NOT_TAKEN = "the client did not take the push in time";

/** Libraries do it too, unasked: when too many streams are promised, or take too much memory. */
function refusal(code: number): string {
  return `the client reset the push (code ${code})`;
}

function ignore(): void {}
