/** `channel(name).publish(…)`: how the plugins of one channel publish to another. */
import { currentTrail, type Trail } from "../channel/trail.ts";
import type { Draft } from "../channel/message.ts";
import { checkDrafts } from "./draft.ts";
import { kindOf } from "./kind-of.ts";
import type { Reports } from "./reports.ts";
import type { Emitted, OtherChannel } from "./sdk.ts";
import { orUnheard } from "./unheard.ts";

/** Drafts on their way from a plugin of one channel to another channel. */
export interface Crossing {
  /** The channel whose plugin publishes. */
  readonly from: string;
  /** The name that it publishes to, as the plugin gave it. */
  readonly to: string;
  readonly drafts: readonly Draft[];
  /** The channels that the drafts have passed; the last is `from`. */
  readonly trail: Trail;
  /** Whether `from` may be held up by this: its plugin starts, ends, or has a message in its transform. */
  readonly mayBlock: () => boolean;
}

/**
 * Publishes to another channel; the server knows how.
 *
 * @returns The ids of what was committed.
 * @throws {CrossingError} When it is refused.
 */
export type PublishElsewhere = (crossing: Crossing) => Promise<readonly string[]>;

export interface OtherChannelsOptions {
  readonly own: string;
  readonly elsewhere: PublishElsewhere;
  readonly reports: Reports;
  /** Asked when something is published: see `Crossing`. */
  readonly mayBlock: () => () => boolean;
}

/** The other channels, as the plugins of one channel reach them. */
export class OtherChannels {
  /** Some plugins never publish elsewhere: nothing is done for them at each message. */
  isUsed = false;
  #state: "open" | "ended" | "told" = "open";
  readonly #options: OtherChannelsOptions;

  constructor(options: OtherChannelsOptions) {
    this.#options = options;
  }

  /** @throws {TypeError} When the name is no string. */
  readonly named = (name: string): OtherChannel => {
    this.isUsed = true;
    if (typeof name !== "string" || name === "") {
      const what = name === undefined ? "nothing" : name === "" ? "an empty name" : kindOf(name);
      throw new TypeError(
        `channel(…) was given ${what}; it takes the name of another channel, such as channel("alerts")`,
      );
    }
    // The error of a refusal is made far from here: it has the author's line from this one.
    return { publish: (drafts) => this.publish(name, drafts, currentTrail(), new Error()) };
  };

  /** The plugin has ended: what it left behind, such as a timer, publishes nothing any more. */
  end(): void {
    this.#state = "ended";
  }

  /**
   * Publishes to another channel. A failure that nobody awaits is logged as the plugin's.
   *
   * @param trail Channels that the drafts have passed before this one; by default those of the message
   *   that is dealt with now.
   * @param calledAt Made where the plugin calls: what it is refused with gets its stack.
   */
  publish(
    name: string,
    drafts: Emitted,
    trail: Trail | null,
    calledAt?: Error,
  ): Promise<readonly string[]> {
    const { own, elsewhere, mayBlock, reports } = this.#options;
    let count = 0;
    const holding = mayBlock();
    const work = async () => {
      const checked = checkDrafts(drafts, "publish");
      count = checked.length;
      if (this.#state !== "open") {
        const reason =
          "this plugin has ended, with its channel or by a reload; stop timers and callbacks in close, or when the signal aborts";
        throw atCall(new CrossingError("not-ready", name, reason), calledAt);
      }
      const passed = trail === null ? [own] : [...trail, own];
      try {
        return await elsewhere({
          from: own,
          to: name,
          drafts: checked,
          trail: passed,
          mayBlock: holding,
        });
      } catch (error) {
        throw atCall(error, calledAt);
      }
    };
    return orUnheard(work(), (error) => {
      // Reports that are closed hold nothing back: a timer that goes on for ever is told of once.
      if (this.#state === "told") return;
      if (this.#state === "ended") this.#state = "told";
      reports.failed("publish", error, count);
    });
  }
}

/** The error with the stack of the call. */
function atCall(error: unknown, calledAt: Error | undefined): unknown {
  const frames = calledAt?.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  // The first is where the plugin came in.
  if (!(error instanceof CrossingError) || frames.length < 2) return error;
  error.stack = [`${error.name}: ${error.message}`, ...frames.slice(1)].join("\n");
  return error;
}

/**
 * `loop`: the message has passed that channel before, or too many. `unknown-channel`: there is none of that
 * name. `not-ready`: the server starts or stops. `refused`: the channel can't be opened, or does not
 * take the draft; the code of the cause says more. `overloaded`: too much waits there.
 */
export type CrossingErrorCode = "loop" | "unknown-channel" | "not-ready" | "overloaded" | "refused";

/** A publish to another channel that is refused. */
export class CrossingError extends Error {
  readonly code: CrossingErrorCode;
  constructor(code: CrossingErrorCode, to: string, reason: string, cause?: unknown) {
    const message = `can't publish to channel ${JSON.stringify(to.slice(0, 200))}: ${reason}`;
    super(message, cause === undefined ? undefined : { cause });
    this.name = "CrossingError";
    this.code = code;
  }
}
