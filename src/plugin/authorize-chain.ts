/** Asks the `authorize` hooks of a channel, plugin by plugin, whether a client may use it. */
import type { MaybePromise } from "../channel/log.ts";
import type { DenialLog } from "./authorize-log.ts";
import { createAccessRequest, type AskedChannel, type Asker } from "./authorize-request.ts";
import { LATE, within, type Clock } from "./clock.ts";
import { describe, HookResultError, PluginError } from "./errors.ts";
import { kindOf } from "./kind-of.ts";
import { RefusedError } from "./refused-error.ts";
import type { Reports } from "./reports.ts";
import type { AccessRequest } from "./sdk.ts";
import { isThenable } from "./thenable.ts";

/** The `authorize` hook of one plugin. */
export interface Authorizer {
  readonly authorize: (request: AccessRequest) => unknown;
  readonly reports: Reports;
}

/** `failed` is denied too: a plugin threw, took too long, or returned what is no verdict. */
export type Outcome = "allowed" | "denied" | "failed";

/** Milliseconds that one call of `authorize` may take: a client waits for it. */
export const AUTHORIZE_MS = 5000;

export interface AuthorizeOptions {
  readonly channel: AskedChannel;
  readonly clock: Clock;
  readonly denials: DenialLog;
}

export class AuthorizeChain {
  readonly #authorizers: readonly Authorizer[];
  readonly #options: AuthorizeOptions;

  constructor(authorizers: readonly Authorizer[], options: AuthorizeOptions) {
    this.#authorizers = authorizers;
    this.#options = options;
  }

  /**
   * Asks in config order; the first that allows or denies decides. Never throws or rejects, and makes no
   * promise unless a hook does.
   */
  ask(asker: Asker): MaybePromise<Outcome> {
    return this.#from(0, asker);
  }

  #from(index: number, asker: Asker): MaybePromise<Outcome> {
    for (let i = index; i < this.#authorizers.length; i++) {
      const outcome = this.#call(this.#authorizers[i]!, asker);
      if (outcome instanceof Promise) {
        return outcome.then((late) => late ?? this.#from(i + 1, asker));
      }
      if (outcome) return outcome;
    }
    const names = this.#authorizers.map(({ reports }) => reports.plugin).join(", ");
    this.#log(asker, null, `none of the plugins that were asked allowed it: ${names}`);
    return "denied";
  }

  /** Null when the plugin leaves it to the next. */
  #call(authorizer: Authorizer, asker: Asker): MaybePromise<Outcome | null> {
    try {
      const result = authorizer.authorize(createAccessRequest(asker, this.#options.channel));
      return isThenable(result)
        ? this.#wait(authorizer, asker, result)
        : this.#judge(authorizer, asker, result);
    } catch (error) {
      return this.#failed(authorizer, asker, error);
    }
  }

  async #wait(
    authorizer: Authorizer,
    asker: Asker,
    result: PromiseLike<unknown>,
  ): Promise<Outcome | null> {
    try {
      const late = await within(Promise.resolve(result), AUTHORIZE_MS, this.#options.clock);
      if (late === LATE) throw authorizer.reports.timeout("authorize", AUTHORIZE_MS);
      return this.#judge(authorizer, asker, late);
    } catch (error) {
      return this.#failed(authorizer, asker, error);
    }
  }

  /** @throws {HookResultError} When it is no verdict. */
  #judge({ reports }: Authorizer, asker: Asker, result: unknown): Outcome | null {
    if (result === undefined || result === null) return null;
    if (result === "allow") return "allowed";
    const reason = result === "deny" ? "the plugin gave no reason" : reasonOf(result);
    this.#log(asker, reports.plugin, reason);
    return "denied";
  }

  #failed(authorizer: Authorizer, asker: Asker, error: unknown): Outcome {
    try {
      return this.#told(authorizer, asker, error);
    } catch {
      // Anything can be thrown, also what throws when it is looked at.
      return this.#told(authorizer, asker, new Error("it threw what can't be looked at"));
    }
  }

  #told({ reports }: Authorizer, asker: Asker, error: unknown): Outcome {
    // Meant for `receive`, but its author's mind is plain: no failure, and a reason.
    if (error instanceof RefusedError) {
      this.#log(asker, reports.plugin, error.message);
      return "denied";
    }
    const why = describe(error instanceof PluginError ? error.cause : error);
    const isLogged = this.#log(asker, reports.plugin, `authorize failed: ${why}`, true);
    // Each channel of a pattern has reports of its own, and a client may ask for any number of them.
    if (isLogged) reports.failed("authorize", error, 0);
    else reports.counted("authorize", error);
    return "failed";
  }

  #log(
    { action, transport, address }: Asker,
    plugin: string | null,
    reason: string,
    isFailure = false,
  ): boolean {
    const { channel, denials } = this.#options;
    const denial = { plugin, channel: channel.name, action, transport, address, reason };
    return denials.denied(denial, isFailure);
  }
}

/** @throws {HookResultError} */
function reasonOf(result: unknown): string {
  if (typeof result === "object" && result !== null) {
    const reason: unknown = Reflect.get(result, "deny");
    if (typeof reason === "string") return reason || "the plugin gave no reason";
  }
  throw new HookResultError(
    `authorize returned ${show(result)}`,
    `return "allow", "deny", { deny: "why" }, or nothing to leave it to the next plugin`,
  );
}

function show(result: unknown): string {
  if (result === true) return `true, which is no verdict (write "allow")`;
  if (result === false) return `false, which is no verdict (write "deny")`;
  if (typeof result === "string") return JSON.stringify(result.slice(0, 80));
  if (typeof result === "number") return String(result);
  if (typeof result !== "object" || result === null || Array.isArray(result)) return kindOf(result);
  return "deny" in result
    ? `an object whose "deny" is ${kindOf(result.deny)}, not a text`
    : `an object without "deny"`;
}
