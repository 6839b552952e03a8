/** The executable under soak: a process in a folder of its own, and what it writes. */
import { executable } from "../executable.ts";
import { Folder } from "../../test/executable.ts";

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** Lines that are remembered for who wants to know what the server wrote last. */
const REMEMBERED = 100;

export class SoakServer {
  readonly folder: Folder;
  readonly pid: number;
  readonly #child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  readonly #waiting = new Set<(line: LogLine | null) => void>();
  /** Takes each line; those that are no JSON as `null` and the text. */
  readonly #onLine: (line: LogLine | null, text: string) => void;
  readonly last: string[] = [];
  readonly ended: Promise<void>;

  private constructor(
    folder: Folder,
    child: Bun.Subprocess<"ignore", "ignore", "pipe">,
    onLine: (line: LogLine | null, text: string) => void,
  ) {
    this.folder = folder;
    this.#child = child;
    this.#onLine = onLine;
    this.pid = child.pid;
    this.ended = this.#read();
  }

  /**
   * Starts it.
   *
   * @param path Of the executable; null builds one of this source where there is none that is new enough.
   */
  static async start(
    files: Readonly<Record<string, string>>,
    path: string | null,
    onLine: (line: LogLine | null, text: string) => void,
  ): Promise<{
    server: SoakServer;
    urls: Readonly<Record<"public" | "http2Push" | "control", string>>;
  }> {
    const command = [path ?? (await executable()), "run", "tidewire.yaml"];
    const folder = new Folder(files);
    const child = Bun.spawn(command, {
      cwd: folder.path,
      env: { PATH: folder.path, HOME: folder.path, TZ: "UTC" },
      stdout: "ignore",
      stderr: "pipe",
    });
    const server = new SoakServer(folder, child, onLine);
    const line = await server.next(({ message }) => message === "listening");
    if (line === null) throw new Error(`the server did not start:\n${server.last.join("\n")}`);
    return { server, urls: line as never };
  }

  /** Resolves to the next line for which `test` holds, null when the server ended without it. */
  next(test: (line: LogLine) => boolean): Promise<LogLine | null> {
    return new Promise((resolve) => {
      const take = (line: LogLine | null) => {
        if (line !== null && !test(line)) return;
        this.#waiting.delete(take);
        resolve(line);
      };
      this.#waiting.add(take);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** @returns The exit code; null where a signal ended it. */
  async stop(limitMs: number): Promise<number | null> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), limitMs);
    await this.#child.exited;
    clearTimeout(timer);
    await this.ended;
    this.folder[Symbol.dispose]();
    return this.#child.exitCode;
  }

  async #read(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#take(line);
    }
    if (rest !== "") this.#take(rest);
    for (const waiting of [...this.#waiting]) waiting(null);
  }

  #take(text: string): void {
    this.last.push(text);
    if (this.last.length > REMEMBERED) this.last.shift();
    const line = text.startsWith("{") ? (JSON.parse(text) as LogLine) : null;
    this.#onLine(line, text);
    if (line) for (const waiting of [...this.#waiting]) waiting(line);
  }
}
