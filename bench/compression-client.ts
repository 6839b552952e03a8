/** Subscribers on raw TCP that count what they are sent, and a sample that keeps it to be decoded. */
import zlib from "node:zlib";
import type { Socket } from "bun";
import { readFrames } from "../test/transports/clients/tcp.ts";
import type { CompressionLoad, WireCoding } from "./compression-spec.ts";

const PATH = "/channels/bench";

interface Client {
  bytes: number;
  /** Bytes of the answer that is being read that are still to come; long-poll alone. */
  missing: number;
  head: Buffer;
  /** All that came, of the sample. */
  readonly kept: Buffer[] | null;
}

export class Clients {
  readonly #load: CompressionLoad;
  readonly #request: string;
  readonly #clients: Client[] = [];
  /** When the last bytes came, as `performance.now()` has it. */
  lastMs = 0;
  opened = 0;

  constructor(load: CompressionLoad) {
    this.#load = load;
    this.#request = requestOf(load);
  }

  async open(count: number): Promise<void> {
    for (let opened = 0; opened < count; opened++) {
      const data: Client = {
        ...{ bytes: 0, missing: 0, head: Buffer.alloc(0) },
        kept: opened === 0 ? [] : null,
      };
      this.#clients.push(data);
      await Bun.connect<Client>({
        hostname: "127.0.0.1",
        port: this.#load.port,
        data,
        socket: {
          open: (socket) => void socket.write(this.#request),
          data: (socket, chunk) => this.#read(socket, chunk),
        },
      });
    }
  }

  /** From here on all that comes is counted. */
  reset(): void {
    for (const client of this.#clients) {
      client.bytes = 0;
      client.kept?.splice(0);
    }
  }

  get sampleBytes(): number {
    return this.#clients[0]!.bytes;
  }

  /** Subscribers that got another number of bytes than the sample. */
  get uneven(): number {
    return this.#clients.filter(({ bytes }) => bytes !== this.sampleBytes).length;
  }

  /** Messages that the sample got, decoded. */
  decoded(): number {
    const whole = Buffer.concat(this.#clients[0]!.kept!);
    const { transport, coding } = this.#load;
    if (transport === "websocket") return framesIn(whole);
    if (transport === "sse") {
      return (
        decode(unchunked(whole), coding)
          .toString()
          .match(/^data: /gm)?.length ?? 0
      );
    }
    let messages = 0;
    for (const { body, isCoded } of answersIn(whole)) {
      const page = decode(body, isCoded ? coding : "none").toString();
      messages += (JSON.parse(page) as { messages: unknown[] }).messages.length;
    }
    return messages;
  }

  #read(socket: Socket<Client>, chunk: Buffer): void {
    const client = socket.data;
    this.lastMs = performance.now();
    client.bytes += chunk.length;
    client.kept?.push(Buffer.from(chunk));
    if (this.#load.transport === "long-poll") this.#readAnswer(socket, chunk);
    else if (client.bytes === chunk.length) this.opened++;
  }

  /** Asks again as soon as an answer is there. */
  #readAnswer(socket: Socket<Client>, chunk: Buffer): void {
    const client = socket.data;
    if (client.missing > 0) {
      client.missing -= chunk.length;
      if (client.missing > 0) return;
    } else {
      client.head = Buffer.concat([client.head, chunk]);
      const end = client.head.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = client.head.toString("latin1", 0, end);
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      client.missing = end + 4 + length - client.head.length;
      client.head = Buffer.from(head);
      if (client.missing > 0) return;
    }
    const next = /\r\nlink: <([^>]+)>/i.exec(client.head.toString())![1]!;
    client.head = Buffer.alloc(0);
    socket.write(this.#request.replace(/^GET \S+/, `GET ${next}`));
  }
}

function requestOf({ transport, coding, port }: CompressionLoad): string {
  const path = transport === "long-poll" ? `${PATH}?limit=1000&wait=60` : PATH;
  const head = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`;
  if (transport === "websocket") {
    const extension =
      coding === "deflate" ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "";
    return `${head}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${extension}\r\n`;
  }
  const accept = transport === "sse" ? "text/event-stream" : "application/vnd.tidewire+json";
  const encoding = coding === "none" ? "" : `Accept-Encoding: ${coding}\r\n`;
  return `${head}Accept: ${accept}\r\n${encoding}\r\n`;
}

/** A piece of a stream, which may begin in its middle. */
function decode(bytes: Buffer, coding: WireCoding): Buffer {
  if (coding === "zstd") return zlib.zstdDecompressSync(bytes);
  if (coding !== "gzip") return bytes;
  // Whole answers have a header; what a stream goes on with are blocks of deflate.
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return zlib.gunzipSync(bytes);
  return zlib.inflateRawSync(bytes, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
}

/** Frames with what each holds, inflated where it says that it is compressed (RFC 7692 §7.2.2). */
function framesIn(bytes: Buffer): number {
  let at = 0;
  let count = 0;
  for (const { payload } of readFrames(bytes)) {
    const isCoded = (bytes[at]! & 0x40) !== 0;
    at += payload.length + (payload.length < 126 ? 2 : payload.length < 65_536 ? 4 : 10);
    const end = Buffer.from([0, 0, 0xff, 0xff]);
    const plain = isCoded
      ? zlib.inflateRawSync(Buffer.concat([payload, end]), {
          finishFlush: zlib.constants.Z_SYNC_FLUSH,
        })
      : payload;
    if (JSON.parse(plain.toString())) count++;
  }
  return count;
}

/** The data of chunks (RFC 9112 §7.1). */
function unchunked(bytes: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf("\r\n", at);
    const length = parseInt(bytes.toString("latin1", at, end), 16);
    chunks.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
  return Buffer.concat(chunks);
}

function* answersIn(bytes: Buffer): Iterable<{ body: Buffer; isCoded: boolean }> {
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf("\r\n\r\n", at);
    const head = bytes.toString("latin1", at, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const isCoded = /\r\ncontent-encoding: /i.test(head);
    at = end + 4 + length;
    if (length > 0) yield { body: bytes.subarray(end + 4, at), isCoded };
  }
}
