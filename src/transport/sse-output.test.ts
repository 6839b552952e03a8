import { expect, test } from "bun:test";
import { identity } from "./coding/identity.ts";
import { SseForm } from "./sse-form.ts";
import { SseOutput } from "./sse-output.ts";

const BUFFER = 10_000;

/** Its client reads nothing. */
class Stalled extends SseOutput {
  waits = 1;

  constructor() {
    super(BUFFER, new SseForm(identity, 1000));
    this.controller = {
      enqueue: ({ byteLength }: Uint8Array) => void (this.waits += byteLength),
      close: () => {},
      get desiredSize() {
        return 2 - output().waits;
      },
    } as unknown as ReadableStreamDefaultController<Uint8Array>;
    const output = () => this;
  }

  get isOver(): boolean {
    return this.controller === null;
  }

  protected override leave(): void {}
}

test("SseOutput.write() has a quarter of the buffer beside what is offered, and no more", () => {
  const stream = new Stalled();
  // What is for all fills the buffer.
  expect(stream.offer(new Uint8Array(BUFFER))).toBe(true);
  expect(stream.offer(new Uint8Array(1))).toBe(false);
  stream.write("x".repeat(BUFFER / 4));
  expect(stream.isOver).toBe(false);
  stream.write("x");
  expect(stream.isOver).toBe(true);
});
