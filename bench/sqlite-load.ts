/** Publishers of the publish bench, in a process of their own: each sends the next when one is answered. */
import type { Socket } from "bun";
import { cpuSeconds } from "./measure.ts";

/** What the load is told, as JSON. */
export interface PublishLoad {
  /** `posts`: one POST under way each. `frames`: `publish` frames of one `tidewire.v1` socket each. */
  readonly kind: "posts" | "frames";
  readonly port: number;
  readonly channel: string;
  /** The server's process, whose CPU is read. */
  readonly pid: number;
  readonly publishers: number;
  /** Messages that each has under way: in one POST (more than one as NDJSON), or in as many frames. */
  readonly batch: number;
  readonly payloadBytes: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

export interface PublishLoadResult {
  /** Messages that were acknowledged in a second. */
  readonly rate: number;
  /** The server's CPU time for one of them, in microseconds. */
  readonly cpuUs: number;
  /** POSTs or frames that were refused. */
  readonly refused: number;
}

/** What is counted, over all publishers. */
interface Count {
  acknowledged: number;
  refused: number;
}

/** @returns A JSON value of so many bytes. */
export function payload(bytes: number): string {
  return JSON.stringify("x".repeat(bytes - 2));
}

/** What a socket takes later, when its buffer was full. */
class Output {
  #unsent: Uint8Array = new Uint8Array(0);

  write(socket: Socket<unknown>, bytes: Uint8Array): void {
    this.#unsent = this.#unsent.length > 0 ? Buffer.concat([this.#unsent, bytes]) : bytes;
    this.drain(socket);
  }

  drain(socket: Socket<unknown>): void {
    if (this.#unsent.length === 0) return;
    this.#unsent = this.#unsent.subarray(Math.max(0, socket.write(this.#unsent)));
  }
}

async function post(spec: PublishLoad, count: Count): Promise<Socket<unknown>> {
  const { port, channel, batch, payloadBytes } = spec;
  const body = Array.from({ length: batch }, () => payload(payloadBytes)).join("\n");
  const type = batch > 1 ? "application/x-ndjson" : "application/json";
  const request = Buffer.from(
    `POST /channels/${channel} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const output = new Output();
  let left = 0;
  let head = "";
  return Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => output.write(socket, request),
      drain: (socket) => output.drain(socket),
      data(socket, chunk) {
        let length = chunk.length;
        if (left === 0) {
          head += chunk.toString("latin1");
          const end = head.indexOf("\r\n\r\n");
          if (end < 0) return;
          const [, bytes] = /content-length: (\d+)/i.exec(head)!;
          if (head.startsWith("HTTP/1.1 201")) count.acknowledged += batch;
          else count.refused++;
          left = Number(bytes) + end + 4;
          length = head.length;
          head = "";
        }
        left -= length;
        if (left === 0) output.write(socket, request);
      },
    },
  });
}

/** Where the type of an answer differs: `{"type":"ack"` and `{"type":"error"`. */
const TYPE_AT = 9;

async function openFrames(spec: PublishLoad, count: Count): Promise<Socket<unknown>> {
  const { port, channel, batch, payloadBytes } = spec;
  const data = JSON.parse(payload(payloadBytes)) as string;
  const frame = maskedText(JSON.stringify({ type: "publish", channel, ref: 1, data }));
  const request = Buffer.from(
    "GET /channels HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n" +
      "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
      "sec-websocket-protocol: tidewire.v1\r\n\r\n",
  );
  const output = new Output();
  const send = (socket: Socket<unknown>, frames: number) => {
    if (frames > 0) output.write(socket, Buffer.concat(Array<Uint8Array>(frames).fill(frame)));
  };
  let rest: Buffer = Buffer.alloc(0);
  let isOpen = false;
  return Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => output.write(socket, request),
      drain: (socket) => output.drain(socket),
      data(socket, chunk) {
        rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
        if (!isOpen) {
          const end = rest.indexOf("\r\n\r\n");
          if (end < 0) return;
          if (!rest.toString("latin1").startsWith("HTTP/1.1 101")) throw new Error(String(rest));
          isOpen = true;
          rest = rest.subarray(end + 4);
          send(socket, batch);
        }
        let answers = 0;
        for (;;) {
          const text = textAt(rest);
          if (text === null) break;
          if (rest[text.start + TYPE_AT] === "a".charCodeAt(0)) count.acknowledged++;
          else count.refused++;
          answers++;
          rest = rest.subarray(text.end);
        }
        send(socket, answers);
      },
    },
  });
}

/** A text frame of a client (RFC 6455 §5.2), masked with zeros. */
function maskedText(text: string): Uint8Array {
  const data = Buffer.from(text);
  const { length } = data;
  const size = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([0x81, ...size, 0, 0, 0, 0]), data]);
}

/** Where the text of the first frame lies, of less than 64 KiB; null where it is not there yet. */
function textAt(bytes: Buffer): { readonly start: number; readonly end: number } | null {
  if (bytes.length < 2) return null;
  const isLong = bytes[1] === 126;
  if (isLong && bytes.length < 4) return null;
  const start = isLong ? 4 : 2;
  const end = start + (isLong ? bytes.readUInt16BE(2) : bytes[1]!);
  return end <= bytes.length ? { start, end } : null;
}

async function load(spec: PublishLoad): Promise<PublishLoadResult> {
  const { kind, publishers, pid, warmUpSeconds, seconds } = spec;
  const count: Count = { acknowledged: 0, refused: 0 };
  const open = kind === "posts" ? post : openFrames;
  const sockets = await Promise.all(Array.from({ length: publishers }, () => open(spec, count)));
  await Bun.sleep(warmUpSeconds * 1000);
  const before = count.acknowledged;
  const cpuBefore = cpuSeconds(pid);
  const startedMs = performance.now();
  await Bun.sleep(seconds * 1000);
  const acknowledged = count.acknowledged - before;
  const cpuUs = ((cpuSeconds(pid) - cpuBefore) * 1e6) / acknowledged;
  const rate = (acknowledged / (performance.now() - startedMs)) * 1000;
  for (const socket of sockets) socket.terminate();
  return { rate, cpuUs, refused: count.refused };
}

if (import.meta.main) {
  console.log(JSON.stringify(await load(JSON.parse(process.argv[2]!) as PublishLoad)));
}
