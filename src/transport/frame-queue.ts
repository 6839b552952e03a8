/**
 * Takes a client's frames in order, also when a hook takes its time over one. Frames of different lanes do
 * not wait for one another.
 */
import type { MaybePromise } from "../channel/log.ts";
import type { Socket } from "./transport.ts";

/** Frames that may be under way or wait before the socket is no longer read from, and their length. */
const PAUSE_OVER = { frames: 32, length: 256 * 1024 };

/**
 * A frame that has its place, such as in the commit of this turn: the next may be taken, though this one is
 * under way until `answered` has resolved, which MUST NOT reject.
 */
export interface Placed {
  readonly answered: Promise<void>;
}

/** What became of a frame when it was taken; nothing where it is done with. */
export type Taken = Placed | void;

interface Waiting<Frame> {
  readonly frame: Frame;
  readonly length: number;
  readonly isAlone: boolean;
}

/** Frames that are taken in order. */
interface Lane<Frame> {
  readonly name: string;
  readonly waiting: Waiting<Frame>[];
  /** One was taken that has no place yet. */
  isBusy: boolean;
  /** Those that have their place and are not answered. */
  placed: number;
  /** When the last of them is. */
  last: Promise<void> | null;
}

/**
 * Handles one frame; MUST NOT throw or reject. What it gives resolves when the frame is done with, or placed.
 *
 * @param before Resolves when those before it in its lane are answered, which it MUST be after; null where all are.
 */
export type Take<Frame> = (frame: Frame, before: Promise<void> | null) => MaybePromise<Taken>;

export class FrameQueue<Frame> {
  readonly #take: Take<Frame>;
  /** Those that have a frame under way. */
  readonly #lanes = new Map<string, Lane<Frame>>();
  #frames = 0;
  #length = 0;
  #isPaused = false;
  #whenIdle: (() => void) | null = null;

  constructor(take: Take<Frame>) {
    this.#take = take;
  }

  /**
   * @param length What it counts for, in bytes or characters.
   * @param lane Frames of one lane are taken in order.
   * @param isAlone It is taken when all before it in its lane are answered.
   */
  push(
    socket: Socket,
    frame: Frame,
    length: number,
    lane: string = "",
    isAlone: boolean = false,
  ): void {
    let busy = this.#lanes.get(lane);
    if (busy && !isFree(busy, isAlone)) {
      busy.waiting.push({ frame, length, isAlone });
    } else {
      const work = this.#take(frame, busy?.last ?? null);
      if (!work) return;
      if (!busy) {
        busy = { name: lane, waiting: [], isBusy: false, placed: 0, last: null };
        this.#lanes.set(lane, busy);
      }
      this.#follow(socket, busy, work, length);
    }
    this.#frames++;
    this.#length += length;
    // One alone never waits for another, however long it is.
    const isFull =
      this.#frames > PAUSE_OVER.frames || (this.#length > PAUSE_OVER.length && this.#frames > 1);
    if (!isFull || this.#isPaused) return;
    this.#isPaused = true;
    socket.pause();
  }

  /** Calls `then` once every frame that was pushed is answered; now, where none is under way. */
  whenIdle(then: () => void): void {
    if (this.#frames === 0) then();
    else this.#whenIdle = then;
  }

  #follow(socket: Socket, lane: Lane<Frame>, work: Placed | Promise<Taken>, length: number): void {
    if (work instanceof Promise) {
      lane.isBusy = true;
      void work.then((late) => {
        lane.isBusy = false;
        if (late) this.#follow(socket, lane, late, length);
        else this.#answered(socket, length);
        this.#next(socket, lane);
      });
      return;
    }
    lane.placed++;
    lane.last = work.answered;
    void work.answered.then(() => {
      if (--lane.placed === 0) lane.last = null;
      this.#answered(socket, length);
      this.#next(socket, lane);
    });
  }

  /** Takes what waits in a lane, as far as it may be taken now. */
  #next(socket: Socket, lane: Lane<Frame>): void {
    const { waiting } = lane;
    while (waiting.length > 0) {
      if (lane.isBusy || (waiting[0]!.isAlone && lane.placed > 0)) return;
      const { frame, length } = waiting.shift()!;
      const work = this.#take(frame, lane.last);
      if (work) this.#follow(socket, lane, work, length);
      else this.#answered(socket, length);
    }
    if (!lane.isBusy && lane.placed === 0) this.#lanes.delete(lane.name);
  }

  #answered(socket: Socket, length: number): void {
    this.#frames--;
    this.#length -= length;
    if (this.#frames === 0) this.#whenIdle?.();
    // Not only when all are done: one lane may wait for long, and the others have to go on.
    const hasRoom =
      this.#frames * 2 <= PAUSE_OVER.frames &&
      (this.#length * 2 <= PAUSE_OVER.length || this.#frames <= 1);
    if (!this.#isPaused || !hasRoom) return;
    this.#isPaused = false;
    if (socket.readyState === 1) socket.resume();
  }
}

/** Whether a frame may be taken as soon as it comes. */
function isFree({ waiting, isBusy, placed }: Lane<unknown>, isAlone: boolean): boolean {
  return waiting.length === 0 && !isBusy && !(isAlone && placed > 0);
}

/** Answers a frame when those before it in its lane are answered. */
export function inTurn(before: Promise<void> | null, answer: () => void): MaybePromise<void> {
  return before ? before.then(answer) : answer();
}
