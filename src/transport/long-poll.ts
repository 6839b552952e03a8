/**
 * Long-poll: a request is answered with what comes after its position, or held until something does.
 *
 * Stateless: the position is in the request, so any node can answer the next one.
 */
import { Cursor, type Gap, type Step } from "../channel/cursor.ts";
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import { encodePage, ENVELOPE_TYPE } from "./envelope.ts";
import { RequestError } from "./errors.ts";
import { ManyPoll, PollCrowds } from "./long-poll-many.ts";
import { messageHeaders } from "./message-response.ts";
import { otherParameters, POLL_HEADERS, readLimit, readWait } from "./poll-query.ts";
import { spreadCalls } from "./spread.ts";
import type { Exchange, MergedExchange, MergingTransport, TransportOptions } from "./transport.ts";

/** How often polls that waited long enough are looked for, in milliseconds. */
const SWEEP_MS = 250;

/** A poll that may be held, of one channel or of many. */
interface HeldPoll {
  readonly deadline: number;
  readonly waitSeconds: number;
  answerNow(): MaybePromise<Response | null>;
  answerEmpty(retryMs?: number): Response;
  hold(onSettle: () => void): Promise<Response>;
  settle(response: Response | Promise<never>): void;
}

export class LongPollTransport implements MergingTransport {
  readonly name = "long-poll";
  readonly #options: TransportOptions;
  readonly #polls = new Set<HeldPoll>();
  readonly #crowds = new PollCrowds();
  #sweeper: Timer | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** Polls that wait now. */
  get held(): number {
    return this.#polls.size;
  }

  /** Whatever asks for no other transport. */
  matches(): boolean {
    return true;
  }

  serve(exchange: Exchange): MaybePromise<Response> {
    return this.#answer(new Poll(exchange, this.#options.bufferBytes), exchange);
  }

  serveMerged(exchange: MergedExchange): MaybePromise<Response> {
    return this.#answer(new ManyPoll(exchange, this.#crowds, this.#options.bufferBytes), exchange);
  }

  /** Answers or holds a poll; no promise is made but the one that is held, unless a log takes its time. */
  #answer(
    poll: HeldPoll,
    exchange: Pick<Exchange, "request" | "listener">,
  ): MaybePromise<Response> {
    const answer = poll.answerNow();
    if (answer instanceof Promise) {
      // Asked again when it is null: a batch that went out meanwhile is history by now.
      return answer.then((late) => late ?? this.#answer(poll, exchange));
    }
    if (answer) return answer;
    if (exchange.request.signal.aborted) return poll.answerEmpty();
    this.#checkRoom();
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    exchange.listener.hold(exchange.request, poll.waitSeconds + 10);
    this.#polls.add(poll);
    return poll.hold(() => this.#polls.delete(poll));
  }

  async shutdown(spreadMs: number): Promise<void> {
    if (this.#sweeper) clearInterval(this.#sweeper);
    await spreadCalls(this.#polls, spreadMs, (poll) => poll.settle(poll.answerEmpty(spreadMs)));
  }

  /** @throws {RequestError} 503 when no further poll may wait. */
  #checkRoom(): void {
    const { polls: limit } = this.#options.limits;
    if (this.#polls.size < limit) return;
    throw new RequestError(
      503,
      "too-many-polls",
      `${limit} long-polls wait on this server, its limit; try again later, or ask with wait=0`,
      { headers: { "retry-after": "5" } },
    );
  }

  #sweep(): void {
    const now = performance.now();
    for (const poll of this.#polls) {
      if (poll.deadline <= now) poll.settle(poll.answerEmpty());
    }
  }
}

/** Held polls of one channel with one framing. */
class PollGroup implements FanOutGroup {
  readonly members = new Set<Poll>();

  get size(): number {
    return this.members.size;
  }

  /** An envelope takes the batch whole, up to its limit: the fan-out bounds its bytes. */
  deliver(batch: readonly Message[]): void {
    const polls = [...this.members];
    this.members.clear();
    const made: Made = new Map();
    for (const poll of polls) poll.settle(poll.answerBatch(batch, made));
  }
}

/** A response's parts, which any number of responses may be made of. */
interface Answer {
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly headers: Headers;
}

/** Answers to one batch: polls that go on at the same URL share one. */
type Made = Map<string, Answer>;

class Poll implements HeldPoll {
  /** Where `performance.now()` stands when this poll has waited long enough. */
  readonly deadline: number;
  readonly waitSeconds: number;
  readonly #exchange: Exchange;
  readonly #isEnvelope: boolean;
  readonly #limit: number;
  readonly #pageBytes: number;
  readonly #cursor: Cursor;
  /** URL of the next poll, up to the position. */
  readonly #nextUrl: string;
  #gap: Gap | null = null;
  #group: PollGroup | null = null;
  #resolve: ((response: Response | Promise<never>) => void) | null = null;
  #onSettle: (() => void) | null = null;

  constructor(exchange: Exchange, pageBytes: number) {
    const { query, channel, request, start, path } = exchange;
    this.#exchange = exchange;
    const accept = request.headers.get("accept")?.toLowerCase();
    this.#isEnvelope = accept?.includes(ENVELOPE_TYPE) ?? false;
    this.#limit = this.#isEnvelope ? readLimit(query) : 1;
    this.#pageBytes = pageBytes;
    this.waitSeconds = readWait(query);
    this.deadline = performance.now() + this.waitSeconds * 1000;
    this.#nextUrl = `${path}?${otherParameters(query)}after=`;
    this.#cursor = new Cursor(channel, start);
  }

  /** The answer, when something waits already, or when the client does not want to wait. */
  answerNow(): MaybePromise<Response | null> {
    while (!this.#cursor.isLevel) {
      const step = this.#cursor.read({ count: this.#limit, bytes: this.#pageBytes });
      if (step instanceof Promise) return step.then((late) => this.#take(late));
      const answer = this.#take(step);
      if (answer) return answer;
    }
    // An envelope can tell of a gap by itself; raw framing tells of it with the next message.
    if (this.#isEnvelope && this.#gap) return this.answerBatch([]);
    return this.waitSeconds === 0 ? this.answerEmpty() : null;
  }

  #take({ gap, messages }: Step): Response | null {
    // Two gaps in one poll are one: from where the first began to where the last ends.
    if (gap) this.#gap = { after: this.#gap?.after ?? gap.after, id: gap.id };
    return messages.length > 0 ? this.answerBatch(messages) : null;
  }

  /** Joins the polls that the next batch answers. MUST be called while the poll is level. */
  hold(onSettle: () => void): Promise<Response> {
    const { channel, request, subscriber } = this.#exchange;
    const key = this.#isEnvelope ? "long-poll/envelope" : "long-poll/raw";
    this.#group = channel.fanOut.group(key, () => new PollGroup());
    this.#group.members.add(this);
    this.#onSettle = onSettle;
    subscriber.connect({
      // A poll holds no connection of its own: there is nobody to send to between two polls.
      send: () => {},
      close: () => this.settle(this.answerEmpty()),
      gone: (reason) => this.settle(Promise.reject(new RequestError(410, "channel-gone", reason))),
    });
    request.signal.addEventListener("abort", () => this.settle(this.answerEmpty()));
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  settle(response: Response | Promise<never>): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    this.#group?.members.delete(this);
    this.#onSettle?.();
    this.#exchange.subscriber.disconnect();
    resolve(response);
  }

  /** @param made Answers to the same batch that were made for others: encoded once for all of them. */
  answerBatch(batch: readonly Message[], made?: Made): Response {
    const key = `${this.#limit} ${this.#nextUrl}`;
    // A gap is this client's own.
    const shared = this.#gap === null ? made : undefined;
    let answer = shared?.get(key);
    if (!answer) {
      answer = this.#isEnvelope ? this.#envelope(batch) : this.#raw(batch[0]!);
      shared?.set(key, answer);
    }
    return new Response(answer.body, answer);
  }

  /** 204: nothing came. @param retryMs When the server stops: how long to stay away at most. */
  answerEmpty(retryMs = 0): Response {
    const headers = this.#headers(this.#cursor.position);
    if (retryMs > 0) headers["retry-after"] = String(Math.ceil((Math.random() * retryMs) / 1000));
    return new Response(null, { status: 204, headers });
  }

  #raw(message: Message): Answer {
    return {
      body: message.bytes as Uint8Array<ArrayBuffer>,
      headers: new Headers({
        ...messageHeaders(message, POLL_HEADERS["cache-control"]),
        ...this.#headers(message.id),
      }),
    };
  }

  #envelope(batch: readonly Message[]): Answer {
    const taken = batch.slice(0, this.#limit);
    const next = taken[taken.length - 1]?.id ?? this.#cursor.position;
    return {
      body: encodePage(taken, next, this.#gap !== null),
      headers: new Headers({
        "content-type": ENVELOPE_TYPE,
        etag: `"${next}"`,
        ...this.#headers(next),
      }),
    };
  }

  #headers(position: string): Record<string, string> {
    const headers: Record<string, string> = {
      ...POLL_HEADERS,
      link: `<${this.#nextUrl}${position}>; rel="next"`,
    };
    if (this.#gap) headers["tidewire-gap"] = `after="${this.#gap.after}", id="${this.#gap.id}"`;
    return headers;
  }
}
