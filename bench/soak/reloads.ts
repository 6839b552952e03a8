/** Reloads the server by SIGHUP, again and again, into other states and into ones that are refused. */
import { configOf, versionOf, type FileOptions, type State } from "./files.ts";
import type { LogLine, SoakServer } from "./server.ts";
import { around, pause, pick, type World } from "./world.ts";

const EVERY_MS = 6000;
const LIMIT_MS = 20_000;

/** What is wrong with a state that has to be refused; each with its file. */
const MISTAKES: readonly ((config: string) => readonly [file: string, text: string])[] = [
  (config) => ["tidewire.yaml", config.replace("publishes:", "publihs:")],
  (config) => ["tidewire.yaml", config.replace("ttl: 1d", "ttl: soon")],
  () => ["plugins/lib/version.ts", "export const version = ;\n"],
  () => ["plugins/lib/version.ts", "export const vresion = 1;\n"],
];

export class Reloads {
  readonly #world: World;
  readonly #server: SoakServer;
  readonly #files: FileOptions;
  #state: State;
  /** The server is told of a mistake: what it writes of it is no fault. */
  isRefused = false;

  constructor(world: World, server: SoakServer, files: FileOptions, state: State) {
    this.#world = world;
    this.#server = server;
    this.#files = files;
    this.#state = state;
  }

  async run(): Promise<void> {
    const { random } = this.#world;
    for (;;) {
      await pause(this.#world, around(random, EVERY_MS));
      if (this.#world.isOver) return;
      if (random(4) === 0) await this.#refused();
      else await this.#changed();
    }
  }

  async #changed(): Promise<void> {
    const { random, versions, figures } = this.#world;
    const state = { ...this.#state };
    const what = random(5);
    if (what === 0) state.sourceMs = 50 + ((state.sourceMs - 49 + random(198)) % 200);
    else if (what === 1) state.retryMs = 100 + random(5000);
    else if (what === 2) state.hasExtra = !state.hasExtra;
    else state.version++;
    this.#state = state;
    this.#write();
    versions.most = state.version;
    const line = await this.#hangUp();
    if (line === null) return;
    if (line.message !== "reloaded") return this.#fault(`refused: ${this.#server.last.join("\n")}`);
    versions.least = state.version;
    figures.reloads++;
    const expected = ["sourced", null, "extra", "marked", "marked"][what] ?? null;
    const touched = [line["changed"], line["added"], line["removed"]].flat();
    if (touched.join() !== (expected ?? "")) {
      this.#fault(`it touched "${touched.join()}", not "${expected ?? ""}"`);
    }
  }

  async #refused(): Promise<void> {
    const [file, text] = pick(this.#world.random, MISTAKES)(configOf(this.#files, this.#state));
    this.#server.folder.write(file, text);
    this.isRefused = true;
    const line = await this.#hangUp();
    this.isRefused = false;
    if (line?.message === "reloaded") this.#fault(`took what is wrong: ${file}: ${text}`);
    this.#world.figures.refused++;
    this.#write();
  }

  #write(): void {
    this.#server.folder.write("tidewire.yaml", configOf(this.#files, this.#state));
    this.#server.folder.write("plugins/lib/version.ts", versionOf(this.#state));
  }

  /** @returns What the server says to it; null when it says nothing in time. */
  async #hangUp(): Promise<LogLine | null> {
    const told = this.#server.next(
      ({ message }) => message === "reloaded" || message.startsWith("reload failed"),
    );
    this.#server.signal("SIGHUP");
    const line = await Promise.race([told, Bun.sleep(LIMIT_MS).then(() => null)]);
    if (line === null) this.#fault(`nothing is said to a SIGHUP within ${LIMIT_MS} ms`);
    return line;
  }

  #fault(text: string): void {
    this.#world.faults.add("other", "reload", text);
  }
}
