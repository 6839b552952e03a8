/** The commit of one turn: many appends, to any logs, in one transaction. */
import { PositionError, StateFullError } from "../channel/errors.ts";
import { Message, type SealedDraft } from "../channel/message.ts";
import { formatPosition } from "../channel/position.ts";
import type { StateChange } from "../channel/state.ts";
import type { Receipt, Terms } from "../channel/terms.ts";
import type { SqliteLog } from "./sqlite-log.ts";
import type { SqliteReceipts } from "./sqlite-receipts.ts";
import { StateCommit } from "./sqlite-state-commit.ts";
import type { SqliteStates } from "./sqlite-states.ts";
import type { LogState, SqliteTables } from "./sqlite-tables.ts";

/** One call that waits for its commit. */
export interface Append {
  readonly log: SqliteLog;
  readonly drafts: readonly SealedDraft[];
  readonly terms: Terms | undefined;
  readonly resolve: (messages: readonly Message[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Messages to delete before that is worth a statement. */
const PRUNE_FROM = 256;
/** Messages that one commit deletes at most, where it adds fewer. */
const PRUNE_COUNT = 1024;

/** What becomes of one log. */
interface Change {
  readonly state: LogState;
  readonly batches: (readonly Message[])[];
  /** All of the batches. */
  readonly messages: Message[];
  /** Bytes of all messages of the log before these. */
  readonly before: number;
  deletedBefore: number;
  /** null where no state is kept. */
  readonly keyed: StateCommit | null;
}

/** One call that is refused for itself; the others of the turn are committed. */
class Refusal {
  constructor(readonly error: unknown) {}
}

type Outcome = readonly Message[] | Refusal;

export class Commit {
  readonly #tables: SqliteTables;
  readonly #receipts: SqliteReceipts;
  readonly #states: SqliteStates;
  readonly #now: number;
  readonly #changes = new Map<SqliteLog, Change>();
  readonly #outcomes: { readonly append: Append; readonly outcome: Outcome }[] = [];

  constructor(tables: SqliteTables, receipts: SqliteReceipts, states: SqliteStates, now: number) {
    this.#tables = tables;
    this.#receipts = receipts;
    this.#states = states;
    this.#now = now;
  }

  /** Writes all of it; within a transaction, whose commit makes it hold. */
  write(appends: readonly Append[]): void {
    for (const append of appends) {
      this.#outcomes.push({ append, outcome: this.#take(append) });
    }
    for (const [log, change] of this.#changes) {
      if (change.messages.length > 0) this.#save(log, change);
    }
  }

  /**
   * The transaction is committed: everyone concerned is told, in the order of the calls.
   *
   * @param failed A listener threw: those behind it are told all the same.
   */
  settle(failed: (error: unknown) => void): void {
    for (const [log, { state, batches, deletedBefore, keyed }] of this.#changes) {
      log.deletedBefore = deletedBefore;
      if (keyed) log.kept.size = keyed.state;
      log.isKeepStale = false;
      log.committed(state, batches);
    }
    for (const { append, outcome } of this.#outcomes) {
      if (outcome instanceof Refusal) {
        append.reject(outcome.error);
        continue;
      }
      try {
        if (outcome.length > 0) append.log.onCommit(outcome);
      } catch (error) {
        failed(error);
      }
      append.resolve(outcome);
    }
  }

  #take({ log, drafts, terms }: Append): Outcome {
    const change = this.#changeOf(log);
    const { state } = change;
    if (terms?.expect !== undefined) {
      const position = formatPosition(state.epoch, state.top);
      if (position !== terms.expect) {
        return new Refusal(new PositionError(log.channel, terms.expect, position));
      }
    }
    let receipt: Receipt | undefined;
    let stateChange: StateChange | null = null;
    try {
      if (change.keyed) stateChange = change.keyed.check(drafts);
    } catch (error) {
      if (error instanceof StateFullError) return new Refusal(error);
      throw error;
    }
    try {
      // The note is the publisher's own code, which may throw: read before anything is changed.
      receipt = terms?.receipt && { ...terms.receipt };
    } catch (error) {
      return new Refusal(error);
    }
    // A clock that is set back must not make `time` run backwards within a channel.
    if (drafts.length > 0) state.time = Math.max(state.time, this.#now);
    const messages: Message[] = [];
    const { channel } = log;
    const { epoch, time } = state;
    for (const draft of drafts) {
      const message = new Message(channel, epoch, ++state.top, time, draft);
      messages.push(message);
      change.messages.push(message);
      state.bytes += draft.size;
    }
    if (messages.length > 0) change.batches.push(messages);
    if (stateChange) change.keyed!.take(stateChange, messages);
    if (receipt) {
      const first = state.top - messages.length + 1;
      this.#receipts.keep(log.channel, receipt, state.epoch, first, state.top);
    }
    return messages;
  }

  #changeOf(log: SqliteLog): Change {
    let change = this.#changes.get(log);
    if (!change) {
      const { state, deletedBefore } = log;
      const before = state.bytes;
      const { size } = log.kept;
      const keyed = size && new StateCommit(this.#states, log, size);
      change = { state: { ...state }, batches: [], messages: [], before, deletedBefore, keyed };
      this.#changes.set(log, change);
    }
    return change;
  }

  #save(log: SqliteLog, change: Change): void {
    const { state, messages } = change;
    const { size, ttlMs } = log.retention;
    const keep = { count: size, ms: ttlMs };
    state.first = Math.max(state.first, state.top - size + 1);
    this.#tables.save(log.channel, state, keep);
    const id = state.id!;
    if (log.isKeepStale) this.#tables.setKeep(id, keep);
    // What the next ones push out at once is never written.
    const skipped = Math.max(0, state.first - messages[0]!.offset);
    let { before } = change;
    for (let index = 0; index < skipped; index++) before += messages[index]!.size;
    this.#tables.insert(id, messages, skipped, before);
    change.keyed?.save(id, state.top);
    if (state.first - change.deletedBefore < PRUNE_FROM) return;
    const count = Math.max(PRUNE_COUNT, messages.length * 2);
    const pruned = this.#tables.prune(id, state.first, count);
    if (pruned < count) change.deletedBefore = state.first;
  }
}
