/** The transform of a plugin in a worker: takes batches of drafts through it, and answers each. */
import { checkResult } from "../../channel/transform-result.ts";
import type { BoundHooks } from "../hooks.ts";
import { isThenable } from "../thenable.ts";
import type { Signs } from "./guest-signs.ts";
import { uncloneable } from "./uncloneable.ts";
import type { ToHost } from "./wire.ts";
import { encodeResults, toWireResult, type Given, type WireResult } from "./wire-drafts.ts";
import { timeoutError, toWireError } from "./wire-error.ts";

export interface GuestTransformOptions {
  readonly send: (message: ToHost) => void;
  /** @throws When the plugin has none. */
  readonly hook: () => NonNullable<BoundHooks["transform"]>;
  /** Milliseconds that one draft may take. */
  readonly timeoutMs: () => number;
  readonly signs: Signs;
}

export class GuestTransform {
  readonly #options: GuestTransformOptions;

  constructor(options: GuestTransformOptions) {
    this.#options = options;
  }

  /** Answers in any case: the channel waits for it. */
  async run(id: number, read: () => readonly Given[]): Promise<void> {
    try {
      await this.#all(id, read());
    } catch (error) {
      this.#options.send({ say: "failure", id, error: toWireError(error) });
    }
  }

  async #all(id: number, given: readonly Given[]): Promise<void> {
    const results: WireResult[] = [];
    for (const each of given) {
      let result: WireResult | Promise<WireResult>;
      try {
        const made = this.#options.hook()(each.draft);
        result = isThenable(made)
          ? this.#limited(made, each)
          : toWireResult(checkResult(made), each);
      } catch (error) {
        result = { error: toWireError(error) };
      }
      results.push(result instanceof Promise ? await result : result);
      this.#options.signs.giveInBatch();
    }
    const text = encodeResults(id, results);
    if (text !== null) return this.#options.send(text);
    try {
      this.#options.send({ say: "transformed", id, results });
    } catch {
      this.#options.send({ say: "transformed", id, results: results.map(orUncloneable) });
    }
  }

  /** A transform that never settles would hold up its channel for ever. */
  #limited(made: PromiseLike<unknown>, given: Given): Promise<WireResult> {
    const timeoutMs = this.#options.timeoutMs();
    return new Promise((resolve) => {
      const late = `transform did not end within ${timeoutMs / 1000} s, its "timeout:"`;
      const timer = setTimeout(() => resolve({ error: timeoutError(late) }), timeoutMs);
      const settle = (result: () => WireResult) => {
        clearTimeout(timer);
        try {
          resolve(result());
        } catch (error) {
          resolve({ error: toWireError(error) });
        }
      };
      made.then(
        (value) => settle(() => toWireResult(checkResult(value), given)),
        (error) => settle(() => ({ error: toWireError(error) })),
      );
    });
  }
}

function orUncloneable(result: WireResult): WireResult {
  try {
    structuredClone(result);
    return result;
  } catch (error) {
    return { error: toWireError(uncloneable(error, "transform", {})) };
  }
}
