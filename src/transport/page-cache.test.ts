import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { CatchUp, pageOf, type Receiver } from "../channel/catch-up.ts";
import type { Channel } from "../channel/channel.ts";
import type { Message } from "../channel/message.ts";
import { parsePosition } from "../channel/position.ts";
import { openWorld, type World } from "../channel/testing.ts";
import { PageCache } from "./page-cache.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A channel with messages 1 to `count` sent out, of `bytes` each. */
function filled(count: number, bytes = 10, options = {}): World {
  const world = openWorld({ size: 10_000, ...options });
  for (let i = 0; i < count; i++) world.publish(String(i + 1).padEnd(bytes, "."));
  world.channel.fanOut.flush();
  return world;
}

/** Pages as a list of offsets, and how often each message was encoded. */
class Encoder {
  readonly pages: PageCache<readonly number[]>;
  readonly counts = new Map<number, number>();

  constructor(maxBytes = 1_000_000) {
    this.pages = new PageCache((offsets) => offsets.length * 100, maxBytes);
  }

  readonly encode = (batch: readonly Message[]): readonly number[] => {
    for (const { offset } of batch) this.counts.set(offset, (this.counts.get(offset) ?? 0) + 1);
    return batch.map(({ offset }) => offset);
  };

  get(channel: Channel, batch: readonly Message[], form = "raw"): readonly number[] {
    return this.pages.get(channel, form, batch, this.encode);
  }

  get most(): number {
    return Math.max(...this.counts.values());
  }

  get total(): number {
    return this.counts.values().reduce((sum, count) => sum + count, 0);
  }
}

/** Catches up after an offset by pages from the cache; gives what it got, page by page. */
function resume(
  encoder: Encoder,
  { channel }: World,
  after: number,
  bufferBytes = 1 << 20,
): (readonly number[])[] {
  const got: (readonly number[])[] = [];
  const receiver: Receiver = {
    hasRoom: true,
    gap: () => {},
    replay(batch) {
      got.push(encoder.get(channel, batch));
      return batch.length;
    },
    live: () => {},
    fail: (error) => {
      throw error;
    },
  };
  const position = parsePosition(`${channel.log.epoch}-${after}`)!;
  new CatchUp(channel, receiver, { from: "after", position }, pageOf(bufferBytes)).run();
  return got;
}

const upTo = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

async function history(world: World, after: number, count: number): Promise<readonly Message[]> {
  const through = world.channel.log.top;
  return (await world.channel.log.read(after, { through, count, bytes: 1e6 })).messages;
}

describe("PageCache", () => {
  test("encodes each message once for 1,000 that resume from one position, and gives all the same", () => {
    const world = filled(500);
    const encoder = new Encoder();
    const first = resume(encoder, world, 37);
    expect(first.flat()).toEqual(upTo(38, 500));
    for (let i = 1; i < 1000; i++) {
      const other = resume(encoder, world, 37);
      expect(other).toHaveLength(first.length);
      for (const [index, page] of other.entries()) expect(page).toBe(first[index]!);
    }
    expect(encoder.most).toBe(1);
  });

  test("encodes a message of 1,000 that resume from 1,000 positions once, and once for each first page", () => {
    const world = filled(1000);
    const encoder = new Encoder();
    for (let after = 0; after < 1000; after++) {
      expect(resume(encoder, world, after).flat()).toEqual(upTo(after + 1, 1000));
    }
    // All that come from within one page encode the rest of that page, and no other.
    expect(encoder.most).toBeLessThanOrEqual(128);
    const alone = (1000 * 1001) / 2;
    expect(encoder.total).toBeLessThan(alone / 7);
  });

  test.each([64, 300, 700, 1024])(
    "shares pages that end by their bytes, of messages of %d bytes",
    (bytes) => {
      const world = filled(300, bytes);
      const encoder = new Encoder();
      const bufferBytes = 16 * 1024;
      const far = resume(encoder, world, 0, bufferBytes);
      expect(far.flat()).toEqual(upTo(1, 300));
      for (const page of far) expect(page.length * bytes).toBeLessThanOrEqual(bufferBytes / 4);
      for (let after = 1; after < 128; after++) {
        const near = resume(encoder, world, after, bufferBytes);
        expect(near.flat()).toEqual(upTo(after + 1, 300));
        const shared = near.filter((page) => page[0]! > 128);
        expect(shared.flat()).toEqual(upTo(129, 300));
        for (const page of shared) expect(far).toContain(page);
      }
    },
  );

  test("keeps pages apart by channel, by life of a channel, and by form", async () => {
    const encoder = new Encoder();
    const [one, two] = [filled(10), filled(10)];
    expect(one.channel.name).toBe(two.channel.name);
    const page = encoder.get(one.channel, await history(one, 0, 10));
    expect(encoder.get(two.channel, await history(two, 0, 10))).not.toBe(page);
    expect(encoder.get(one.channel, await history(one, 0, 10), "gzip")).not.toBe(page);
    expect(encoder.get(one.channel, await history(one, 0, 10))).toBe(page);
    expect(encoder.get(one.channel, await history(one, 0, 9))).toEqual(upTo(1, 9));
    expect(encoder.get(one.channel, await history(one, 1, 9))).toEqual(upTo(2, 10));
  });

  test("keeps pages with holes, as a state has, apart by what they hold", async () => {
    const world = filled(10);
    const encoder = new Encoder();
    const all = await history(world, 0, 10);
    const [one, other] = [5, 6].map((left) => all.filter(({ offset }) => offset !== left));
    const page = encoder.get(world.channel, one!);
    expect(page).toEqual([1, 2, 3, 4, 6, 7, 8, 9, 10]);
    expect(encoder.get(world.channel, one!)).toBe(page);
    expect(encoder.get(world.channel, other!)).toEqual([1, 2, 3, 4, 5, 7, 8, 9, 10]);
    expect(encoder.get(world.channel, all)).toHaveLength(10);
  });

  test("lets go of the pages that were asked for least of late when they take too much", async () => {
    const world = filled(3000);
    const encoder = new Encoder(100_000);
    const first = await history(world, 0, 300);
    const kept = encoder.get(world.channel, first);
    for (let after = 300; after < 2400; after += 300) {
      encoder.get(world.channel, await history(world, after, 300));
      expect(encoder.get(world.channel, first)).toBe(kept);
      expect(encoder.pages.bytes).toBeLessThanOrEqual(100_000);
    }
    expect(encoder.counts.get(1)).toBe(1);
    encoder.get(world.channel, await history(world, 300, 300));
    expect(encoder.counts.get(301)).toBe(2);
  });

  test("counts the form, of which a client may have chosen a part, and more than nothing for a page", async () => {
    const world = filled(1);
    const encoder = new Encoder(100_000);
    const page = await history(world, 0, 1);
    for (let i = 0; i < 100; i++) {
      encoder.get(world.channel, page, `${i}${"x".repeat(10_000)}`);
      expect(encoder.pages.bytes).toBeGreaterThan(10_000);
      expect(encoder.pages.bytes).toBeLessThanOrEqual(100_000);
    }
    expect(encoder.counts.get(1)).toBe(100);
    encoder.get(world.channel, page, `99${"x".repeat(10_000)}`);
    encoder.get(world.channel, page, `0${"x".repeat(10_000)}`);
    expect(encoder.counts.get(1)).toBe(101);
  });

  test("keeps no channel", async () => {
    const encoder = new Encoder();
    const channels: WeakRef<Channel>[] = [];
    for (let i = 0; i < 100; i++) {
      const world = filled(1);
      encoder.get(world.channel, await history(world, 0, 1));
      channels.push(new WeakRef(world.channel));
      await world.broker.close();
    }
    const { bytes } = encoder.pages;
    // A turn of its own: what a weak reference was read for in one stays until its end.
    await new Promise((resolve) => process.nextTick(resolve));
    Bun.gc(true);
    const kept = channels.filter((channel) => channel.deref() !== undefined);
    expect(kept.length).toBeLessThan(50);
    expect(encoder.pages.bytes).toBe(bytes);
  });

  test("keeps no page that is larger than all of it", async () => {
    const world = filled(2000);
    const encoder = new Encoder(100_000);
    const kept = encoder.get(world.channel, await history(world, 0, 10));
    const { bytes } = encoder.pages;
    encoder.get(world.channel, await history(world, 0, 1500));
    expect(encoder.pages.bytes).toBe(bytes);
    expect(encoder.get(world.channel, await history(world, 0, 10))).toBe(kept);
  });

  test("keeps what is asked for, and lets go of the rest soon after", async () => {
    const world = filled(20);
    // The broker's own.
    const timers = jest.getTimerCount();
    const encoder = new Encoder();
    const [wanted, unwanted] = [await history(world, 0, 10), await history(world, 10, 10)];
    const page = encoder.get(world.channel, wanted);
    const { bytes } = encoder.pages;
    encoder.get(world.channel, unwanted);
    for (let second = 0; second < 5; second++) {
      jest.advanceTimersByTime(1000);
      expect(encoder.get(world.channel, wanted)).toBe(page);
    }
    expect(encoder.pages.bytes).toBe(bytes);
    jest.advanceTimersByTime(2000);
    expect(encoder.pages.bytes).toBe(0);
    // No timer is left to run for nothing.
    expect(jest.getTimerCount()).toBe(timers);
    expect(encoder.get(world.channel, wanted)).not.toBe(page);
    expect(jest.getTimerCount()).toBe(timers + 1);
    encoder.pages.clear();
    expect(encoder.pages.bytes).toBe(0);
    expect(jest.getTimerCount()).toBe(timers);
  });
});
