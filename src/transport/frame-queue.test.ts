import { describe, expect, test } from "bun:test";
import { FrameQueue, type Placed } from "./frame-queue.ts";
import type { Socket } from "./transport.ts";

type Frame = string | Uint8Array;

/** What the queue uses of a socket. */
function fakeSocket(readyState = 1) {
  const calls: string[] = [];
  const socket = {
    readyState,
    pause: () => void calls.push("pause"),
    resume: () => void calls.push("resume"),
  } as unknown as Socket;
  return { socket, calls };
}

/** A queue whose frames are let go on by hand. */
function gatedQueue() {
  const taken: Frame[] = [];
  const gates: { frame: Frame; open: () => void }[] = [];
  const queue = new FrameQueue<Frame>((frame) => {
    taken.push(frame);
    return new Promise((open) => gates.push({ frame, open }));
  });
  /** Ends the work on one frame, or on the oldest. */
  const next = async (frame?: Frame) => {
    const index = frame === undefined ? 0 : gates.findIndex((gate) => gate.frame === frame);
    gates.splice(index, 1)[0]!.open();
    // A few turns of the microtask queue, in which the next frame is taken.
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { queue, taken, gates, next };
}

/** A queue whose frames have their place at once, and are answered by hand. */
function placingQueue() {
  const taken: Frame[] = [];
  const gates: (() => void)[] = [];
  const queue = new FrameQueue<Frame>((frame) => {
    taken.push(frame);
    return { answered: new Promise((open) => gates.push(open)) };
  });
  const answer = async () => {
    gates.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { queue, taken, answer };
}

/** Pushes one frame into a lane, which counts for its length. */
function push(queue: FrameQueue<Frame>, socket: Socket, frame: Frame, lane?: string): void {
  queue.push(socket, frame, frame.length, lane);
}

describe("FrameQueue", () => {
  test("takes frames at once as long as none makes it wait", () => {
    const taken: Frame[] = [];
    const { socket, calls } = fakeSocket();
    const queue = new FrameQueue<Frame>((frame) => void taken.push(frame));
    for (let i = 0; i < 100; i++) push(queue, socket, String(i));
    expect(taken).toHaveLength(100);
    expect(calls).toEqual([]);
  });

  test("takes the next frame when the one before is done, in order, empty ones too", async () => {
    const { queue, taken, next } = gatedQueue();
    const { socket } = fakeSocket();
    for (const frame of ["a", "", "c"]) push(queue, socket, frame);
    expect(taken).toEqual(["a"]);
    await next();
    expect(taken).toEqual(["a", ""]);
    await next();
    await next();
    expect(taken).toEqual(["a", "", "c"]);
    push(queue, socket, "d");
    expect(taken).toEqual(["a", "", "c", "d"]);
  });

  test("stops reading at more than 32 frames, and goes on when half of them are done", async () => {
    const { queue, taken, gates, next } = gatedQueue();
    const { socket, calls } = fakeSocket();
    for (let i = 0; i < 32; i++) push(queue, socket, String(i));
    expect(calls).toEqual([]);
    push(queue, socket, "32");
    push(queue, socket, "33");
    expect(calls).toEqual(["pause"]);
    for (let done = 0; done < 17; done++) await next();
    expect(calls).toEqual(["pause"]);
    await next();
    expect(calls).toEqual(["pause", "resume"]);
    while (gates.length > 0) await next();
    expect(taken).toHaveLength(34);
    expect(calls).toEqual(["pause", "resume"]);
  });

  test("stops reading at more than 256 KiB, however few the frames", async () => {
    const { queue, gates, next } = gatedQueue();
    const { socket, calls } = fakeSocket();
    push(queue, socket, "first");
    push(queue, socket, new Uint8Array(160 * 1024));
    expect(calls).toEqual([]);
    push(queue, socket, "x".repeat(120 * 1024));
    expect(calls).toEqual(["pause"]);
    while (gates.length > 0) await next();
    expect(calls).toEqual(["pause", "resume"]);
    // What was taken counts no more.
    push(queue, socket, "again");
    push(queue, socket, "x".repeat(240 * 1024));
    expect(calls).toEqual(["pause", "resume"]);
  });

  test("does not wake a socket that is closed by then", async () => {
    const { queue, gates, next } = gatedQueue();
    const { socket, calls } = fakeSocket(3);
    for (let i = 0; i < 40; i++) push(queue, socket, String(i));
    while (gates.length > 0) await next();
    expect(calls).toEqual(["pause"]);
  });

  test("takes a frame of one lane while another lane's is under way", async () => {
    const { queue, taken, next } = gatedQueue();
    const { socket } = fakeSocket();
    for (const frame of ["a1", "a2", "b1", "b2"]) push(queue, socket, frame, frame[0]);
    expect(taken).toEqual(["a1", "b1"]);
    await next("b1");
    expect(taken).toEqual(["a1", "b1", "b2"]);
    await next("a1");
    expect(taken).toEqual(["a1", "b1", "b2", "a2"]);
  });

  test("bounds all lanes together, and goes on though one of them hangs", async () => {
    const { queue, taken, gates, next } = gatedQueue();
    const { socket, calls } = fakeSocket();
    push(queue, socket, new Uint8Array(300 * 1024), "hangs");
    expect(calls).toEqual([]);
    for (let i = 0; i < 32; i++) push(queue, socket, String(i), `lane ${i % 8}`);
    expect(calls).toEqual(["pause"]);
    while (gates.length > 1) await next(gates[1]!.frame);
    expect(taken).toHaveLength(33);
    expect(calls).toEqual(["pause", "resume"]);
  });

  test("takes the next frame when the one before has its place, and counts both until they are answered", async () => {
    const { queue, taken, answer } = placingQueue();
    const { socket, calls } = fakeSocket();
    for (let i = 0; i < 33; i++) push(queue, socket, String(i));
    expect(taken).toHaveLength(33);
    expect(calls).toEqual(["pause"]);
    let isIdle = false;
    queue.whenIdle(() => (isIdle = true));
    for (let i = 0; i < 32; i++) await answer();
    expect([calls, isIdle]).toEqual([["pause", "resume"], false]);
    await answer();
    expect(isIdle).toBe(true);
  });

  test("takes one that is to be alone when all before it are answered, and what is behind it after it", async () => {
    const { queue, taken, answer } = placingQueue();
    const { socket } = fakeSocket();
    for (const frame of ["a", "b"]) push(queue, socket, frame);
    queue.push(socket, "alone", 1, "", true);
    push(queue, socket, "c");
    queue.push(socket, "other", 1, "lane", true);
    expect(taken).toEqual(["a", "b", "other"]);
    await answer();
    expect(taken).toEqual(["a", "b", "other"]);
    await answer();
    expect(taken).toEqual(["a", "b", "other", "alone", "c"]);
  });

  test("waits for a frame that has to be asked for, then for its answer no more", async () => {
    const taken: string[] = [];
    const asked = Promise.withResolvers<Placed>();
    const queue = new FrameQueue<string>((frame) => {
      taken.push(frame);
      return frame === "a" ? asked.promise : undefined;
    });
    const { socket } = fakeSocket();
    for (const frame of ["a", "b"]) queue.push(socket, frame, 1);
    expect(taken).toEqual(["a"]);
    asked.resolve({ answered: new Promise(() => {}) });
    await new Promise((resolve) => setImmediate(resolve));
    expect(taken).toEqual(["a", "b"]);
  });

  test("tells each frame when those before it in its lane are answered", async () => {
    const before: unknown[] = [];
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let next = 0;
    const queue = new FrameQueue<string>((frame, last) => {
      before.push(frame, last);
      return { answered: gates[next++ % 2]!.promise };
    });
    const { socket } = fakeSocket();
    for (const frame of ["a", "b"]) queue.push(socket, frame, 1);
    expect(before).toEqual(["a", null, "b", gates[0]!.promise]);
    expect(before[3]).toBe(gates[0]!.promise);
    for (const { resolve } of gates) resolve();
    await new Promise((resolve) => setImmediate(resolve));
    queue.push(socket, "c", 1);
    expect(before.slice(4)).toEqual(["c", null]);
  });
});
