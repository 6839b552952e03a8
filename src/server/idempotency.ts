/** Publishes that may be sent again: the first is kept with what it committed, the others get its answer. */
import type { KeptReceipt, Receipt } from "../channel/terms.ts";
import { formatPosition } from "../channel/position.ts";
import { RequestError } from "../transport/errors.ts";
import type { LiveChannel } from "./live-channel.ts";

/** A publish that has a key. */
export interface Keyed {
  /** As it is kept: see idempotency-key.ts. */
  readonly key: string;
  readonly fingerprint: string;
}

export interface Attempt<T> extends Keyed {
  /** What its answer is made of beside the ids; asked for once, when it is committed. */
  readonly note: () => string;
  /** Publishes. What fails or is refused is not kept: it may be tried again. */
  readonly publish: (receipt: Receipt) => Promise<T> | T;
  /** Answers as the first was answered. */
  readonly again: (kept: KeptReceipt) => T;
}

export class Idempotency {
  /** Milliseconds that a key is remembered, from here on. */
  windowMs: number;
  /** Names of publishes that are not answered yet. */
  readonly #underWay = new Set<string>();

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  /**
   * Publishes once.
   *
   * @throws {RequestError} 409 while the first with this key is not answered, 422 when the first held
   *   something else (§2.6 and §2.7 of the draft); and whatever `publish` throws.
   */
  run<T>(live: LiveChannel, attempt: Attempt<T>): Promise<T> {
    return this.alone(`${live.name}\0${attempt.key}`, async () => {
      const found = await this.find(live, attempt);
      if (found) return attempt.again(found);
      return attempt.publish(this.receipt(attempt, attempt.note));
    });
  }

  /**
   * Does work that is not to be done twice at once.
   *
   * @throws {RequestError} 409 while work of the same name is under way.
   */
  async alone<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#underWay.has(name)) throw outstanding();
    this.#underWay.add(name);
    try {
      return await work();
    } finally {
      this.#underWay.delete(name);
    }
  }

  /**
   * What was kept of a publish.
   *
   * @throws {RequestError} 422 when that was another one.
   */
  async find(live: LiveChannel, { key, fingerprint }: Keyed): Promise<KeptReceipt | null> {
    const kept = await live.channel.log.receipt(key);
    if (kept === null || kept.fingerprint === fingerprint) return kept;
    throw new RequestError(
      422,
      "idempotency-key-reused",
      "another publish has this Idempotency-Key already, with something else in it: send the very same again, or take a new key",
    );
  }

  /** What a publish is to be committed with. */
  receipt({ key, fingerprint }: Keyed, note: () => string): Receipt {
    return {
      key,
      fingerprint,
      keepMs: this.windowMs,
      get note() {
        return note();
      },
    };
  }
}

/** Ids of what was committed under a receipt. */
export function idsOf({ epoch, first, last }: KeptReceipt): string[] {
  return Array.from({ length: last - first + 1 }, (_, n) => formatPosition(epoch, first + n));
}

function outstanding(): RequestError {
  return new RequestError(
    409,
    "idempotency-outstanding",
    "a publish with this Idempotency-Key is under way and not answered yet; try again in a moment",
    { headers: { "retry-after": "1" } },
  );
}
