/** Cases of plugins' mistakes: one text file each, with a plugin's files and all that Tidewire says. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const CASES = join(import.meta.dir, "cases");
const EXPECTED = "expected";

/** What a case has where it has no config of its own. */
const CONFIG = `server: { listen: 127.0.0.1:0 }
log: { format: text }
channels:
  prices:
    publish: clients
    plugins:
      - use: ./plugins/round.ts
`;

export const CASE_NAMES: readonly string[] = readdirSync(CASES)
  .filter((name) => name.endsWith(".txt"))
  .map((name) => name.slice(0, -".txt".length));

/**
 * A case: sections that start with `-- name --`, each a file, and the last what is said. They are no
 * files of their own, for most of them nothing that reads TypeScript could read.
 */
export class Case {
  readonly #file: string;
  readonly #text: string;

  constructor(name: string) {
    this.#file = join(CASES, `${name}.txt`);
    this.#text = readFileSync(this.#file, "utf8");
  }

  /** The files by their names. */
  get files(): Readonly<Record<string, string>> {
    const { [EXPECTED]: _, ...files } = this.#sections();
    return { "tidewire.yaml": CONFIG, ...files };
  }

  get expected(): string {
    return this.#sections()[EXPECTED] ?? "";
  }

  /** Writes what is said now in the place of what was expected. */
  update(actual: string): void {
    const marker = `-- ${EXPECTED} --\n`;
    const at = this.#text.indexOf(marker);
    const before = at === -1 ? this.#text : this.#text.slice(0, at);
    writeFileSync(this.#file, before + marker + actual);
  }

  #sections(): Record<string, string> {
    const parts = this.#text.split(/^-- (.+) --\n/m).slice(1);
    const sections: Record<string, string> = {};
    for (let i = 0; i < parts.length; i += 2) sections[parts[i]!] = parts[i + 1]!;
    return sections;
  }
}

/** A folder with the files of a case; gone when it is disposed of. */
export class CaseFolder {
  readonly path: string = realpathSync(mkdtempSync(join(tmpdir(), "tidewire-case-")));
  readonly config: string = join(this.path, "tidewire.yaml");

  constructor(files: Readonly<Record<string, string>>) {
    for (const [name, content] of Object.entries(files)) {
      const file = join(this.path, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
    // Bun asks a registry for packages where there is no node_modules at all.
    mkdirSync(join(this.path, "node_modules"), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** What is said of a folder, without what differs from run to run. */
export function normalize(text: string, folder: string): string {
  return text.replaceAll(`${folder}/`, "").replace(/ delayMs=\d+/, "");
}

/** The first line of a text log that is an error, without its time, with the frame below it. */
export function firstError(log: string): string | null {
  const entries = log.split(/^\d\d:\d\d:\d\d\.\d{3} /m);
  return entries.find((entry) => entry.startsWith("ERROR ")) ?? null;
}

/** Subscribes to the channel `prices`, publishes to it and leaves: with a stop, that calls every hook. */
export async function useChannel(url: string): Promise<void> {
  const leave = new AbortController();
  const { signal } = leave;
  const path = `${url}/channels/prices`;
  const stream = await fetch(path, { headers: { accept: "text/event-stream" }, signal });
  await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ price: 1.25 }),
  });
  leave.abort();
  await stream.body?.cancel().catch(() => {});
}
