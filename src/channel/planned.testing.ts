/** Drafts that say themselves what the transforms do with them, and what has to come of it. */
import type { Draft, Message } from "./message.ts";
import type { OnError } from "./pipeline.ts";

/** What each of the two transforms does with a draft, and whether it takes its time. */
export interface Plan {
  readonly does: "pass" | "split" | "drop" | "throw" | "nonsense";
  readonly isSlow: boolean;
}

export interface Planned {
  readonly number: number;
  /** Which half of each split it is. */
  readonly part: string;
  readonly plans: readonly Plan[];
  readonly isRefused: boolean;
  /** The first transform publishes another draft on its own. */
  readonly emits: boolean;
  readonly key?: string | undefined;
  /** Null comes of it, where the last transform, if there is any, passes it on. */
  readonly deletes?: boolean;
}

export type PlannedDraft = Omit<Planned, "number" | "part">;

const PASS: Plan = { does: "pass", isSlow: false };
export const PLAIN: PlannedDraft = { plans: [PASS, PASS], isRefused: false, emits: false };

/**
 * What the transforms from `from` on have to make of a draft; null when its run is refused.
 *
 * @param onError By transform.
 */
export function outcome(
  { number, plans }: Planned,
  from: number,
  onError: readonly OnError[] = [],
): readonly string[] | null {
  let parts = [""];
  for (const [index, { does }] of plans.entries()) {
    if (index < from || does === "pass") continue;
    if (does === "split") parts = parts.flatMap((part) => [`${part}a`, `${part}b`]);
    else if (does !== "drop" && parts.length > 0 && onError[index] === "stop") return null;
    else if (does === "drop" || onError[index] !== "pass") parts = [];
  }
  return parts.map((part) => `${number}${part}`);
}

/** Which draft, or part of one, became this message: it is in its event, as data may be null. */
export function textOf({ event }: Message): string {
  return event!;
}

export function draftOf(data: Planned): Draft {
  return { data, key: data.key, event: `${data.number}${data.part}` };
}

/** Does what the plan for the transform with this index says. */
export function perform(
  draft: Draft,
  planned: Planned,
  index: number,
): Draft | readonly Draft[] | null {
  const { does } = planned.plans[index]!;
  if (does === "throw") throw new Error("planned");
  if (does === "nonsense") return 5 as unknown as Draft;
  if (does === "drop") return null;
  if (does === "split") {
    return ["a", "b"].map((half) => draftOf({ ...planned, part: planned.part + half }));
  }
  return planned.deletes && index === planned.plans.length - 1 ? { ...draft, data: null } : draft;
}
