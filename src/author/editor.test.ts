/** What an editor makes of a project that `tidewire types` was run in: TypeScript's own server is asked. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SAMPLE, TSCONFIG } from "./init-template.ts";
import { writeNewFiles } from "./new-files.ts";
import { writeTypes } from "./types-folder.ts";

let root: string;
let editor: Editor;

beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "tidewire-editor-")));
  await writeNewFiles(root, { ...SAMPLE, ...TSCONFIG });
  await writeTypes(root);
  editor = new Editor();
});
afterAll(async () => {
  await editor.close();
  await rm(root, { recursive: true });
});

/** TypeScript's server, as VS Code runs it. */
class Editor {
  readonly #server = Bun.spawn(
    [
      process.execPath,
      require.resolve("typescript/lib/tsserver.js"),
      "--disableAutomaticTypingAcquisition",
    ],
    { stdin: "pipe", stdout: "pipe", stderr: "ignore" },
  );
  readonly #waiting = new Map<number, (body: unknown) => void>();
  #sequence = 0;

  constructor() {
    void this.#read();
  }

  tell(command: string, args: object): number {
    const seq = ++this.#sequence;
    this.#server.stdin.write(
      `${JSON.stringify({ seq, type: "request", command, arguments: args })}\n`,
    );
    void this.#server.stdin.flush();
    return seq;
  }

  ask<Body>(command: string, args: object): Promise<Body> {
    const seq = this.tell(command, args);
    return new Promise((resolve) => this.#waiting.set(seq, resolve as (body: unknown) => void));
  }

  async close(): Promise<void> {
    await this.#server.stdin.end();
    await this.#server.exited;
  }

  async #read(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.#server.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (!line.startsWith("{")) continue;
        const { request_seq: seq, body } = JSON.parse(line);
        this.#waiting.get(seq)?.(body);
        this.#waiting.delete(seq);
      }
    }
  }
}

/** Where a word stands in a file, as the server counts. */
async function at(path: string, word: string) {
  const file = join(root, path);
  const lines = (await Bun.file(file).text()).split("\n");
  const line = lines.findIndex((text) => text.includes(word));
  return { file, line: line + 1, offset: lines[line]!.indexOf(word) + 1 };
}

test("an editor finds no mistake in what init writes", async () => {
  for (const path of ["plugins/round.ts", "plugins/round.test.ts"]) {
    const file = join(root, path);
    editor.tell("open", { file });
    expect(await editor.ask<unknown>("semanticDiagnosticsSync", { file })).toEqual([]);
    expect(await editor.ask<unknown>("syntacticDiagnosticsSync", { file })).toEqual([]);
  }
});

test("an editor shows what the sdk says of itself, and the inferred type of an option", async () => {
  editor.tell("open", { file: join(root, "plugins/round.ts") });
  type Shown = { displayString: string; documentation: string };
  const hook = await editor.ask<Shown>("quickinfo", await at("plugins/round.ts", "transform("));
  expect(hook.documentation).toStartWith(
    "Changes a draft, splits it (an array) or drops it (null).",
  );
  const define = await editor.ask<Shown>(
    "quickinfo",
    await at("plugins/round.ts", "definePlugin({"),
  );
  expect(define.documentation).toStartWith("Declares a plugin");
  const option = await editor.ask<Shown>("quickinfo", await at("plugins/round.ts", "decimals;"));
  expect(option.displayString).toContain("decimals: number");
});

test("an editor completes the hooks, and goes to their definition", async () => {
  editor.tell("open", { file: join(root, "plugins/round.ts") });
  const place = await at("plugins/round.ts", "transform(");
  const { entries } = await editor.ask<{ entries: { name: string }[] }>("completionInfo", place);
  expect(entries.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["source", "receive", "authorize", "joined", "left", "sink", "close"]),
  );
  const [found] = await editor.ask<{ file: string }[]>(
    "definition",
    await at("plugins/round.ts", "definePlugin({"),
  );
  expect(found?.file).toBe(join(root, ".tidewire/types/tidewire/plugin/sdk.d.ts"));
});

test("an editor underlines a wrong use of an option", async () => {
  const file = join(root, "plugins/round.ts");
  const text = await Bun.file(file).text();
  editor.tell("open", {
    file,
    fileContent: text.replace("10 ** options.decimals", "options.decimals.toUpperCase()"),
  });
  const wrong = await editor.ask<{ text: string }[]>("semanticDiagnosticsSync", { file });
  expect(wrong.map(({ text: told }) => told)).toEqual([
    "Property 'toUpperCase' does not exist on type 'number'.",
  ]);
});
