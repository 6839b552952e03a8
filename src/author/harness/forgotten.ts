/** Ends what a test has started and not ended, such as one that failed or timed out. */
import { showAuthors } from "./call-site.ts";
import { TestChannel } from "./test-channel.ts";

interface Started {
  readonly channel: TestChannel;
  /** Frames of whoever started it. */
  readonly caller: readonly string[];
}

/** Started in the test that runs now, or before it. */
let started: Started[] = [];
/** Tests that run now; more than one when they are concurrent. */
let running = 0;

/** Remembers what a test has started, until its end. */
export function hold(channel: TestChannel, caller: readonly string[]): TestChannel {
  // Outside of any test, such as in `beforeAll`, whoever started it ends it.
  if (running > 0) started.push({ channel, caller });
  return channel;
}

/** To be called before each test. */
export function testBegins(): void {
  running++;
}

/**
 * To be called after each test.
 *
 * @throws What hooks threw since, and that the test was not told of: when a plugin was closed.
 */
export async function testEnds(): Promise<void> {
  running--;
  // Of concurrent tests nobody knows which started what: the last one ends it all.
  if (running > 0) return;
  const ending = started;
  started = [];
  for (const { channel } of ending) await channel[Symbol.asyncDispose]();
  for (const { channel, caller } of ending) {
    const [error] = TestChannel.unheardOf(channel);
    if (!error) continue;
    showAuthors(error, caller);
    throw error;
  }
}
