/** Drives the compiled executable as its users do: from a folder with nothing of this project near it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "../build.ts";

/** Absolute path of the executable, built once in a test process. */
export function executable(): Promise<string> {
  return built;
}

async function buildOnce(): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), "tidewire-executable-"));
  // Files of tests share it and none knows which is the last, and `bun test` emits no "exit": what
  // outlives this process notices that the pipe closes.
  const remover = Bun.spawn(["sh", "-c", 'cat >/dev/null; rm -r "$0"', outDir], { stdin: "pipe" });
  remover.unref();
  return build({ outDir });
}

// Here, and not where it is first asked for: the time that it takes, long on a busy machine, is no test's.
const built = buildOnce();
await built;

/** A temporary folder with files in it; gone when it is disposed of. */
export class Folder {
  readonly path: string = mkdtempSync(join(tmpdir(), "tidewire-folder-"));

  constructor(files: Readonly<Record<string, string>> = {}) {
    for (const [name, content] of Object.entries(files)) this.write(name, content);
  }

  /** Writes a file, with the folders that it is in, and returns its absolute path. */
  write(name: string, content: string): string {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** All that the executable knows of the machine: no `bun` on its PATH, and nobody's settings. */
function environment(folder: Folder, env: Readonly<Record<string, string>> = {}) {
  return { PATH: folder.path, HOME: folder.path, TZ: "UTC", ...env };
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the executable to its end. */
export async function tidewire(
  folder: Folder,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<Ended> {
  const child = Bun.spawn([await executable(), ...args], {
    cwd: folder.path,
    env: environment(folder, env),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return { code: child.exitCode, stdout, stderr };
}

/** A line of the server's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string };

export interface Running extends AsyncDisposable {
  readonly log: WrittenLog;
  signal(signal: NodeJS.Signals): void;
  /** Resolves to the exit code, null when a signal ended it, when all that it wrote was read. */
  readonly exited: Promise<number | null>;
}

export interface RunningServer extends Running {
  /** Where it listens, as it says itself; empty where it has no such listener. */
  readonly publicUrl: string;
  readonly pushUrl: string;
  readonly controlUrl: string;
}

export interface RunOptions {
  /** Default: `tidewire.yaml`, without being named. */
  readonly config?: string;
  /** All that follows `tidewire`, in place of what `config` makes of it. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the folder's config; it may end by itself. */
export async function launch(folder: Folder, options: RunOptions = {}): Promise<Running> {
  const args = options.args ?? (options.config === undefined ? [] : ["run", options.config]);
  const child = Bun.spawn([await executable(), ...args], {
    cwd: folder.path,
    env: environment(folder, options.env),
    stdout: "ignore",
    stderr: "pipe",
  });
  const log = new WrittenLog(child.stderr);
  const exited = Promise.all([child.exited, log.ended]).then(() => child.exitCode);
  return {
    log,
    signal: (signal) => child.kill(signal),
    exited,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/**
 * Runs the folder's config until it listens.
 *
 * @throws {Error} When it ends before that; the message is what it wrote.
 */
export async function start(folder: Folder, options: RunOptions = {}): Promise<RunningServer> {
  const running = await launch(folder, options);
  const urls = await running.log.message("listening");
  const url = (name: string) => (urls[name] as string | null) ?? "";
  return {
    ...running,
    publicUrl: url("public"),
    pushUrl: url("http2Push"),
    controlUrl: url("control"),
  };
}

/** The lines that a process writes. */
export class WrittenLog {
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  #hasEnded = false;

  /** Resolves when the process writes no more. */
  readonly ended: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.ended = this.#read(stream);
  }

  /** All that was written until now. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Resolves to the first line of JSON with this message, when it is there. */
  async message(message: string): Promise<LogLine> {
    const text = `"message":${JSON.stringify(message)}`;
    return JSON.parse(await this.line((line) => line.includes(text))) as LogLine;
  }

  /**
   * Resolves to the first line for which `test` holds, when it is there.
   *
   * @param count How many such lines have to be there; resolves to the last of them.
   * @throws {Error} When the process ends without it; the message is what it wrote.
   */
  async line(test: (line: string) => boolean, count = 1): Promise<string> {
    for (;;) {
      const found = this.#lines.filter(test)[count - 1];
      if (found !== undefined) return found;
      if (this.#hasEnded) throw new Error(`it ended without that line:\n${this.#lines.join("\n")}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      this.#add(lines);
    }
    this.#hasEnded = true;
    this.#add(rest === "" ? [] : [rest]);
  }

  #add(lines: readonly string[]): void {
    this.#lines.push(...lines);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/** A TCP port of 127.0.0.1 that nobody listens on; only where a config must name one. */
export function freePort(): number {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port } = server;
  void server.stop(true);
  return port!;
}
