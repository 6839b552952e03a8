/**
 * TCP clients that stop reading: bare sockets of the kernel that nothing in this process waits on. So they cost
 * no CPU while they stall; and little of what waits for them waits in the kernel, as over a real network.
 */
import { dlopen, ptr } from "bun:ffi";

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const IPPROTO_TCP = 6;
const TCP_MAXSEG = 2;
const MSG_DONTWAIT = 0x40;
const RECEIVE_BYTES = 65_536;
/** Of Ethernet. Loopback has 64 KiB, and the kernel sets aside room for twenty segments: 2.6 MB a socket. */
const SEGMENT_BYTES = 1460;

const libc = dlopen("libc.so.6", {
  socket: { args: ["int", "int", "int"], returns: "int" },
  connect: { args: ["int", "ptr", "u32"], returns: "int" },
  setsockopt: { args: ["int", "int", "int", "ptr", "u32"], returns: "int" },
  send: { args: ["int", "ptr", "u64", "int"], returns: "i64" },
  recv: { args: ["int", "ptr", "u64", "int"], returns: "i64" },
  close: { args: ["int"], returns: "int" },
}).symbols;

const chunk = new Uint8Array(1 << 20);
const chunkAt = ptr(chunk);

export class StalledClient {
  readonly #fd: number;
  readonly #chunks: Buffer[] = [];
  /** The server has closed the connection, and all that it sent was read. */
  isEnded = false;

  /** @throws {Error} When nobody listens on this port of 127.0.0.1. */
  constructor(port: number) {
    this.#fd = libc.socket(AF_INET, SOCK_STREAM, 0);
    this.#set(SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES);
    this.#set(IPPROTO_TCP, TCP_MAXSEG, SEGMENT_BYTES);
    const address = new Uint8Array([
      AF_INET,
      0,
      port >> 8,
      port & 0xff,
      127,
      0,
      0,
      1,
      ...new Uint8Array(8),
    ]);
    if (libc.connect(this.#fd, ptr(address), address.length) === 0) return;
    libc.close(this.#fd);
    throw new Error(`no connection to port ${port}`);
  }

  send(data: Uint8Array): void {
    const sent = libc.send(this.#fd, ptr(data), data.length, 0);
    if (Number(sent) !== data.length)
      throw new Error(`only ${sent} of ${data.length} bytes were taken`);
  }

  /** Takes as much as there is now, and no more than `maxBytes`; gives how much that was. */
  read(maxBytes = chunk.length): number {
    if (this.isEnded) return 0;
    const count = Number(libc.recv(this.#fd, chunkAt, maxBytes, MSG_DONTWAIT));
    if (count === 0) this.isEnded = true;
    if (count <= 0) return 0;
    this.#chunks.push(Buffer.from(chunk.subarray(0, count)));
    return count;
  }

  /** All that was read. */
  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  close(): void {
    libc.close(this.#fd);
  }

  #set(level: number, option: number, value: number): void {
    libc.setsockopt(this.#fd, level, option, ptr(new Int32Array([value])), 4);
  }
}
