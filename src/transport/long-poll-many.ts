/**
 * Long-poll of many channels: one page of all that waits in any of them, or the next batch of one.
 *
 * Always an envelope, for raw data could not say its channel. Stateless as a single channel's is: the cursor
 * is in the request.
 */
import type { Gap } from "../channel/cursor.ts";
import { Lane } from "../channel/lane.ts";
import type { MaybePromise } from "../channel/log.ts";
import { Merge, type MergeStep } from "../channel/merge.ts";
import type { Message } from "../channel/message.ts";
import { Crowds, type Crowd } from "./crowd.ts";
import { formatCursor } from "./cursor-text.ts";
import { encodeManyPage, ENVELOPE_TYPE } from "./envelope.ts";
import { RequestError } from "./errors.ts";
import { otherParameters, POLL_HEADERS, readLimit, readWait } from "./poll-query.ts";
import type { MergedExchange, Subscriber } from "./transport.ts";

/** A response's parts, which any number of responses may be made of. */
interface Answer {
  readonly body: string;
  readonly headers: Headers;
}

/** Held polls of the same channels. Those that go on at the same URL share one answer. */
export class PollCrowds extends Crowds<ManyPoll> {
  constructor() {
    super("long-poll-many", (members, batch, cursorAfter) => {
      const made = new Map<string, Answer>();
      for (const poll of [...members]) poll.settle(poll.answerBatch(batch, cursorAfter, made));
    });
  }
}

export class ManyPoll {
  /** Where `performance.now()` stands when this poll has waited long enough. */
  readonly deadline: number;
  readonly waitSeconds: number;
  readonly #exchange: MergedExchange;
  readonly #crowds: PollCrowds;
  readonly #limit: number;
  readonly #pageBytes: number;
  /** By the channel's name, sorted. */
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #merge: Merge;
  /** URL of the next poll, up to the cursor. */
  readonly #nextUrl: string;
  readonly #connected: Subscriber[] = [];
  #crowd: Crowd<ManyPoll> | null = null;
  #resolve: ((response: Response | Promise<never>) => void) | null = null;
  #onSettle: (() => void) | null = null;

  constructor(exchange: MergedExchange, crowds: PollCrowds, pageBytes: number) {
    const { query, path, accesses, startOf } = exchange;
    this.#exchange = exchange;
    this.#crowds = crowds;
    this.#limit = readLimit(query);
    this.#pageBytes = pageBytes;
    this.waitSeconds = readWait(query);
    this.deadline = performance.now() + this.waitSeconds * 1000;
    this.#nextUrl = `${path}?${otherParameters(query)}after=`;
    const lanes = accesses.map(({ channel }) => new Lane(channel, startOf(channel.name, channel)));
    this.#lanes = new Map(lanes.map((lane) => [lane.name, lane]));
    this.#merge = new Merge(lanes, this.#limit);
  }

  /** The answer, when something waits already, or when the client does not want to wait. */
  answerNow(): MaybePromise<Response | null> {
    while (!this.#merge.isLevel) {
      const step = this.#merge.read({ count: this.#limit, bytes: this.#pageBytes });
      if (step instanceof Promise) return step.then((late) => this.#answerStep(late));
      const answer = this.#answerStep(step);
      if (answer) return answer;
    }
    return this.waitSeconds === 0 ? this.answerEmpty() : null;
  }

  /** Joins the polls that the next batch answers. MUST be called while the poll is level. */
  hold(onSettle: () => void): Promise<Response> {
    const { accesses, request, connection } = this.#exchange;
    this.#onSettle = onSettle;
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.#resolve = resolve;
    const channels = accesses.map(({ channel }) => channel);
    this.#crowd = this.#crowds.join(this, channels);
    connection.connect();
    for (const { subscriber, channel } of accesses) {
      // A channel that went on its way here answers it at once.
      if (this.#resolve === null) break;
      this.#connected.push(subscriber);
      subscriber.connect({
        // A poll holds no connection of its own: there is nobody to send to between two polls.
        send: () => {},
        close: () => this.settle(this.answerEmpty()),
        gone: (reason) => this.settle(Promise.reject(goneError(channel.name, reason))),
      });
    }
    request.signal.addEventListener("abort", () => this.settle(this.answerEmpty()));
    return promise;
  }

  settle(response: Response | Promise<never>): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    this.#crowd?.leave(this);
    this.#onSettle?.();
    for (const subscriber of this.#connected) subscriber.disconnect();
    this.#exchange.connection.disconnect();
    resolve(response as Response);
  }

  /** @param made Answers to the same batch that were made for others: encoded once for all of them. */
  answerBatch(
    batch: readonly Message[],
    cursorAfter: (message: Message) => string,
    made: Map<string, Answer>,
  ): Response {
    const key = `${this.#limit} ${this.#nextUrl}`;
    let answer = made.get(key);
    if (!answer) {
      const taken = batch.slice(0, this.#limit);
      answer = this.#page(taken, [], cursorAfter(taken[taken.length - 1]!));
      made.set(key, answer);
    }
    return new Response(answer.body, answer);
  }

  /** 204: nothing came. @param retryMs When the server stops: how long to stay away at most. */
  answerEmpty(retryMs = 0): Response {
    const headers = new Headers(this.#headers(this.#crowd?.cursor ?? this.#cursor()));
    if (retryMs > 0) {
      headers.set("retry-after", String(Math.ceil((Math.random() * retryMs) / 1000)));
    }
    return new Response(null, { status: 204, headers });
  }

  /** Null when the step gave nothing. */
  #answerStep({ gaps, messages }: MergeStep): Response | null {
    if (gaps.length === 0 && messages.length === 0) return null;
    for (const { lane, gap } of gaps) lane.gave(gap);
    for (const message of messages) this.#lanes.get(message.channel)!.gave(message);
    const told = gaps.map(({ lane, gap }) => ({ channel: lane.name, ...gap }));
    const { body, headers } = this.#page(messages, told, this.#cursor());
    return new Response(body, { headers });
  }

  /** Where the client is with all that it was given. */
  #cursor(): string {
    const lanes = [...this.#lanes.values()];
    for (const lane of lanes) if (lane.isLevel) lane.settle();
    return formatCursor(lanes);
  }

  #page(
    messages: readonly Message[],
    gaps: readonly (Gap & { channel: string })[],
    next: string,
  ): Answer {
    return {
      body: encodeManyPage(messages, next, gaps),
      headers: new Headers({
        "content-type": ENVELOPE_TYPE,
        etag: `"${next}"`,
        ...this.#headers(next),
      }),
    };
  }

  #headers(cursor: string): Record<string, string> {
    return { ...POLL_HEADERS, link: `<${this.#nextUrl}${cursor}>; rel="next"` };
  }
}

/** The client may ask for the others again. */
function goneError(channel: string, reason: string): RequestError {
  return new RequestError(410, "channel-gone", reason, { extra: { channel } });
}
