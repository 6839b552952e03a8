/**
 * Remembers which channels a message has passed, when plugins publish from one channel to another.
 *
 * The trail follows what a publish sets going: calls, awaits, promises and timers. What came from no other
 * channel has none, and costs nothing.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** Names of the channels that a message has passed, the first one first; never empty. */
export type Trail = readonly string[];

/** A call of a transform, which holds up its channel until it has ended. */
export interface Call {
  /** Whose transform it is. */
  readonly owner: object;
  isPending: boolean;
}

interface Scope {
  trail: Trail | null;
  readonly call: Call | null;
}

const scopes = new AsyncLocalStorage<Scope | undefined>();

/** The trail of what is done now, or null. */
export function currentTrail(): Trail | null {
  return scopes.getStore()?.trail ?? null;
}

/** Runs `work`, and what it sets going, with this trail or with none. */
export function withTrail<T>(trail: Trail | null, work: () => T): T {
  const scope = scopes.getStore();
  if ((scope?.trail ?? null) === trail && !scope?.call) return work();
  return scopes.run(trail === null ? undefined : { trail, call: null }, work);
}

/** Runs `work`, and what it sets going, as a part of this call. */
export function withCall<T>(call: Call, work: () => T): T {
  return scopes.run({ trail: currentTrail(), call }, work);
}

/** The call of the owner's transform that what is done now is a part of, or null. */
export function currentCall(owner: object): Call | null {
  const call = scopes.getStore()?.call ?? null;
  return call?.owner === owner ? call : null;
}

/**
 * Runs `work` with a trail that is forgotten when its promise has settled: what it sets going for longer,
 * such as a channel that it brings to life, is no longer about the message.
 */
export async function withTrailUntilSettled<T>(trail: Trail, work: () => Promise<T>): Promise<T> {
  const scope: Scope = { trail, call: null };
  try {
    return await scopes.run(scope, work);
  } finally {
    scope.trail = null;
  }
}

/** Whether two messages have passed the same channels in the same order. */
export function isSameTrail(a: Trail | null, b: Trail | null): boolean {
  if (a === b) return true;
  return a !== null && b !== null && a.length === b.length && a.every((name, i) => name === b[i]);
}
