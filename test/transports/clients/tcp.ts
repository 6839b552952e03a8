/** Bare TCP clients: they can stop reading, break off, and send what no library would. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface TcpClient {
  readonly socket: Socket;
  /** All bytes received so far, as latin1. */
  text(): string;
  /** Resolves when what was received satisfies `test`. Rejects when the connection ends before. */
  until(test: (text: string) => boolean): Promise<void>;
  /** Resolves when the server has ended the connection. */
  readonly ended: Promise<void>;
}

/** Connects and sends `request` as it is. */
export async function connectTcp(url: string, request: string | Uint8Array): Promise<TcpClient> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  let watch: (() => void) | null = null;
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    watch?.();
  });
  socket.on("error", () => {});
  const ended = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  await once(socket, "connect");
  socket.write(request);
  const text = () => Buffer.concat(chunks).toString("latin1");
  return {
    socket,
    text,
    ended,
    until: (test) =>
      new Promise((resolve, reject) => {
        watch = () => {
          if (!test(text())) return;
          watch = null;
          resolve();
        };
        void ended.then(() => reject(new Error(`the connection ended: ${text().slice(-300)}`)));
        watch();
      }),
  };
}

export const WEBSOCKET_HEADERS =
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

export function get(path: string, headers = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;
}

/** Reads unmasked WebSocket frames (RFC 6455 §5.2). */
export function readFrames(bytes: Buffer): { opcode: number; payload: Buffer }[] {
  const frames: { opcode: number; payload: Buffer }[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const opcode = bytes[at]! & 0x0f;
    let length = bytes[at + 1]! & 0x7f;
    let start = at + 2;
    if (length === 126) {
      length = bytes.readUInt16BE(start);
      start += 2;
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(start));
      start += 8;
    }
    if (start + length > bytes.length) break;
    frames.push({ opcode, payload: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
}

/** A text frame as a client sends it, with a mask of zeros; at most 65,535 bytes. */
export function maskedFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const { length } = payload;
  const head = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([0x81, ...head, 0, 0, 0, 0]), payload]);
}
