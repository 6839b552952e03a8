/** What the server's process holds: memory, descriptors, threads, each second; and what it has in use. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { HttpConnection } from "./clients/http.ts";
import type { Beside, Sample } from "./slope.ts";

/** What the gauge's plugin tells. */
export interface Heap {
  readonly heap: number;
  readonly tookMs: number;
  /** Objects in use, by kind. */
  readonly kinds: Readonly<Record<string, number>>;
}

const EVERY_MS = 1000;

export class Gauges {
  readonly #pid: number;
  readonly #clients: () => number;
  readonly #startedMs = performance.now();
  readonly #timer: Timer;
  readonly #stream: HttpConnection;
  readonly resident: Sample[] = [];
  readonly descriptors: Beside[] = [];
  readonly heap: Sample[] = [];
  #kinds: { s: number; kinds: Heap["kinds"] }[] = [];
  threads = 0;

  /** @param clients How many connections there are now. */
  constructor(pid: number, publicUrl: string, clients: () => number) {
    this.#pid = pid;
    this.#clients = clients;
    this.#timer = setInterval(() => this.#sample(), EVERY_MS);
    let text = "";
    this.#stream = new HttpConnection(publicUrl, {
      head() {},
      body: (chunk) => {
        text += chunk.toString("latin1");
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
          const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1];
          if (data) this.#heap(JSON.parse(data) as Heap);
        }
      },
      done() {},
      closed() {},
    });
    this.#stream.request("GET", "/channels/gauge", "Accept: text/event-stream\r\n");
  }

  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  /** Open descriptors of the server now. */
  get open(): number {
    return readdirSync(`/proc/${this.#pid}/fd`).length;
  }

  /** What the open descriptors are, such as `socket` or a path. */
  get targets(): string[] {
    const folder = `/proc/${this.#pid}/fd`;
    return readdirSync(folder).map((fd) => readlinkSync(`${folder}/${fd}`));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#stream.socket.destroy();
  }

  /** Kinds of objects that became more in the second half, the most first. */
  grown(): [kind: string, before: number, after: number][] {
    const middle = this.seconds / 2;
    const before = this.#kinds.find(({ s }) => s >= middle)?.kinds ?? {};
    const after = this.#kinds.at(-1)?.kinds ?? {};
    return Object.entries(after)
      .map(([kind, count]): [string, number, number] => [kind, before[kind] ?? 0, count])
      .sort((a, b) => b[2] - b[1] - (a[2] - a[1]))
      .slice(0, 8);
  }

  #sample(): void {
    const s = this.seconds;
    try {
      const status = readFileSync(`/proc/${this.#pid}/status`, "latin1");
      const number = (name: string) =>
        Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)![1]);
      this.resident.push({ s, value: number("VmRSS") * 1024 });
      this.threads = number("Threads");
      this.descriptors.push({ s, beside: this.#clients(), value: this.open });
    } catch {
      // It has ended: whoever waits for that tells.
    }
  }

  #heap({ heap, kinds }: Heap): void {
    const s = this.seconds;
    this.heap.push({ s, value: heap });
    this.#kinds.push({ s, kinds });
    // One of the middle and the newest are looked at.
    if (this.#kinds.length > 1000) this.#kinds = this.#kinds.filter((_, index) => index % 2 === 1);
  }
}
