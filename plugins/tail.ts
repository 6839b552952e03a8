/**
 * Follows a file as `tail -F` does, through rotation, and publishes each line.
 * Over 300 lines because a plugin that ships is one file.
 */
import { watch, type FSWatcher } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { definePlugin, duration, OptionError, parseDuration, t } from "tidewire";
import type { Draft, Logger } from "tidewire";

const CHUNK_BYTES = 64 * 1024;
/** Bytes before the place that was read to, by which a file that was written anew is told. */
const MARK_BYTES = 64;
const MIN_POLL_MS = 10;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

export default definePlugin({
  name: "tail",
  options: t.Object({
    path: t.String({
      minLength: 1,
      description: "The file; a relative path starts at the config's folder. It may come later.",
      examples: ["/var/log/nginx/access.log"],
    }),
    from: t.Union([t.Literal("end"), t.Literal("start")], {
      default: "end",
      description:
        "Where to start in a file that is there at the start; one that comes later, by rotation " +
        "too, is read from its start.",
    }),
    encoding: t.Union([t.Literal("utf-8"), t.Literal("latin1")], {
      default: "utf-8",
      description: "Encoding of the file; bytes that are not UTF-8 become U+FFFD.",
    }),
    json: t.Boolean({
      default: false,
      description: "Each line is JSON. One that is not is published as text, and that is logged.",
    }),
    max_line: t.Integer({
      minimum: 1,
      default: 64 * 1024,
      description: "Bytes of a line; what is longer is cut off there, and that is logged.",
    }),
    event: t.Optional(t.String({ description: "Event name of the messages." })),
    key: t.Optional(t.String({ description: "Key of the messages." })),
    poll: duration({
      default: "1s",
      description:
        "How often to look at the file where the system tells of no change: network drives, links.",
    }),
  }),
  check,
  setup({ options, directory, log, signal }) {
    check(options);
    const path = resolve(directory, options.path);
    const pollMs = parseDuration(options.poll);
    const decoder = new TextDecoder(options.encoding);
    const once = createOnce();

    const toDraft = ({ bytes, isCut }: Line): Draft => {
      if (isCut && once("cut")) {
        log.warn("a line is longer than max_line; such lines are cut", { path });
      }
      // A character that the cut went through is left out rather than garbled.
      const text = decoder.decode(bytes, { stream: isCut });
      if (isCut) decoder.decode();
      const { event, key } = options;
      if (!options.json) return { data: text, format: "text", event, key };
      try {
        return { data: JSON.parse(text), format: "json", event, key };
      } catch {
        if (once("json"))
          log.warn("a line is not JSON; such lines are published as text", { path });
        return { data: text, format: "text", event, key };
      }
    };

    return {
      async *source() {
        const changes = new Changes(path, pollMs, signal);
        const file = new Follower(path, options.max_line, log);
        try {
          await file.open(options.from);
          while (!signal.aborted) {
            // Taken before the read: a change during it is not slept through.
            const change = changes.next();
            for await (const lines of file.read(signal)) {
              for (const line of lines) yield toDraft(line);
            }
            await change;
          }
        } finally {
          changes.close();
          await file.close();
        }
      },
    };
  },
});

/** @throws {OptionError} When `path` can't be a file's, or `poll` is too short. */
function check({ path, poll }: { readonly path: string; readonly poll: string }): void {
  if (path.includes("\0")) throw new OptionError("path", "path has a NUL character");
  if (/[/\\]$/.test(path))
    throw new OptionError("path", `path is "${path}", a folder; name a file`);
  if (parseDuration(poll) < MIN_POLL_MS) {
    throw new OptionError("poll", `poll is "${poll}"; it must be at least ${MIN_POLL_MS}ms`);
  }
}

/** True the first time that it is asked of a word. */
function createOnce(): (word: string) => boolean {
  const said = new Set<string>();
  return (word) => said.size < said.add(word).size;
}

interface Line {
  readonly bytes: Uint8Array;
  readonly isCut: boolean;
}

/** Cuts bytes into lines at LF and CR LF. On bytes, so that no character is torn between two reads. */
class LineSplitter {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  *push(chunk: Uint8Array): Generator<Line> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end < 0) break;
      this.#keep(chunk.subarray(start, end));
      yield this.#take();
      start = end + 1;
    }
    // A copy: the chunk's memory is used again for the next read.
    this.#keep(new Uint8Array(chunk.subarray(start)));
  }

  /** The last line, that has no end, if there is one. */
  *flush(): Generator<Line> {
    if (this.#size > 0) yield this.#take();
  }

  #keep(part: Uint8Array): void {
    // One byte more than a line may have, for the CR of a CR LF.
    const room = Math.max(0, this.#maxBytes + 1 - this.#size);
    if (room > 0 && part.length > 0) this.#parts.push(part.subarray(0, room));
    this.#size += part.length;
  }

  #take(): Line {
    const kept = Buffer.concat(this.#parts);
    const hasReturn = this.#size === kept.length && kept[kept.length - 1] === RETURN;
    const length = this.#size - (hasReturn ? 1 : 0);
    this.#parts = [];
    this.#size = 0;
    const end = Math.min(length, this.#maxBytes);
    return { bytes: kept.subarray(0, end), isCut: length > end };
  }
}

/** Reads what a path means, from where it stopped, whatever file that is by now. */
class Follower {
  readonly #path: string;
  readonly #log: Logger;
  readonly #lines: LineSplitter;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  #handle: FileHandle | null = null;
  #offset = 0;
  /** The bytes before the offset. */
  #mark = Buffer.alloc(0);
  /** Code of the error that was logged and still stands. */
  #trouble: string | null = null;

  constructor(path: string, maxLine: number, log: Logger) {
    this.#path = path;
    this.#log = log;
    this.#lines = new LineSplitter(maxLine);
  }

  /** Opens the file, if it is there; if not, `read` does when it is. */
  async open(from: "start" | "end"): Promise<void> {
    try {
      // Asked first: to open a named pipe would wait for its writer.
      if (!(await stat(this.#path)).isFile()) {
        throw Object.assign(new Error("it is not a regular file"), { code: "not-a-file" });
      }
      this.#handle = await open(this.#path, "r");
      await this.#startAt(from === "end" ? await this.#lastLine(this.#handle) : 0);
      const level = this.#trouble === null ? "debug" : "info";
      this.#log[level]("reads the file", { path: this.#path, offset: this.#offset });
      this.#trouble = null;
    } catch (error) {
      this.#tell(error);
    }
  }

  /** Gives the lines that were written since, a chunk at a time. Errors are logged, once. */
  async *read(signal: AbortSignal): AsyncGenerator<Iterable<Line>> {
    try {
      while (!signal.aborted) {
        if (!this.#handle) await this.open("start");
        if (!this.#handle) return;
        if (yield* this.#readToEnd(this.#handle, signal)) {
          this.#log.debug("the file was truncated", { path: this.#path });
          yield this.#lines.flush();
          await this.#startAt(0);
          continue;
        }
        if (!(await this.#isReplaced(this.#handle))) return;
        // The writer is in the new file already: this is the last of the old one.
        yield* this.#readToEnd(this.#handle, signal);
        yield this.#lines.flush();
        this.#log.debug("the file was replaced", { path: this.#path });
        await this.close();
      }
    } catch (error) {
      this.#tell(error);
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }

  /**
   * Gives what comes after the offset. Each read begins with the mark: what is before new bytes tells whether they
   * go on from there, with no moment between the two in which the file could be written anew.
   *
   * @returns Whether the same file was truncated (logrotate's copytruncate), even if it has grown past the offset
   *   again: what it has now is to be read from its start.
   */
  async *#readToEnd(
    handle: FileHandle,
    signal: AbortSignal,
  ): AsyncGenerator<Iterable<Line>, boolean> {
    while (!signal.aborted) {
      const { length } = this.#mark;
      const start = this.#offset - length;
      const { bytesRead } = await handle.read(this.#chunk, 0, CHUNK_BYTES, start);
      if (bytesRead < length || !this.#mark.equals(this.#chunk.subarray(0, length))) return true;
      if (bytesRead === length) return false;
      const read = this.#chunk.subarray(0, bytesRead);
      this.#offset = start + bytesRead;
      this.#mark = Buffer.from(read.subarray(-MARK_BYTES));
      yield this.#lines.push(read.subarray(length));
    }
    return false;
  }

  async #startAt(offset: number): Promise<void> {
    this.#offset = offset;
    const mark = Buffer.alloc(Math.min(MARK_BYTES, offset));
    await this.#handle!.read(mark, 0, mark.length, offset - mark.length);
    this.#mark = mark;
  }

  /** Where the last line starts that has no end yet; the file's end where there is none, or it is long. */
  async #lastLine(handle: FileHandle): Promise<number> {
    const { size } = await handle.stat();
    const length = Math.min(size, CHUNK_BYTES);
    await handle.read(this.#chunk, 0, length, size - length);
    const newline = this.#chunk.subarray(0, length).lastIndexOf(NEWLINE);
    if (newline >= 0) return size - length + newline + 1;
    return length === size ? 0 : size;
  }

  /**
   * The path means another file, and something is written in it. An empty one does not count: until
   * the writer is told of the rotation it goes on in the old file.
   */
  async #isReplaced(handle: FileHandle): Promise<boolean> {
    const [here, there] = await Promise.all([handle.stat(), stat(this.#path).catch(() => null)]);
    if (!there || !there.isFile() || there.size === 0) return false;
    return here.ino !== there.ino || here.dev !== there.dev;
  }

  #tell(error: unknown): void {
    const code = (error as { code?: string }).code ?? "unknown";
    if (code === this.#trouble) return;
    this.#trouble = code;
    if (code === "ENOENT")
      this.#log.info("the file is not there yet; waiting", { path: this.#path });
    else this.#log.warn("can't read the file; trying again", { path: this.#path, error });
  }
}

/** Tells when the file may have changed: by the system's word, and by looking once in a while. */
class Changes {
  readonly #path: string;
  readonly #timer: Timer;
  readonly #signal: AbortSignal;
  #watcher: FSWatcher | null = null;
  #wait = Promise.withResolvers<void>();

  constructor(path: string, pollMs: number, signal: AbortSignal) {
    this.#path = path;
    this.#signal = signal;
    this.#timer = setInterval(() => {
      if (!this.#watcher) this.#watch();
      this.#wake();
    }, pollMs);
    signal.addEventListener("abort", this.#wake);
    this.#watch();
  }

  /** Resolves at the next change, look or abort. */
  next(): Promise<void> {
    this.#wait = Promise.withResolvers<void>();
    return this.#wait.promise;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#signal.removeEventListener("abort", this.#wake);
    this.#watcher?.close();
  }

  readonly #wake = (): void => this.#wait.resolve();

  /** Watches the folder, not the file: a file's watch stays with it when it is renamed. */
  #watch(): void {
    const name = basename(this.#path);
    try {
      const watcher = watch(dirname(this.#path), (_event, changed) => {
        if (changed === null || changed === name) this.#wake();
      });
      // The folder was removed; the timer tries again.
      const gone = () => this.#watcher === watcher && (this.#watcher = null);
      watcher.on("error", gone).on("close", gone);
      this.#watcher = watcher;
    } catch {
      this.#watcher = null;
    }
  }
}
