/** A server that is ended and started again on the same ports and file, over and over. */
import { freePort, start, type Folder, type RunningServer } from "../executable.ts";

/** One life of the server. */
export interface Life {
  readonly publicUrl: string;
  readonly pushUrl: string;
  /** Resolves when it is over. */
  readonly over: Promise<unknown>;
}

/** The config's listeners, on ports that stay the same: clients come back to where they were. */
export function listeners(): string {
  return `server: { listen: "127.0.0.1:${freePort()}", http2_push: { listen: "127.0.0.1:${freePort()}" } }`;
}

export class Fleet {
  readonly #folder: Folder;
  #up = Promise.withResolvers<Life>();
  #server: RunningServer | null = null;

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** Resolves to the life that is now, or comes next. */
  up(): Promise<Life> {
    return this.#up.promise;
  }

  /** Starts the next life. */
  async start(): Promise<RunningServer> {
    const server = await start(this.#folder);
    this.#server = server;
    const { publicUrl, pushUrl, exited } = server;
    this.#up.resolve({ publicUrl, pushUrl, over: exited });
    return server;
  }

  /** Ends this life. @returns The exit code, null where the signal ended it. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<number | null> {
    const server = this.#server!;
    server.signal(signal);
    // Whoever comes now waits for the next life.
    this.#up = Promise.withResolvers();
    this.#server = null;
    return server.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }
}

/** Random numbers that come again with the same seed (mulberry32). */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
