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
import type { BodyCoding } from "./coding/coding.ts";
import { codingHeaders, encodeBody, tagOf } from "./coding/coded-body.ts";
import { Codings } from "./coding/codings.ts";
import { Crowds, type Crowd } from "./crowd.ts";
import { formatCursor } from "./cursor-text.ts";
import { encodeManyPage, ENVELOPE_TYPE } from "./envelope.ts";
import { RequestError } from "./errors.ts";
import { answered, keepNothing, Made, type Answer, type KeepBody } from "./poll-answer.ts";
import { otherParameters, POLL_HEADERS, readLimit, readWait } from "./poll-query.ts";
import type { MergedExchange, Subscriber } from "./transport.ts";

/** Held polls of the same channels. Those that go on at the same URL share one answer. */
export class PollCrowds extends Crowds<ManyPoll> {
  constructor() {
    super("long-poll-many", (members, batch, cursorAfter) => {
      const made = new Made();
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
  readonly #codings: Codings;
  readonly #coding: BodyCoding | null;
  /** By the channel's name, sorted. */
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #merge: Merge;
  /** URL of the next poll, up to the cursor. */
  readonly #nextUrl: string;
  readonly #connected: Subscriber[] = [];
  #crowd: Crowd<ManyPoll> | null = null;
  #resolve: ((response: Response | Promise<never>) => void) | null = null;
  #onSettle: ((poll: ManyPoll) => void) | null = null;
  #isWatched = false;

  constructor(
    exchange: MergedExchange,
    crowds: PollCrowds,
    pageBytes: number,
    codings: Codings = Codings.none,
  ) {
    const { request, query, path, accesses, startOf } = exchange;
    this.#exchange = exchange;
    this.#crowds = crowds;
    this.#limit = readLimit(query);
    this.#pageBytes = pageBytes;
    this.#codings = codings;
    this.#coding = codings.body(request);
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
  hold(onSettle: (poll: ManyPoll) => void): Promise<Response> {
    const { accesses, connection } = this.#exchange;
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
    return promise;
  }

  watch(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    const { signal } = this.#exchange.request;
    const left = () => this.settle(this.answerEmpty());
    if (signal.aborted) left();
    else signal.addEventListener("abort", left);
  }

  settle(response: Response | Promise<never>): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    this.#crowd?.leave(this);
    this.#onSettle?.(this);
    for (const subscriber of this.#connected) subscriber.disconnect();
    this.#exchange.connection.disconnect();
    resolve(response as Response);
  }

  /** @param made Answers to the same batch that were made for others: encoded once for all of them. */
  answerBatch(
    batch: readonly Message[],
    cursorAfter: (message: Message) => string,
    made: Made,
  ): Response {
    const key = `${this.#coding?.name} ${this.#limit} ${this.#nextUrl}`;
    let answer = made.answers.get(key);
    if (!answer) {
      const taken = batch.slice(0, this.#limit);
      const next = cursorAfter(taken[taken.length - 1]!);
      answer = this.#page(taken, [], next, made.keepBody);
      made.answers.set(key, answer);
    }
    return answered(answer);
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
    return answered(this.#page(messages, told, this.#cursor(), keepNothing));
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
    keep: KeepBody,
  ): Answer {
    const body = keep(`${this.#coding?.name} ${messages.length}`, () =>
      encodeBody(encodeManyPage(messages, next, gaps), this.#coding, this.#codings.minBytes),
    );
    return {
      body: body.content,
      headers: new Headers({
        "content-type": ENVELOPE_TYPE,
        ...codingHeaders(body),
        etag: tagOf(next, body),
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
