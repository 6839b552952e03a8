import { describe, expect, test } from "bun:test";
import { FrameQueue, type Frame } from "./frame-queue.ts";
import type { Socket } from "./transport.ts";

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
  const gates: (() => void)[] = [];
  const queue = new FrameQueue((frame) => {
    taken.push(frame);
    return new Promise((resolve) => gates.push(resolve));
  });
  const next = async () => {
    gates.shift()!();
    // A few turns of the microtask queue, in which the next frame is taken.
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { queue, taken, gates, next };
}

describe("FrameQueue", () => {
  test("takes frames at once as long as none makes it wait", () => {
    const taken: Frame[] = [];
    const { socket, calls } = fakeSocket();
    const queue = new FrameQueue((frame) => void taken.push(frame));
    for (let i = 0; i < 100; i++) queue.push(socket, String(i));
    expect(taken).toHaveLength(100);
    expect(calls).toEqual([]);
  });

  test("takes the next frame when the one before is done, in order, empty ones too", async () => {
    const { queue, taken, next } = gatedQueue();
    const { socket } = fakeSocket();
    for (const frame of ["a", "", "c"]) queue.push(socket, frame);
    expect(taken).toEqual(["a"]);
    await next();
    expect(taken).toEqual(["a", ""]);
    await next();
    await next();
    expect(taken).toEqual(["a", "", "c"]);
    queue.push(socket, "d");
    expect(taken).toEqual(["a", "", "c", "d"]);
  });

  test("stops reading at 32 frames that wait, and goes on when all are done", async () => {
    const { queue, taken, gates, next } = gatedQueue();
    const { socket, calls } = fakeSocket();
    for (let i = 0; i < 32; i++) queue.push(socket, String(i));
    expect(calls).toEqual([]);
    queue.push(socket, "32");
    queue.push(socket, "33");
    expect(calls).toEqual(["pause"]);
    while (gates.length > 0) await next();
    expect(taken).toHaveLength(34);
    expect(calls).toEqual(["pause", "resume"]);
  });

  test("stops reading at 64 KiB that wait, however few the frames", async () => {
    const { queue, gates, next } = gatedQueue();
    const { socket, calls } = fakeSocket();
    queue.push(socket, "first");
    queue.push(socket, new Uint8Array(40 * 1024));
    expect(calls).toEqual([]);
    queue.push(socket, "x".repeat(30 * 1024));
    expect(calls).toEqual(["pause"]);
    while (gates.length > 0) await next();
    expect(calls).toEqual(["pause", "resume"]);
    // What was taken counts no more.
    queue.push(socket, "again");
    queue.push(socket, "x".repeat(60 * 1024));
    expect(calls).toEqual(["pause", "resume"]);
  });

  test("does not wake a socket that is closed by then", async () => {
    const { queue, gates, next } = gatedQueue();
    const { socket, calls } = fakeSocket(3);
    for (let i = 0; i < 40; i++) queue.push(socket, String(i));
    while (gates.length > 0) await next();
    expect(calls).toEqual(["pause"]);
  });
});
