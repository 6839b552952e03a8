/** A load process of bench/resume.ts, as the bench sees it. */
import { join } from "node:path";
import { pinned } from "./measure.ts";
import type { Order } from "./resume-spec.ts";
import { SERVER_CORE } from "./servers.ts";

/** Does one thing after the other, and answers. */
export class LoadProcess {
  readonly #child: Bun.Subprocess;
  readonly #answers: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
  readonly #ready = Promise.withResolvers<unknown>();

  constructor() {
    const command = [process.execPath, join(import.meta.dir, "resume-load.ts")];
    this.#answers.push(this.#ready);
    this.#child = Bun.spawn(pinned(SERVER_CORE + 1, command), {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (answer: { value?: unknown; error?: string }) => {
        const waiting = this.#answers.shift()!;
        if (answer.error === undefined) waiting.resolve(answer.value);
        else waiting.reject(new Error(answer.error));
      },
      onExit: () => {
        for (const { reject } of this.#answers) reject(new Error("a load process ended"));
      },
    });
  }

  async do<T>(order: Order): Promise<T> {
    await this.#ready.promise;
    const answer = Promise.withResolvers<unknown>();
    this.#answers.push(answer);
    this.#child.send(order);
    return (await answer.promise) as T;
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }
}
