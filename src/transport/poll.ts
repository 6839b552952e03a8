/** One long-poll of one channel, from its request to its answer. */
import type { Channel } from "../channel/channel.ts";
import { Cursor, type Gap, type Step } from "../channel/cursor.ts";
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import type { BodyCoding } from "./coding/coding.ts";
import { codingHeaders, encodeBody, tagOf, type CodedBody } from "./coding/coded-body.ts";
import type { Codings } from "./coding/codings.ts";
import { encodePage, ENVELOPE_TYPE } from "./envelope.ts";
import { RequestError } from "./errors.ts";
import { messageHeaders } from "./message-response.ts";
import type { PageCache } from "./page-cache.ts";
import { answered, keepNothing, Made, type Answer, type KeepBody } from "./poll-answer.ts";
import { POLL_HEADERS, PollUrl } from "./poll-query.ts";
import type { Exchange, Subscriber, SubscriberWays } from "./transport.ts";

/** A poll that may be held, of one channel or of many. */
export interface HeldPoll {
  readonly deadline: number;
  readonly waitSeconds: number;
  answerNow(): MaybePromise<Response | null>;
  answerEmpty(retryMs?: number): Response;
  hold(onSettle: (poll: HeldPoll) => void): Promise<Response>;
  /** Hears from here on of a client that leaves, or has left; called again, it does nothing. */
  watch(): void;
  settle(response: Response | Promise<never>): void;
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
    const made = new Made();
    for (const poll of polls) poll.settle(poll.answerBatch(batch, made));
  }
}

/** Made once: each poll asks for its group. */
const newGroup = () => new PollGroup();

/** What the headers of an answer take in memory, about. */
export const HEADERS_BYTES = 1024;

/** What all polls of one channel at a time share. */
export interface PollShared {
  readonly pageBytes: number;
  readonly codings: Codings;
  /** Answers from history, whose bodies are those of the other cache. */
  readonly pages: PageCache<Answer>;
  readonly bodies: PageCache<CodedBody>;
}

export class Poll implements HeldPoll, SubscriberWays {
  /** Where `performance.now()` stands when this poll has waited long enough. */
  readonly deadline: number;
  readonly waitSeconds: number;
  readonly #channel: Channel;
  readonly #subscriber: Subscriber;
  readonly #refuse: Exchange["refuse"];
  /** Until it is watched: it is all that is known of the client's connection. */
  #request: Request | null;
  readonly #isEnvelope: boolean;
  readonly #limit: number;
  readonly #coding: BodyCoding | null;
  readonly #shared: PollShared;
  readonly #cursor: Cursor;
  readonly #url: PollUrl;
  #gap: Gap | null = null;
  #group: PollGroup | null = null;
  #resolve: ((response: Response | Promise<never>) => void) | null = null;
  #onSettle: ((poll: Poll) => void) | null = null;

  constructor(exchange: Exchange, shared: PollShared) {
    const { query, channel, request, start, path } = exchange;
    this.#channel = channel;
    this.#subscriber = exchange.subscriber;
    this.#refuse = exchange.refuse;
    this.#request = request;
    this.#url = PollUrl.of(path, query);
    const accept = request.headers.get("accept")?.toLowerCase();
    this.#isEnvelope = accept?.includes(ENVELOPE_TYPE) ?? false;
    this.#limit = this.#isEnvelope ? this.#url.limit : 1;
    this.#coding = shared.codings.body(request);
    this.#shared = shared;
    this.waitSeconds = this.#url.waitSeconds;
    this.deadline = performance.now() + this.waitSeconds * 1000;
    this.#cursor = new Cursor(channel, start);
  }

  /** The answer, when something waits already, or when the client does not want to wait. */
  answerNow(): MaybePromise<Response | null> {
    while (!this.#cursor.isLevel) {
      const step = this.#cursor.read({ count: this.#limit, bytes: this.#shared.pageBytes });
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
    return messages.length > 0 ? this.#answerPage(messages) : null;
  }

  /** Answers from history. Polls that come from one position to one URL share the answer; others, its body. */
  #answerPage(page: readonly Message[]): Response {
    const { pages, bodies } = this.#shared;
    const channel = this.#channel;
    // Of the state the answer says how far that goes, and those of others may say otherwise.
    const isHistory = this.#cursor.isAfter(page[page.length - 1]!);
    const next = isHistory ? undefined : this.#cursor.position;
    const formOf = (form: string) => (isHistory ? form : `${form} ${next}`);
    const keep: KeepBody = (form, make) => bodies.get(channel, formOf(form), page, make);
    // What a gap began with is this client's own, and stands in the headers.
    if (this.#gap !== null) return answered(this.#encode(page, keep, next));
    const form = formOf(this.#url.answerKey(this.#form, this.#limit));
    return answered(pages.get(channel, form, page, (batch) => this.#encode(batch, keep, next)));
  }

  /** Joins the polls that the next batch answers. MUST be called while the poll is level. */
  hold(onSettle: (poll: Poll) => void): Promise<Response> {
    const key = this.#isEnvelope ? "long-poll/envelope" : "long-poll/raw";
    this.#group = this.#channel.fanOut.group(key, newGroup);
    this.#group.members.add(this);
    this.#onSettle = onSettle;
    // Before it is connected: a channel that went on its way here answers it at once.
    const answer = new Promise<Response>((resolve) => (this.#resolve = resolve));
    this.#subscriber.connect(this);
    return answer;
  }

  watch(): void {
    if (this.#request === null) return;
    const { signal } = this.#request;
    this.#request = null;
    if (signal.aborted) this.close();
    else signal.addEventListener("abort", this);
  }

  /** The client left. */
  handleEvent(): void {
    this.close();
  }

  /** A poll holds no connection of its own: there is nobody to send to between two polls. */
  send(): void {}

  close(): void {
    this.settle(this.answerEmpty());
  }

  gone(reason: string): void {
    const error = new RequestError(410, "channel-gone", reason);
    this.settle(this.#refuse?.(error) ?? Promise.reject(error));
  }

  settle(response: Response | Promise<never>): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    this.#group?.members.delete(this);
    this.#onSettle?.(this);
    this.#subscriber.disconnect();
    resolve(response);
  }

  /** @param made Answers to the same batch that were made for others: encoded once for all of them. */
  answerBatch(batch: readonly Message[], made?: Made): Response {
    // What a gap began with is this client's own, and stands in the headers.
    const answers = this.#gap === null ? made?.answers : undefined;
    const key = this.#url.answerKey(this.#form, this.#limit);
    let answer = answers?.get(key);
    if (!answer) {
      answer = this.#encode(batch, made?.keepBody ?? keepNothing);
      answers?.set(key, answer);
    }
    return answered(answer);
  }

  /** 204: nothing came. @param retryMs When the server stops: how long to stay away at most. */
  answerEmpty(retryMs = 0): Response {
    const headers = this.#headers(this.#cursor.position);
    if (retryMs > 0) headers["retry-after"] = String(Math.ceil((Math.random() * retryMs) / 1000));
    return new Response(null, { status: 204, headers });
  }

  /** @param next Where to go on, where that is not after the last message that is given. */
  #encode(batch: readonly Message[], keep: KeepBody, next?: string): Answer {
    return this.#isEnvelope ? this.#envelope(batch, keep, next) : this.#raw(batch[0]!, keep, next);
  }

  #raw(message: Message, keep: KeepBody, next = message.id): Answer {
    const body = keep(this.#form, () => {
      // Bytes are mostly of a format that is compressed already: images, sound.
      const coding = message.format === "bytes" ? null : this.#coding;
      return this.#coded(message.bytes as Uint8Array<ArrayBuffer>, coding);
    });
    return {
      body: body.content,
      headers: new Headers({
        ...messageHeaders(message, POLL_HEADERS["cache-control"]),
        ...codingHeaders(body),
        etag: tagOf(next, body),
        ...this.#headers(next),
      }),
    };
  }

  #envelope(batch: readonly Message[], keep: KeepBody, after?: string): Answer {
    const taken = batch.slice(0, this.#limit);
    const next = after ?? taken[taken.length - 1]?.id ?? this.#cursor.position;
    const hasGap = this.#gap !== null;
    const body = keep(`${this.#form} ${taken.length} ${hasGap}`, () =>
      this.#coded(encodePage(taken, next, hasGap), this.#coding),
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

  #coded(content: string | Uint8Array<ArrayBuffer>, coding: BodyCoding | null): CodedBody {
    return encodeBody(content, coding, this.#shared.codings.minBytes);
  }

  /** Framing and coding. */
  get #form(): string {
    if (this.#coding === null) return this.#isEnvelope ? "envelope identity" : "raw identity";
    return `${this.#isEnvelope ? "envelope" : "raw"} ${this.#coding.name}`;
  }

  #headers(position: string): Record<string, string> {
    const headers: Record<string, string> = {
      ...POLL_HEADERS,
      link: `<${this.#url.nextUrl}${position}>; rel="next"`,
    };
    if (this.#gap) headers["tidewire-gap"] = `after="${this.#gap.after}", id="${this.#gap.id}"`;
    return headers;
  }
}
