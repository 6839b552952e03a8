/** What a plugin emits by itself: held back until its channel stands, then published behind it. */
import { ChannelError } from "../channel/errors.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Draft } from "../channel/message.ts";
import { checkDrafts } from "./draft.ts";
import { remoteOf } from "./isolate/remote.ts";
import type { Reports } from "./reports.ts";
import type { Emitted } from "./sdk.ts";
import { isThenable } from "./thenable.ts";

/** What a plugin may emit before its channel stands. */
const MAX_EARLY = 1000;

export interface EmittedDraftsOptions {
  /** Publishes what is produced, through the transforms behind the plugin. */
  readonly inject: (produce: () => MaybePromise<Draft[] | null>) => MaybePromise<unknown>;
  readonly reports: Reports;
}

export class EmittedDrafts {
  readonly #options: EmittedDraftsOptions;
  #state: "starting" | "open" | "closed" = "starting";
  #early: (() => MaybePromise<Draft[] | null>)[] = [];

  constructor(options: EmittedDraftsOptions) {
    this.#options = options;
  }

  /** The channel stands. */
  open(): void {
    this.#state = "open";
    for (const produce of this.#early.splice(0)) this.#inject(produce);
  }

  /** Nothing may come any more. */
  close(): void {
    this.#state = "closed";
  }

  /** @returns false when there is no room, or the channel is closed. */
  emit(drafts: Emitted | (() => Emitted | null)): boolean {
    if (this.#state === "closed") return false;
    const failed = (error: unknown) => {
      this.#options.reports.failed("emit", error, 1);
      return null;
    };
    const produce = () => {
      try {
        const later = remoteOf(drafts);
        if (later) return later().then(checkEmitted).catch(failed);
        return checkEmitted(typeof drafts === "function" ? drafts() : drafts);
      } catch (error) {
        return failed(error);
      }
    };
    if (this.#state === "open") return this.#inject(produce);
    if (this.#early.length >= MAX_EARLY) return false;
    this.#early.push(produce);
    return true;
  }

  #inject(produce: () => MaybePromise<Draft[] | null>): boolean {
    const failed = (error: unknown) => {
      if (!(error instanceof ChannelError && error.code === "closed")) {
        this.#options.reports.failed("emit", error, 1);
      }
    };
    try {
      const result = this.#options.inject(produce);
      if (isThenable(result)) void Promise.resolve(result).catch(failed);
      return true;
    } catch (error) {
      const code = error instanceof ChannelError ? error.code : null;
      if (code === "overloaded" || code === "closed") return false;
      failed(error);
      return true;
    }
  }
}

function checkEmitted(emitted: Emitted | null): Draft[] | null {
  if (emitted === null) return null;
  return checkDrafts(emitted, "emit");
}
