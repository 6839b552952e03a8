import { describe, expect, test } from "bun:test";
import type { RequestError } from "../transport/errors.ts";
import { PublishRate } from "./publish-rate.ts";

function rate(perSecond: number, burst: number) {
  let nowMs = 5000;
  const limit = new PublishRate({ perSecond, burst }, () => nowMs);
  /** Seconds to wait; 0 where it was taken. */
  const take = (count: number, allowance = limit.ofAddress("192.0.2.1")!): number => {
    try {
      limit.take(allowance, count);
      return 0;
    } catch (error) {
      const { status, code, headers, extra } = error as RequestError;
      expect([status, code]).toEqual([429, "rate-limited"]);
      expect(headers["retry-after"]).toBe(String(extra["retryAfter"]));
      return extra["retryAfter"] as number;
    }
  };
  return { limit, take, wait: (ms: number) => void (nowMs += ms) };
}

describe("PublishRate", () => {
  test("lets a burst through, then as many as the rate says", () => {
    const { take, wait } = rate(10, 5);
    for (let i = 0; i < 5; i++) expect(take(1)).toBe(0);
    expect(take(1)).toBe(1);
    wait(99);
    expect(take(1)).toBe(1);
    wait(1);
    expect(take(1)).toBe(0);
    expect(take(1)).toBe(1);
    wait(60_000);
    // A long rest gives one burst, not more.
    expect(Array.from({ length: 7 }, () => take(1))).toEqual([0, 0, 0, 0, 0, 1, 1]);
  });

  test("takes nothing for what it refuses, and says how long it takes", () => {
    const { take, wait } = rate(1, 10);
    expect(take(8)).toBe(0);
    expect(take(5)).toBe(3);
    expect(take(5)).toBe(3);
    expect(take(2)).toBe(0);
    wait(4999);
    expect(take(5)).toBe(1);
    wait(1);
    expect(take(5)).toBe(0);
  });

  test("lets a batch that is larger than a burst through when the client has rested, and makes it up", () => {
    const { take, wait } = rate(10, 20);
    expect(take(1)).toBe(0);
    expect(take(100)).toBe(1);
    wait(100);
    expect(take(100)).toBe(0);
    expect(take(1)).toBe(9);
    wait(8000);
    expect(take(1)).toBe(1);
    wait(100);
    expect(take(1)).toBe(0);
  });

  test("keeps addresses apart, and all of an IPv6 network together", () => {
    const { limit, take, wait } = rate(1, 1);
    expect(take(1, limit.ofAddress("2001:db8::1")!)).toBe(0);
    expect(take(1, limit.ofAddress("2001:db8::2")!)).toBe(1);
    expect(take(1, limit.ofAddress("2001:db8:0:1::1")!)).toBe(0);
    expect(take(1, limit.ofAddress("192.0.2.1")!)).toBe(0);
    for (const address of ["", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]) {
      expect(limit.ofAddress(address)).toBeNull();
    }
    for (const address of ["128.0.0.1", "::2"]) expect(limit.ofAddress(address)).not.toBeNull();
    expect(limit.addresses).toBe(3);
    wait(1000);
    expect(limit.addresses).toBe(0);
  });

  test("update() holds from then on", () => {
    const { limit, take } = rate(1, 1);
    expect([take(1), take(1)]).toEqual([0, 1]);
    limit.update({ perSecond: 10, burst: 100 });
    expect(take(50)).toBe(0);
  });

  test("remembers no more than 100,000 addresses", () => {
    const { limit, take } = rate(1, 1);
    for (let i = 0; i < 100_050; i++) {
      limit.take(limit.ofAddress(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)!, 1);
    }
    expect(limit.addresses).toBe(100_000);
    // The last is limited still.
    expect(take(1, limit.ofAddress("10.1.134.209")!)).toBe(1);
  });
});
