/** HTTP/1.1 on a bare socket, which can stop reading and break off where `fetch` can't. */
import { connect, type Socket } from "node:net";

export interface Head {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
}

export interface HttpEvents {
  head(head: Head): void;
  body(chunk: Buffer): void;
  /** The answer is whole. */
  done(): void;
  /** The connection ended, whoever ended it. */
  closed(): void;
}

const HEAD_END = "\r\n\r\n";

/** One connection; answers come in the order of the requests. */
export class HttpConnection {
  readonly socket: Socket;
  readonly #host: string;
  readonly #events: HttpEvents;
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of body that are still to come; -1 while a head is awaited, -2 in chunks. */
  #left = -1;
  /** Bytes of the chunk that are still to come, its line end with it; 0 while its size is awaited. */
  #chunk = 0;
  #isLastChunk = false;

  constructor(url: string, events: HttpEvents) {
    const { hostname, port, host } = new URL(url);
    this.#host = host;
    this.#events = events;
    this.socket = connect(Number(port), hostname);
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk: Buffer) => this.#read(chunk));
    this.socket.on("error", () => {});
    this.socket.on("close", () => events.closed());
  }

  /** @param fields Header lines, each with its line end. */
  request(method: string, path: string, fields = "", body = ""): void {
    const length = method === "POST" ? `Content-Length: ${Buffer.byteLength(body)}\r\n` : "";
    this.socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n${fields}${length}\r\n${body}`,
    );
  }

  #read(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length > 0 && this.#step());
  }

  /** @returns Whether there may be more to take from what was read. */
  #step(): boolean {
    if (this.#left === -1) return this.#head();
    if (this.#left === -2) return this.#chunked();
    const part = this.#take(Math.min(this.#left, this.#rest.length));
    this.#left -= part.length;
    this.#events.body(part);
    if (this.#left === 0) this.#done();
    return true;
  }

  #head(): boolean {
    const end = this.#rest.indexOf(HEAD_END);
    if (end < 0) return false;
    const [line = "", ...lines] = this.#take(end + HEAD_END.length)
      .toString("latin1", 0, end)
      .split("\r\n");
    const headers = new Map(
      lines.map((field) => {
        const colon = field.indexOf(":");
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
      }),
    );
    const status = Number(line.split(" ")[1]);
    const isChunked = headers.get("transfer-encoding") === "chunked";
    this.#left = isChunked ? -2 : Number(headers.get("content-length") ?? 0);
    this.#events.head({ status, headers });
    if (this.#left === 0) this.#done();
    return true;
  }

  #chunked(): boolean {
    if (this.#chunk === 0) {
      const end = this.#rest.indexOf("\r\n");
      if (end < 0) return false;
      const size = parseInt(this.#take(end + 2).toString("latin1"), 16);
      this.#isLastChunk = size === 0;
      this.#chunk = size + 2;
    }
    const part = this.#take(Math.min(this.#chunk, this.#rest.length));
    // The line end after a chunk is none of its data.
    const data = part.subarray(0, Math.max(0, Math.min(part.length, this.#chunk - 2)));
    this.#chunk -= part.length;
    if (data.length > 0) this.#events.body(data);
    if (this.#chunk === 0 && this.#isLastChunk) this.#done();
    return true;
  }

  #take(bytes: number): Buffer {
    const part = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(bytes);
    return part;
  }

  #done(): void {
    this.#left = -1;
    this.#isLastChunk = false;
    this.#events.done();
  }
}

export interface Answer extends Head {
  readonly body: string;
}

/** Requests one after the other on one connection. */
export class HttpClient {
  readonly #connection: HttpConnection;
  #head: Head | null = null;
  #body: Buffer[] = [];
  #settle: ((answer: Answer | null) => void) | null = null;
  isClosed = false;

  constructor(url: string) {
    this.#connection = new HttpConnection(url, {
      head: (head) => void (this.#head = head),
      body: (chunk) => void this.#body.push(chunk),
      done: () => this.#answer({ ...this.#head!, body: Buffer.concat(this.#body).toString() }),
      closed: () => {
        this.isClosed = true;
        this.#answer(null);
      },
    });
  }

  /** Resolves to the answer, null when the connection ended without one. */
  request(method: string, path: string, fields?: string, body?: string): Promise<Answer | null> {
    if (this.isClosed) return Promise.resolve(null);
    this.#body = [];
    const answer = new Promise<Answer | null>((resolve) => (this.#settle = resolve));
    this.#connection.request(method, path, fields, body);
    return answer;
  }

  get socket(): Socket {
    return this.#connection.socket;
  }

  #answer(answer: Answer | null): void {
    const settle = this.#settle;
    this.#settle = null;
    settle?.(answer);
  }
}
