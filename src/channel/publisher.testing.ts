/** Who publishes to a channel under test: with transforms that do what each draft says, and every answer checked. */
import type { Scheduler } from "fast-check";
import type { Channel } from "./channel.ts";
import { ChannelError } from "./errors.ts";
import type { Life } from "./life.testing.ts";
import type { Draft, Message } from "./message.ts";
import {
  TransformFailure,
  type BatchResult,
  type BatchTransform,
  type IncomingDraft,
  type OnError,
  type Transform,
} from "./pipeline.ts";
import {
  draftOf,
  outcome,
  perform,
  PLAIN,
  textOf,
  type Plan,
  type Planned,
  type PlannedDraft,
} from "./planned.testing.ts";

export interface PublisherSetup {
  readonly hasTransforms: boolean;
  /** Whether each takes many drafts at once, and what becomes of those that it fails on. */
  readonly transforms: readonly { readonly isBatch: boolean; readonly onError: OnError }[];
}

/** What the publisher of a run is told that a transform refused. */
export const STOPPED = new Error("stopped");

export class Publisher {
  readonly transforms: readonly Transform[];
  /** Calls that were taken and have no answer yet. */
  unacknowledged = 0;
  readonly #setup: PublisherSetup;
  readonly #scheduler: Scheduler;
  readonly #onIds: (ids: readonly string[]) => void;
  #channel!: Channel;
  #life!: Life;
  /** What the pipeline has to commit in this life, in the order of the calls. */
  #expected: string[] = [];
  #published = 0;

  /** @param onIds Told the ids that publishers are answered with. */
  constructor(
    setup: PublisherSetup,
    scheduler: Scheduler,
    onIds: (ids: readonly string[]) => void,
  ) {
    this.#setup = setup;
    this.#scheduler = scheduler;
    this.#onIds = onIds;
    this.transforms = setup.hasTransforms ? [this.#transform(0), this.#transform(1)] : [];
  }

  /** Publishes to this life of the channel from here on. */
  attach(channel: Channel, life: Life): void {
    this.#channel = channel;
    this.#life = life;
    this.#expected = [];
  }

  /** @returns Whether it was taken. */
  publish(drafts: readonly PlannedDraft[]): boolean {
    const planned = drafts.map((each) => ({ number: ++this.#published, part: "", ...each }));
    const from = this.#setup.hasTransforms ? 0 : 2;
    const incoming: IncomingDraft[] = planned.map((data) => {
      const isNull = data.deletes && !data.isRefused && !this.#setup.hasTransforms;
      return isNull ? { ...draftOf(data), data: null } : draftOf(data);
    });
    return this.#submit(planned, from, () => this.#channel.publish(incoming));
  }

  /** Publishes past the first transform, as a plugin does that emits. */
  inject(): void {
    const [plan] = PLAIN.plans;
    const plans: Plan[] = [plan!, { does: "split", isSlow: this.#published % 2 === 0 }];
    const data: Planned = { ...PLAIN, number: ++this.#published, part: "", plans };
    const from = this.#setup.hasTransforms ? 1 : 2;
    this.#submit([data], from, () => this.#channel.inject(() => draftOf(data), from));
  }

  /**
   * Publishes, and checks the answer: after the commit, with just what the drafts became.
   *
   * @returns Whether it was taken.
   */
  #submit(
    planned: readonly Planned[],
    from: number,
    publish: () => readonly Message[] | Promise<readonly Message[]>,
  ): boolean {
    const life = this.#life;
    const onError = this.#setup.transforms.map((each) => each.onError);
    const outcomes = planned.map((each) => outcome(each, from, onError));
    const isRefused = outcomes.includes(null);
    const expected = isRefused ? [] : outcomes.flatMap((each) => each!);
    const acknowledge = (committed: readonly Message[]) => {
      this.unacknowledged--;
      life.check(!isRefused, "acknowledged what is to be refused");
      life.check(committed.map(textOf).join() === expected.join(), "acknowledged something else");
      const isCommitted = committed.every((each) => life.all[each.offset - 1] === each);
      life.check(isCommitted, "acknowledged before the commit");
      this.#onIds(committed.map(({ id }) => id));
    };
    try {
      const turn = this.#expected.length;
      const published = publish();
      this.unacknowledged++;
      // Before what its own transforms have published meanwhile.
      this.#expected.splice(turn, 0, ...expected);
      const isAll = !planned.some(({ isRefused }) => isRefused);
      life.check(isAll, "took a batch with a draft that is refused");
      const refused = (error: unknown) => {
        this.unacknowledged--;
        life.check(isRefused && error === STOPPED, `refused with ${Bun.inspect(error)}`);
      };
      if (published instanceof Promise) published.then(acknowledge, refused);
      else acknowledge(published);
      return true;
    } catch (error) {
      if (isRefused && error === STOPPED) return false;
      if (!(error instanceof ChannelError)) throw error;
      return false;
    }
  }

  /** What was committed is what the calls were to come to, in their order. */
  checkCommitted(): void {
    const committed = this.#life.all.map(textOf).join();
    const expected = this.#expected.join();
    this.#life.check(committed === expected, `committed ${committed}, not ${expected}`);
  }

  #transform(index: number): Transform {
    const { isBatch, onError } = this.#setup.transforms[index]!;
    const one = this.#transformOne(index);
    if (!isBatch) return Object.assign(one, { onError });
    const batch: BatchTransform = async (drafts) => {
      const results: BatchResult[] = [];
      // Another thread answers when it likes.
      await this.#scheduler.schedule(Promise.resolve(), `batch ${index}`);
      for (const draft of drafts) {
        try {
          results.push(await one(draft));
        } catch (error) {
          results.push(new TransformFailure(error));
        }
      }
      return results;
    };
    return Object.assign(() => null, { onError, batch });
  }

  #transformOne(index: number): (draft: Draft) => ReturnType<Transform> {
    return (draft) => {
      const planned = draft.data as Planned;
      if (index === 0 && planned.emits) this.inject();
      const give = () => perform(draft, planned, index);
      if (!planned.plans[index]!.isSlow) return give();
      return this.#scheduler.schedule(Promise.resolve(), `transform ${index}`).then(give);
    };
  }
}
