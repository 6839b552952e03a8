/** Publishes from the plugins of one channel to another channel, and refuses loops. */
import { ChannelError, type ChannelErrorCode } from "../channel/errors.ts";
import { sealDraft, type Draft } from "../channel/message.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import { withTrail, withTrailUntilSettled, type Trail } from "../channel/trail.ts";
import { CrossingError, type Crossing, type PublishElsewhere } from "../plugin/other-channel.ts";
import { closestWord } from "../suggest.ts";
import { RequestError } from "../transport/errors.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import type { LiveChannel } from "./live-channel.ts";

/** Channels that a message may pass: a pattern has any number of them, each another one. */
const MAX_TRAIL = 32;

export class OtherChannels {
  readonly #channels: Channels;
  /** What is under way, by the channel that it comes from and the one that it goes to. */
  readonly #underWay = new Map<string, Map<string, Set<Crossing>>>();

  constructor(channels: Channels) {
    this.#channels = channels;
  }

  /**
   * Publishes through the other channel's schema and plugins, and opens it where it has to be.
   *
   * @throws {CrossingError} When it is refused; nothing is published then.
   */
  readonly publish: PublishElsewhere = async (crossing) => {
    const { to, trail } = crossing;
    const match = this.#match(to);
    const name = this.#channels.nameOf(match);
    checkTrail(to, name, trail);
    this.#checkDeadlock(crossing, name);
    const end = this.#begin(crossing, name);
    try {
      const live = await this.#open(match, name, crossing);
      const drafts = crossing.drafts.map((draft) => this.#own(draft, live));
      const messages = await withTrail(trail, () => live.publish(drafts));
      return messages.map(({ id }) => id);
    } catch (error) {
      throw refused(to, error);
    } finally {
      end();
    }
  };

  #match(to: string): ChannelMatch {
    let match: ChannelMatch | null;
    try {
      match = this.#channels.matchName(to);
    } catch (error) {
      throw refused(to, error);
    }
    if (match) return match;
    const names = this.#channels.declared.map(({ name }) => name);
    const meant = closestWord(to, names);
    throw new CrossingError(
      "unknown-channel",
      to,
      `there is no such channel; ${meant ? `did you mean "${meant}"?` : `the config has ${names.slice(0, 20).join(", ")}`}`,
    );
  }

  async #open(match: ChannelMatch, name: string, { to, trail }: Crossing): Promise<LiveChannel> {
    const { state } = this.#channels;
    if (state === "starting") {
      throw new CrossingError(
        "not-ready",
        to,
        "the server starts, and no channel takes messages before all are set up; publish from a hook or from source, which run when they are",
      );
    }
    if (state === "closed") {
      const live = this.#channels.ending(name);
      if (live) return live;
      throw new CrossingError("not-ready", to, "the server stops, and this channel is not open");
    }
    const open = this.#channels.find(match);
    if (open && !(open instanceof Promise)) return open;
    // What its plugins begin in setup lives longer than this message.
    return withTrailUntilSettled(trail, async () => this.#channels.open(match));
  }

  /**
   * A transform that waits for a channel whose transform waits for the first would wait for ever, also
   * where they are about two messages, and neither has passed a channel twice.
   */
  #checkDeadlock({ from, to, mayBlock }: Crossing, name: string): void {
    if (!mayBlock()) return;
    const path = this.#blockedBy(name, from, new Set());
    if (!path) return;
    throw new CrossingError(
      "loop",
      to,
      `it waits for this channel just now, and neither could go on: ${[from, ...path].join(" → ")}; don't await the publish within transform, or publish from sink`,
    );
  }

  /** The channels on the way from `start` to `goal`, both included, each of which waits for the next. */
  #blockedBy(start: string, goal: string, seen: Set<string>): readonly string[] | null {
    if (start === goal) return [goal];
    seen.add(start);
    for (const [next, crossings] of this.#underWay.get(start) ?? []) {
      if (seen.has(next) || !crossings.values().some(({ mayBlock }) => mayBlock())) continue;
      const rest = this.#blockedBy(next, goal, seen);
      if (rest) return [start, ...rest];
    }
    return null;
  }

  /** @returns Ends it. */
  #begin(crossing: Crossing, name: string): () => void {
    const { from } = crossing;
    let targets = this.#underWay.get(from);
    if (!targets) this.#underWay.set(from, (targets = new Map()));
    let crossings = targets.get(name);
    if (!crossings) targets.set(name, (crossings = new Set()));
    crossings.add(crossing);
    return () => {
      crossings.delete(crossing);
      if (crossings.size === 0) targets.delete(name);
      if (targets.size === 0 && this.#underWay.get(from) === targets) this.#underWay.delete(from);
    };
  }

  /** Transforms may change data in place: they get a copy, and the plugin keeps its own. */
  #own(draft: Draft, { plugins }: LiveChannel): IncomingDraft {
    const { data, event, key } = draft;
    if (plugins.transforms.length === 0 || typeof data !== "object" || data === null) return draft;
    // Of any size here: the channel has its own limit.
    const { format, text, bytes } = sealDraft(draft, Infinity);
    return format === "bytes"
      ? { data: bytes, event, key }
      : { data: JSON.parse(text!), event, key, format, raw: text! };
  }
}

function checkTrail(to: string, name: string, trail: Trail): void {
  const path = [...trail, name].join(" → ");
  if (trail.at(-1) === name) {
    throw new CrossingError(
      "loop",
      to,
      `it is the plugin's own channel (${path}); what a hook adds to it goes by emit, and what source yields goes there by itself`,
    );
  }
  if (trail.includes(name)) {
    throw new CrossingError("loop", to, `the message has passed it already: ${path}`);
  }
  if (trail.length >= MAX_TRAIL) {
    throw new CrossingError(
      "loop",
      to,
      `the message has passed ${trail.length} channels already, which is the limit: ${path}`,
    );
  }
}

const CODES: Readonly<Partial<Record<ChannelErrorCode, CrossingError["code"]>>> = {
  overloaded: "overloaded",
  closed: "not-ready",
  storage: "not-ready",
};

function refused(to: string, error: unknown): unknown {
  if (error instanceof CrossingError) return error;
  if (error instanceof ChannelError) {
    return new CrossingError(CODES[error.code] ?? "refused", to, error.message, error);
  }
  if (error instanceof RequestError) {
    const isEarly = error.code === "not-ready";
    return new CrossingError(isEarly ? "not-ready" : "refused", to, error.message, error);
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new CrossingError("refused", to, reason, error);
}
