/** How fast a client may publish: a token bucket each, kept as one number. */
import { CLOSE, RequestError } from "../transport/errors.ts";
import { isLoopback, networkOf } from "./network.ts";

export interface Rate {
  readonly perSecond: number;
  /** Messages that may come at once, after a rest. */
  readonly burst: number;
  /** Loopback addresses have a bucket too; else they are not limited. */
  readonly loopback?: boolean;
}

/** One client's bucket. */
export interface Allowance {
  /** When it is full again, on the clock of `PublishRate`: the virtual scheduling of GCRA (ITU-T I.371). */
  fullAt: number;
}

/** Addresses whose buckets are kept at most: the one that came first is forgotten, and starts anew. */
const MAX_ADDRESSES = 100_000;

export class PublishRate {
  #rate: Rate;
  readonly #now: () => number;
  readonly #byNetwork = new Map<string, Allowance>();

  /** @param now The clock, in milliseconds. */
  constructor(rate: Rate, now: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#now = now;
  }

  update(rate: Rate): void {
    this.#rate = rate;
  }

  /** Addresses that publish now, or did not long ago. */
  get addresses(): number {
    this.#forgetFull();
    return this.#byNetwork.size;
  }

  /**
   * The bucket that all publishes from an address share; null on a unix socket, and on loopback, where a
   * proxy or a program of the operator's own stands for many. Not to be kept: it is forgotten when full.
   */
  ofAddress(address: string): Allowance | null {
    if (address === "" || (!this.#rate.loopback && isLoopback(address))) return null;
    const network = networkOf(address);
    let allowance = this.#byNetwork.get(network);
    if (!allowance) {
      if (this.#byNetwork.size >= MAX_ADDRESSES) this.#makeRoom();
      this.#byNetwork.set(network, (allowance = { fullAt: 0 }));
    }
    return allowance;
  }

  /**
   * Takes `count` messages out of a bucket. A batch that is larger than the bucket needs a full one, and
   * has to be made up for: else it could never be published.
   *
   * @throws {RequestError} 429 when they are too many; nothing is taken then.
   */
  take(allowance: Allowance, count: number): void {
    const now = this.#now();
    const fullAt = this.#check(allowance, count, now);
    allowance.fullAt = fullAt + (count * 1000) / this.#rate.perSecond;
  }

  /** @throws {RequestError} 429 when not even one message would be taken. */
  check(allowance: Allowance): void {
    this.#check(allowance, 1, this.#now());
  }

  #check(allowance: Allowance, count: number, now: number): number {
    const { perSecond, burst } = this.#rate;
    const fullAt = Math.max(allowance.fullAt, now);
    // How long the bucket, as it is, is away from one that has enough in it.
    const lackMs = fullAt - now - ((burst - Math.min(count, burst)) * 1000) / perSecond;
    // Far below one message of any rate: what is left of adding fractions.
    if (lackMs <= 1e-6) return fullAt;
    const seconds = Math.ceil(lackMs / 1000);
    throw new RequestError(
      429,
      "rate-limited",
      `you publish too fast: a client may publish ${perSecond} messages a second, and ${burst} at once; try again in ${seconds} s`,
      {
        headers: { "retry-after": String(seconds) },
        closeCode: CLOSE.rateLimited,
        extra: { retryAfter: seconds },
      },
    );
  }

  #makeRoom(): void {
    this.#forgetFull();
    if (this.#byNetwork.size < MAX_ADDRESSES) return;
    this.#byNetwork.delete(this.#byNetwork.keys().next().value!);
  }

  /** A bucket that is full is like one that was never used. */
  #forgetFull(): void {
    const now = this.#now();
    for (const [network, { fullAt }] of this.#byNetwork) {
      if (fullAt <= now) this.#byNetwork.delete(network);
    }
  }
}
