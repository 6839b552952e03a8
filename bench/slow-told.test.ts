import { expect, test } from "bun:test";
import { toldByFrames, toldBySse } from "./slow-told.ts";

const event = (offset: number) => `id: e-${offset}\ndata: {"t":1}\n\n`;
const gap = (after: number, id: number) =>
  `event: tidewire:gap\nid: e-${id}\ndata: {"after":"e-${after}","id":"e-${id}"}\n\n`;
const chunks = (...texts: string[]) =>
  Buffer.from(
    `HTTP/1.1 200 OK\r\n\r\n${texts.map((text) => `${text.length.toString(16)}\r\n${text}\r\n`).join("")}`,
  );

test("toldBySse() counts messages, gaps and what was lost, whatever the chunks", () => {
  const told = { messages: 3, gaps: 1, lost: 4, isBroken: false };
  const text = event(1) + event(2) + gap(2, 6) + event(7);
  expect(toldBySse(chunks(text))).toEqual({ ...told, end: null });
  expect(toldBySse(chunks(text.slice(0, 20), text.slice(20), ""))).toEqual({
    ...told,
    end: "end of stream",
  });
});

test.each([
  ["a hole that no gap tells of", event(1) + event(3)],
  ["a message twice", event(1) + event(1)],
  ["a gap from another place", event(1) + gap(2, 3) + event(4)],
])("toldBySse() sees %s", (_, text) => {
  expect(toldBySse(chunks(text)).isBroken).toBe(true);
});

test("toldByFrames() reads the close code", () => {
  const frame = JSON.stringify({ type: "message", id: "e-1", data: 1 });
  const bytes = Buffer.concat([
    Buffer.from("HTTP/1.1 101 x\r\n\r\n"),
    Buffer.from([0x81, frame.length]),
    Buffer.from(frame),
    Buffer.from([0x88, 2, 4008 >> 8, 4008 & 0xff]),
  ]);
  expect(toldByFrames(bytes)).toEqual({
    ...{ messages: 1, gaps: 0, lost: 0, isBroken: false },
    end: "4008",
  });
});
