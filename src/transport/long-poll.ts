/**
 * Long-poll: a request is answered with what comes after its position, or held until something does.
 *
 * Stateless: the position is in the request, so any node can answer the next one.
 */
import type { MaybePromise } from "../channel/log.ts";
import { weightOf } from "./coding/coded-body.ts";
import { Codings } from "./coding/codings.ts";
import { RequestError } from "./errors.ts";
import { ManyPoll, PollCrowds } from "./long-poll-many.ts";
import { PageCache } from "./page-cache.ts";
import { HEADERS_BYTES, Poll, type HeldPoll, type PollShared } from "./poll.ts";
import { spreadCalls } from "./spread.ts";
import type { Exchange, MergedExchange, MergingTransport, TransportOptions } from "./transport.ts";

/**
 * How often polls that waited long enough are looked for, in milliseconds. Those that wait still are watched
 * from then on: an abort signal costs as much as the rest of a poll, and most are answered before.
 */
const SWEEP_MS = 250;

export class LongPollTransport implements MergingTransport {
  readonly name = "long-poll";
  readonly #options: TransportOptions;
  /** Polls that nobody has looked at: what became of their clients is not known. */
  readonly #fresh = new Set<HeldPoll>();
  /** Polls that hear of it when their clients leave. */
  readonly #watched = new Set<HeldPoll>();
  readonly #crowds = new PollCrowds();
  readonly #shared: PollShared;
  #sweeper: Timer | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#shared = {
      pageBytes: options.bufferBytes,
      codings: options.codings ?? Codings.none,
      // With the body, though others may share it: this may be all that still holds it.
      pages: new PageCache(
        ({ body, headers }) => weightOf(body) + 2 * headers.get("link")!.length + HEADERS_BYTES,
      ),
      bodies: new PageCache(({ content }) => weightOf(content)),
    };
  }

  /** Polls that wait now. */
  get held(): number {
    this.look();
    return this.#watched.size;
  }

  /** Lets go of polls whose clients have left. To be called before anybody is told how many there are. */
  look(): void {
    for (const poll of this.#fresh) {
      this.#fresh.delete(poll);
      this.#watched.add(poll);
      poll.watch();
    }
  }

  /** Whatever asks for no other transport. */
  matches(): boolean {
    return true;
  }

  serve(exchange: Exchange): MaybePromise<Response> {
    return this.#answer(new Poll(exchange, this.#shared), exchange);
  }

  serveMerged(exchange: MergedExchange): MaybePromise<Response> {
    const { pageBytes, codings } = this.#shared;
    return this.#answer(new ManyPoll(exchange, this.#crowds, pageBytes, codings), exchange);
  }

  /** Answers or holds a poll; no promise is made but the one that is held, unless a log takes its time. */
  #answer(
    poll: HeldPoll,
    exchange: Pick<Exchange, "request" | "listener" | "refuse">,
  ): MaybePromise<Response> {
    const answer = poll.answerNow();
    if (answer instanceof Promise) {
      // Asked again when it is null: a batch that went out meanwhile is history by now.
      const later = answer.then((late) => {
        if (late) return late;
        return exchange.request.signal.aborted ? poll.answerEmpty() : this.#answer(poll, exchange);
      });
      return exchange.refuse ? later.catch(exchange.refuse) : later;
    }
    if (answer) return answer;
    this.#checkRoom();
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    exchange.listener.hold(exchange.request, poll.waitSeconds + 10);
    this.#fresh.add(poll);
    return poll.hold(this.#onSettle);
  }

  readonly #onSettle = (poll: HeldPoll): void => {
    if (!this.#fresh.delete(poll)) this.#watched.delete(poll);
  };

  async shutdown(spreadMs: number): Promise<void> {
    if (this.#sweeper) clearInterval(this.#sweeper);
    this.#shared.pages.clear();
    this.#shared.bodies.clear();
    this.look();
    await spreadCalls(this.#watched, spreadMs, (poll) => poll.settle(poll.answerEmpty(spreadMs)));
  }

  /** @throws {RequestError} 503 when no further poll may wait. */
  #checkRoom(): void {
    const { polls: limit } = this.#options.limits;
    if (this.#fresh.size + this.#watched.size < limit || this.held < limit) return;
    throw new RequestError(
      503,
      "too-many-polls",
      `${limit} long-polls wait on this server, its limit; try again later, or ask with wait=0`,
      { headers: { "retry-after": "5" } },
    );
  }

  #sweep(): void {
    this.look();
    const now = performance.now();
    for (const poll of this.#watched) {
      if (poll.deadline <= now) poll.settle(poll.answerEmpty());
    }
  }
}
