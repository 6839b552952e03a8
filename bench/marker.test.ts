import { expect, test } from "bun:test";
import { formatMarker, scanMarkers, type Carry } from "./marker.ts";

const text = `HTTP/1.1 200 OK\r\n\r\n@ @@12@@ @@@0000000@@ ${[7, 8, 9, 12345678, 10]
  .map((sequence, i) => `id: x@y\ndata: {"t":"${formatMarker(sequence)}"}${"@".repeat(i)}\n\n`)
  .join("")}`;
const bytes = new TextEncoder().encode(text);

function scan(chunks: readonly Uint8Array[]): number[] {
  const stream: Carry = { tail: null, tailBytes: 0 };
  const sequences: number[] = [];
  for (const chunk of chunks) scanMarkers(stream, chunk, (_, sequence) => sequences.push(sequence));
  return sequences;
}

test("scanMarkers() finds every marker, and nothing that only looks like one", () => {
  expect(scan([bytes])).toEqual([7, 8, 9, 12345678, 10]);
});

test("scanMarkers() finds a marker that two chunks share, wherever it is cut", () => {
  for (let cut = 1; cut < bytes.length; cut++) {
    const found = scan([bytes.subarray(0, cut), bytes.subarray(cut)]);
    expect({ cut, found }).toEqual({ cut, found: [7, 8, 9, 12345678, 10] });
  }
});

test("scanMarkers() finds a marker that comes in many small chunks", () => {
  for (let size = 1; size < 15; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    expect({ size, found: scan(chunks) }).toEqual({ size, found: [7, 8, 9, 12345678, 10] });
  }
});
