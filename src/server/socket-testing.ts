/** A WebSocket client for tests that takes one frame after the other. */

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class TestSocket {
  readonly #socket: WebSocket;
  readonly #items: (string | Uint8Array | Closed)[] = [];
  readonly #waiting: ((item: string | Uint8Array | Closed) => void)[] = [];

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) =>
      this.#push(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
    socket.onclose = ({ code, reason }) => this.#push({ code, reason });
  }

  /** @param url The HTTP URL; frames are `tidewire.v1` where `protocol` says so. */
  static async open(url: string, protocol?: "tidewire.v1"): Promise<TestSocket> {
    const socket = new WebSocket(url.replace(/^http/, "ws"), protocol ? [protocol] : []);
    const client = new TestSocket(socket);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error(`${url} could not be opened`));
    });
    return client;
  }

  /** The next frame, or how the socket was closed. */
  next(): Promise<string | Uint8Array | Closed> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next frame, which is JSON. */
  async json(): Promise<Record<string, unknown>> {
    const item = await this.next();
    if (typeof item === "string") return JSON.parse(item) as Record<string, unknown>;
    throw new Error(`not a text frame: ${JSON.stringify(item)}`);
  }

  /** Sends text or bytes as they are, anything else as JSON. */
  send(data: unknown): void {
    const isRaw = typeof data === "string" || data instanceof Uint8Array;
    this.#socket.send(isRaw ? (data as string) : JSON.stringify(data));
  }

  /** Sends a frame and gives the one that comes back. */
  ask(frame: Record<string, unknown>): Promise<Record<string, unknown>> {
    this.send(frame);
    return this.json();
  }

  close(): void {
    this.#socket.close();
  }

  #push(item: string | Uint8Array | Closed): void {
    const taker = this.#waiting.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }
}
