/** What one commit makes of the state of one log: each key is written once, however often it was published. */
import type { Retention } from "../channel/log.ts";
import type { Message, SealedDraft } from "../channel/message.ts";
import { changeState, isDeletion, type StateChange } from "../channel/state.ts";
import type { SqliteStates, StoredState } from "./sqlite-states.ts";

/** The log that it is about. */
interface StateLog {
  readonly channel: string;
  readonly retention: Retention;
  /** The row of its channel; null when it has none yet. */
  readonly id: number | null;
}

export class StateCommit {
  readonly #states: SqliteStates;
  readonly #log: StateLog;
  /** What becomes of keys; null for those that are deleted. */
  readonly #keys = new Map<string, Message | null>();
  /** What the state is after it. */
  state: StoredState;

  constructor(states: SqliteStates, log: StateLog, state: StoredState) {
    this.#states = states;
    this.#log = log;
    this.state = state;
  }

  /**
   * @returns What drafts would make of it.
   * @throws {StateFullError} When that would be too large.
   */
  check(drafts: readonly SealedDraft[]): StateChange {
    const { channel, retention, id } = this.#log;
    const sizeOf = (key: string) => {
      const message = this.#keys.get(key);
      if (message !== undefined) return message && message.size;
      return id === null ? null : this.#states.sizeOf(id, key);
    };
    return changeState(channel, drafts, this.state, sizeOf, retention);
  }

  /** @param messages What the drafts that were checked became. */
  take({ size, newest, unkept: index }: StateChange, messages: readonly Message[]): void {
    const unkept = messages[index]?.offset ?? this.state.unkept;
    this.state = { ...this.state, ...size, unkept };
    for (const [key, index] of newest) {
      const message = messages[index]!;
      this.#keys.set(key, isDeletion(message) ? null : message);
    }
  }

  /**
   * Writes it, within the transaction of the messages.
   *
   * @param top Offset of the newest of those, whether it has a key or not.
   */
  save(id: number, top: number): void {
    for (const [key, message] of this.#keys) {
      if (message) this.#states.put(id, message);
      else this.#states.delete(id, key);
    }
    this.#states.save(id, this.state, top);
  }
}
