import { describe, expect, test } from "bun:test";
import { randomFrom } from "../../test/kill/fleet.ts";
import { grows, slopeBeside, slopeOfMinima } from "./slope.ts";

const MB = 1e6;
const random = randomFrom(7);

/** Memory as a collector leaves it: it climbs by up to 8 MB and falls back; beside it a leak, bytes a second. */
function memory(leak: number) {
  return Array.from({ length: 120 }, (_, s) => ({
    s,
    value: 60 * MB + (random(1000) / 1000) * 8 * MB + leak * s,
  }));
}

describe("slopeOfMinima()", () => {
  test("finds nothing in a sawtooth, whatever its phase", () => {
    for (let run = 0; run < 200; run++) {
      expect(grows(slopeOfMinima(memory(0)), 4 * MB)).toBeFalse();
    }
  });

  test("finds a leak of 500 kB a second under a sawtooth of 8 MB", () => {
    for (let run = 0; run < 200; run++) {
      const slope = slopeOfMinima(memory(0.5 * MB));
      expect(grows(slope, 4 * MB)).toBeTrue();
      expect(Math.abs(slope.perMinute - 30 * MB)).toBeLessThan(5 * slope.error);
    }
  });

  test("finds nothing in what grows while it warms up, in the first half", () => {
    const samples = memory(0).map(({ s, value }) => ({ s, value: value + Math.min(s, 55) * MB }));
    expect(grows(slopeOfMinima(samples), 4 * MB)).toBeFalse();
  });

  test("says nothing of too few samples", () => {
    expect(grows(slopeOfMinima([]), 0)).toBeFalse();
    expect(grows(slopeOfMinima([{ s: 1, value: 1 }]), 0)).toBeFalse();
  });
});

describe("slopeBeside()", () => {
  /** One descriptor for each client, some of their own, and some that are never closed, a second. */
  const descriptors = (leak: number) =>
    Array.from({ length: 120 }, (_, s) => {
      const beside = 60 + random(30) + Math.round(s / 4);
      return { s, beside, value: 14 + beside + random(3) + Math.floor(leak * s) };
    });

  test("finds nothing where clients become more", () => {
    expect(grows(slopeBeside(descriptors(0)), 3)).toBeFalse();
  });

  test("finds descriptors that are never closed", () => {
    expect(grows(slopeBeside(descriptors(0.2)), 3)).toBeTrue();
  });
});
