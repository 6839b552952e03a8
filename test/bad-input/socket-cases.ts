/** Generated WebSocket handshakes and frames, each with something wrong in it. */
import { request, type Case } from "./case.ts";
import type { Random } from "./random.ts";

interface FrameOptions {
  readonly fin?: boolean;
  /** The three reserved bits. */
  readonly reserved?: number;
  readonly isMasked?: boolean;
  /** What the header says, where that is not the payload's length. */
  readonly length?: number;
}

/** A frame as RFC 6455 §5.2 lays it out. */
function frame(opcode: number, payload: string | Buffer, options: FrameOptions = {}): Buffer {
  const { fin = true, reserved = 0, isMasked = true } = options;
  const data = typeof payload === "string" ? Buffer.from(payload) : payload;
  const length = options.length ?? data.length;
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const bit = isMasked ? 0x80 : 0;
  const header =
    length < 126
      ? Buffer.from([first, bit | length])
      : length < 65_536
        ? Buffer.from([first, bit | 126, length >> 8, length & 255])
        : Buffer.from([first, bit | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
  if (length >= 65_536) header.writeBigUInt64BE(BigInt(length), 2);
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([header, isMasked ? Buffer.alloc(4) : Buffer.alloc(0), data]);
}

const KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const UPGRADE = ["Upgrade: websocket", "Connection: Upgrade"];

function badHandshake(random: Random): Case {
  const target = random.pick([
    "/channels/check",
    "/channels",
    "/channels/stream",
    "/channels/none",
    "/channels/check?after=x",
    "/channels/room/%zz",
    "/channels/check/messages",
  ]);
  const headers = random.pick([
    [KEY],
    ["Sec-WebSocket-Version: 13"],
    [KEY, `Sec-WebSocket-Version: ${random.pick(["12", "8", "x", "", "13, 14"])}`],
    [
      `Sec-WebSocket-Key: ${random.pick(["", "abc", "!".repeat(24), "x".repeat(500)])}`,
      "Sec-WebSocket-Version: 13",
    ],
    [
      KEY,
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Protocol: ${random.pick(["mqtt", "", ",,", "x".repeat(2000), "tidewire.v2"])}`,
    ],
    [
      KEY,
      "Sec-WebSocket-Version: 13",
      `Origin: ${random.pick(["https://evil.example", "null", ""])}`,
    ],
    [KEY, "Sec-WebSocket-Version: 13"],
  ]);
  const method = random.pick(["GET", "GET", "GET", "POST", "HEAD", "PUT"]);
  return {
    kind: "handshake",
    listener: random.chance(0.9) ? "public" : "control",
    bytes: request([`${method} ${target} HTTP/1.1`, "Host: localhost", ...UPGRADE, ...headers]),
    then: "half",
  };
}

/** Frames that the protocol forbids, and frames that say nothing that can be understood. */
function badFrames(random: Random): Buffer {
  const text = () => frame(1, random.text());
  return random.pick([
    () => frame(1, "hi", { isMasked: false }),
    () => frame(1, "hi", { reserved: 1 + random.below(7) }),
    () => frame(random.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), "hi"),
    () => frame(random.pick([8, 9, 10]), "hi", { fin: false }),
    () => frame(random.pick([8, 9, 10]), "x".repeat(126 + random.below(500))),
    () => frame(0, "hi"),
    () => Buffer.concat([frame(1, "a", { fin: false }), frame(2, "b")]),
    () => Buffer.concat([frame(1, "a", { fin: false }), frame(0, "b", { fin: false })]),
    () => frame(1, Buffer.from([0xff, 0xfe, 0xc0, 0x80])),
    () => frame(8, Buffer.from([3])),
    () => frame(8, Buffer.from([random.below(256), random.below(256), 0xff])),
    () => Buffer.concat([frame(8, Buffer.from([3, 0xe8])), text(), text()]),
    () => frame(1, "", { length: random.pick([2 ** 31, 2 ** 40, 2 ** 53]) }),
    () => frame(2, Buffer.alloc(random.pick([17_000, 40_000, 120_000]))),
    () => frame(1, "x".repeat(17_000)),
    () => frame(1, "hello", { length: 5000 }),
    () => Buffer.concat(Array.from({ length: 60 }, text)),
    () => Buffer.concat(Array.from({ length: 50 }, () => frame(9, "ping"))),
    () => random.bytes(1 + random.below(300)),
    () => frame(2, random.bytes(50)),
  ])();
}

function badJsonFrames(random: Random): Buffer {
  const value = () =>
    random.pick<unknown>([
      random.text(),
      1,
      -1,
      null,
      [],
      {},
      true,
      "check",
      "room/a",
      "room/%zz",
      "none",
      "stream",
      "closed",
    ]);
  const names = [
    "type",
    "channel",
    "data",
    "event",
    "key",
    "after",
    "last",
    "ref",
    "__proto__",
    "x",
  ];
  const object = () => {
    const members = Array.from(
      { length: random.below(5) },
      () => [random.pick(names), value()] as const,
    );
    const type = random.chance(0.8)
      ? [["type", random.pick(["subscribe", "publish", "unsubscribe", "x"])] as const]
      : [];
    return `{${[...type, ...members].map(([name, item]) => `${JSON.stringify(name)}:${JSON.stringify(item)}`).join(",")}}`;
  };
  const texts = Array.from({ length: 1 + random.below(8) }, () =>
    random.pick([
      object,
      object,
      object,
      () => random.text(),
      () => "[".repeat(3000),
      () => '{"type":"publish","channel":"check","data":"x","event":"a\\nb"}',
    ])(),
  );
  return Buffer.concat(texts.map((item) => frame(1, item)));
}

export function socketCase(random: Random): Case {
  if (random.chance(0.25)) return badHandshake(random);
  const isFramed = random.chance(0.5);
  const target = isFramed
    ? random.pick(["/channels", "/channels/check", "/channels/closed"])
    : random.pick(["/channels/check", "/channels/closed", "/channels/strict", "/channels/room/ws"]);
  const protocol = isFramed ? ["Sec-WebSocket-Protocol: tidewire.v1"] : [];
  const head = [
    `GET ${target} HTTP/1.1`,
    "Host: localhost",
    ...UPGRADE,
    KEY,
    "Sec-WebSocket-Version: 13",
    ...protocol,
  ];
  return {
    kind: isFramed ? "v1 frames" : "raw frames",
    listener: "public",
    bytes: request(head),
    frames: isFramed && random.chance(0.6) ? badJsonFrames(random) : badFrames(random),
    then: random.chance(0.5) ? "vanish" : "half",
  };
}
