/** Runs shell blocks of the documentation. */
import { WrittenLog, type Folder } from "./executable.ts";

/** A block as it stands there, run by bash in a folder, `bin` of which is on its PATH. */
export class Shell {
  readonly stdout: WrittenLog;
  readonly stderr: WrittenLog;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;

  constructor(text: string, folder: Folder) {
    this.#child = Bun.spawn(["bash", "-c", text], {
      cwd: folder.path,
      env: { PATH: `${folder.path}/bin:${process.env["PATH"]}`, HOME: folder.path },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      // A process group of its own, so that all of its commands can be ended.
      detached: true,
    });
    this.stdout = new WrittenLog(this.#child.stdout);
    this.stderr = new WrittenLog(this.#child.stderr);
  }

  /** Ends the commands that run until somebody does. */
  async end(): Promise<number> {
    process.kill(-this.#child.pid, "SIGTERM");
    return this.#child.exited;
  }

  /** Resolves to what a command writes that ends by itself, when it went well. */
  async output(): Promise<string> {
    await Promise.all([this.stdout.ended, this.stderr.ended]);
    if ((await this.#child.exited) !== 0) throw new Error(this.stderr.lines.join("\n"));
    return this.stdout.lines.join("\n");
  }
}
