/** The bytes that a subscriber of each transport sends, written by hand: the load must cost little. */
import type { Endpoint, Transport } from "./spec.ts";

/** What opens a subscription on a new connection. */
export function openingRequest(transport: Transport, { path, port }: Endpoint): Uint8Array {
  const head = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`;
  switch (transport) {
    case "websocket":
      // The key is any 16 bytes (RFC 6455 §4.1); this is the RFC's own example.
      return ascii(
        `${head}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
          `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
      );
    case "sse":
      return ascii(`${head}Accept: text/event-stream\r\n\r\n`);
    case "long-poll":
      return ascii(`${head}\r\n`);
    case "http2-push":
      return openPushStream(path, `127.0.0.1:${port}`);
  }
}

/** How the first bytes of a good answer begin; empty where they are not text. */
export const OPENING_ANSWER: Readonly<Record<Transport, string>> = {
  websocket: "HTTP/1.1 101 ",
  sse: "HTTP/1.1 200 ",
  "long-poll": "HTTP/1.1 20",
  "http2-push": "",
};

/** Acknowledges the server's SETTINGS (RFC 9113 §6.5.3). */
export const SETTINGS_ACK = frame(0x4, 0x1, 0, new Uint8Array());

/** How each PING of these servers starts, whose payload is zeros, and the answer that it is owed (RFC 9113 §6.7). */
export const PING = Uint8Array.of(0, 0, 8, 6, 0, 0, 0, 0, 0);
export const PING_ACK = Uint8Array.of(0, 0, 8, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

function openPushStream(path: string, authority: string): Uint8Array {
  // ENABLE_PUSH (2) = 1, MAX_CONCURRENT_STREAMS (3) = 2^20: pushes wait for nothing but the server.
  const settings = new Uint8Array([0, 2, 0, 0, 0, 1, 0, 3, 0, 0x10, 0, 0]);
  // All the window that there is (RFC 9113 §6.9.1), so that no update is due in a run.
  const window = new Uint8Array(4);
  new DataView(window.buffer).setUint32(0, 2 ** 31 - 1 - 65535);
  // HPACK (RFC 7541): :method GET (index 2), :scheme http (6), :path (4) and :authority (1) in literals.
  const headers = Buffer.concat([
    new Uint8Array([0x82, 0x86]),
    literal(4, path),
    literal(1, authority),
  ]);
  const endHeadersAndStream = 0x5;
  return Buffer.concat([
    ascii("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(0x4, 0, 0, settings),
    frame(0x8, 0, 0, window),
    frame(0x1, endHeadersAndStream, 1, headers),
  ]);
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(9);
  const view = new DataView(header.buffer);
  view.setUint16(1, payload.length);
  header[3] = type;
  header[4] = flags;
  view.setUint32(5, stream);
  return Buffer.concat([header, payload]);
}

/** A header that is not to be indexed, its name from the static table (RFC 7541 §6.2.2). */
function literal(nameIndex: number, value: string): Uint8Array {
  if (value.length > 126) throw new RangeError(`"${value}" is over 126 bytes long`);
  return Buffer.concat([new Uint8Array([nameIndex, value.length]), ascii(value)]);
}

function ascii(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}
