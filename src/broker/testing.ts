/** What the suites that run over every broker share. */
import { afterEach, beforeEach } from "bun:test";
import type { Log, MaybePromise, Retention } from "../channel/log.ts";
import { sealDraft, type Draft, type Message, type SealedDraft } from "../channel/message.ts";
import type { Broker } from "./broker.ts";

/**
 * Makes a broker with nothing kept.
 *
 * @param now The clock that it MUST take its times from, in milliseconds since the epoch.
 */
export type CreateBroker = (now: () => number) => MaybePromise<Broker>;

export const KEEP_ALL: Retention = { size: 1000, ttlMs: 3_600_000 };
export const NO_LIMIT = { through: Infinity, count: Infinity, bytes: Infinity };

export const seal = (draft: Draft, raw?: string): SealedDraft => sealDraft(draft, 1e6, raw);
export const texts = (...all: string[]) => all.map((data) => seal({ data }));
export const offsets = (messages: readonly Message[]) => messages.map(({ offset }) => offset);

/** Makes a broker for each test of a suite, at a time that the test lets pass. */
export function useBroker(create: CreateBroker): { readonly broker: Broker; nowMs: number } {
  let broker: Broker;
  const use = {
    nowMs: 0,
    get broker() {
      return broker;
    },
  };
  beforeEach(async () => {
    use.nowMs = 1_000_000;
    broker = await create(() => use.nowMs);
  });
  afterEach(() => broker.close());
  return use;
}

/** Opens a log that keeps all, but for what `retention` says, and gathers what it commits. */
export function openLog(
  broker: Broker,
  retention: Partial<Retention> = {},
  channel = "prices",
): { readonly log: Log; readonly commits: readonly (readonly Message[])[] } {
  const commits: (readonly Message[])[] = [];
  const log = broker.open(channel, { ...KEEP_ALL, ...retention }, (batch) => {
    commits.push(batch);
  });
  return { log, commits };
}

/** What a call fails with, be it at once or later; null when it does not. */
export async function failure(call: () => unknown): Promise<Error | null> {
  try {
    await call();
    return null;
  } catch (error) {
    return error as Error;
  }
}
