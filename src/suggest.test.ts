import { describe, expect, test } from "bun:test";
import { closestWord, editDistance } from "./suggest.ts";

describe("editDistance()", () => {
  test.each([
    ["", "", 0],
    ["", "abc", 3],
    ["history", "histroy", 1],
    ["kitten", "sitting", 3],
    ["ca", "abc", 3],
    ["plugins", "plugin", 1],
  ])("%p to %p is %d, both ways", (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe("closestWord()", () => {
  const words = ["websocket", "sse", "long-poll", "http2-push"];
  test.each([
    ["websockets", "websocket"],
    ["longPoll", "long-poll"],
    ["LONG_POLL", "long-poll"],
    ["ses", "sse"],
    ["http2", null],
    ["carrier-pigeon", null],
    ["", null],
    ["x".repeat(1_000_000), null],
  ])("%p gives %p", (word, closest) => {
    expect(closestWord(word, words)).toBe(closest);
  });

  test("takes the nearest of several", () => {
    expect(closestWord("tokens", ["taken", "token"])).toBe("token");
  });
});
