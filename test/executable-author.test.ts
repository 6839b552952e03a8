/** An author with nothing but the executable: from an empty folder to checked plugins. */
import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startBrowser } from "./examples/browser.ts";
import { executable, Folder, start, tidewire } from "./executable.ts";

const HOOKS = ["transform", "source", "receive", "sink", "authorize"];
const ANY_PORT = { TIDEWIRE_PORT: "0" };

const read = (folder: Folder, path: string) => readFileSync(join(folder.path, path), "utf8");

// Building it takes longer than a test may.
beforeAll(async () => void (await executable()), 60_000);

/** Changes a part of a file, which has to be there. */
function change(folder: Folder, path: string, part: string, by: string): void {
  const text = read(folder, path);
  expect(text).toContain(part);
  folder.write(path, text.replace(part, by));
}

/** The first event of a stream with this name. */
async function firstEvent(url: string, name: string): Promise<string> {
  const response = await fetch(url, { headers: { accept: "text/event-stream" } });
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const events = text.split("\n\n").slice(0, -1);
    const found = events.find((event) => event.split("\n").includes(`event: ${name}`));
    if (found) return /^data: (.*)$/m.exec(found)![1]!;
  }
  throw new Error(`no ${name} in ${text}`);
}

describe("tidewire init", () => {
  test("writes a config that runs as it is, with a page that shows it", async () => {
    using folder = new Folder();
    const made = await tidewire(folder, ["init"]);
    expect({ ...made, stdout: "" }).toEqual({ code: 0, stdout: "", stderr: "" });
    for (const file of [
      "tidewire.yaml",
      "plugins/round.ts",
      "plugins/round.test.ts",
      "tsconfig.json",
    ]) {
      expect(made.stdout).toContain(`created ${file}\n`);
    }
    expect(made.stdout).toContain("\nNext:\n  tidewire  ");
    expect(await tidewire(folder, ["check"])).toEqual({
      code: 0,
      stdout: "tidewire.yaml is fine: 3 channels, 3 plugins, 2 tests\n",
      stderr: "",
    });
    const tested = await tidewire(folder, ["check", "--tests"]);
    expect(tested).toMatchObject({ code: 0, stdout: expect.stringContaining("\n2 passed\n") });
    await using server = await start(folder, { env: ANY_PORT });
    const price = JSON.parse(await firstEvent(`${server.publicUrl}/channels/prices`, "price"));
    // What random-walk gives has two decimals; the author's plugin leaves one.
    expect(String(price.price)).toMatch(/^\d+(\.\d)?$/);
    expect(await (await fetch(`${server.publicUrl}/events`)).text()).toMatch(/\d\d:\d\d:\d\d/);
    const room = `${server.publicUrl}/channels/chat/lobby`;
    const post = (body: object) =>
      fetch(room, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      });
    expect((await post({ text: "hello" })).status).toBe(201);
    expect((await post({ txt: "hello" })).status).toBe(422);
    const page = await fetch(`${server.publicUrl}/`);
    expect(page.headers.get("content-type")).toStartWith("text/html");
    expect(await page.text()).toContain(`new EventSource("/channels/prices")`);
  });

  test("writes a page that works in a browser", async () => {
    using folder = new Folder();
    await tidewire(folder, ["init"]);
    await using server = await start(folder, { env: ANY_PORT });
    const browser = await startBrowser({});
    try {
      const page = await browser.newPage();
      const mistakes: unknown[] = [];
      page.on("pageerror", (error) => mistakes.push(error));
      await page.goto(server.publicUrl);
      await page.locator("#clock", { hasText: /\d\d:\d\d:\d\d/ }).waitFor();
      await page.locator("#prices li", { hasText: /^ACME \d/ }).waitFor();
      await page.locator("input").fill("hello <b>there</b>");
      await page.locator("input").press("Enter");
      await page.locator("#chat li", { hasText: "hello <b>there</b>" }).waitFor();
      // From the history: the page is opened later than the message came.
      await page.reload();
      await page.locator("#chat li", { hasText: "hello <b>there</b>" }).waitFor();
      expect(mistakes).toEqual([]);
    } finally {
      await browser.close();
    }
  });

  test("says where to go when it made a folder", async () => {
    using folder = new Folder();
    const { code, stdout } = await tidewire(folder, ["init", "a/live"]);
    expect(code).toBe(0);
    expect(stdout).toContain("created a/live/tidewire.yaml\n");
    expect(stdout).toContain("\nNext:\n  cd a/live\n  tidewire  ");
  });

  test("says it so that a shell takes it, whatever the folder is called", async () => {
    using folder = new Folder();
    for (const name of [`My åpp's`, `$HOME "x" \`y\` it's`]) {
      const { stdout } = await tidewire(folder, ["init", name]);
      const command = /^ {2}(cd .*)$/m.exec(stdout)![1]!;
      const shell = Bun.spawnSync(["/bin/sh", "-c", `${command} && pwd`], { cwd: folder.path });
      expect(shell.stdout.toString()).toBe(`${realpathSync(folder.path)}/${name}\n`);
    }
  });

  test("can be run again, and says that a file is no folder", async () => {
    using folder = new Folder({ file: "" });
    await tidewire(folder, ["init"]);
    const again = await tidewire(folder, ["init"]);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain("kept    tsconfig.json, which was there\n");
    expect(await tidewire(folder, ["init", "file/deep"])).toEqual({
      code: 1,
      stdout: "",
      stderr: "tidewire: file/deep can't be a folder: there is a file in its place\n",
    });
    expect((await tidewire(folder, ["init", "file"])).stderr).toContain("in its place");
  });

  test("changes no file that is there, and adds no sample to a config of the author's own", async () => {
    using folder = new Folder({
      "tidewire.yaml": "channels: { news: {} }\n",
      "tsconfig.json": "{}\n",
      ".gitignore": "mine\n",
    });
    const { code, stdout } = await tidewire(folder, ["init"]);
    expect(code).toBe(0);
    expect(stdout).toContain("kept    tidewire.yaml, which was there\n");
    expect(stdout).toContain(
      `kept    tsconfig.json, which was there; for editors to know "tidewire", write plugins/tsconfig.json with { "extends": "../.tidewire/tsconfig.json" }\n`,
    );
    expect(read(folder, "tidewire.yaml")).toBe("channels: { news: {} }\n");
    expect(read(folder, "tsconfig.json")).toBe("{}\n");
    expect(read(folder, ".gitignore")).toBe("mine\n");
    expect(readdirSync(folder.path).toSorted()).toEqual([
      ".gitignore",
      ".tidewire",
      "tidewire.yaml",
      "tsconfig.json",
    ]);
  });

  test("may be called twice", async () => {
    using folder = new Folder();
    await tidewire(folder, ["init"]);
    change(folder, "plugins/round.ts", `"round"`, `"mine"`);
    expect((await tidewire(folder, ["init"])).code).toBe(0);
    expect(read(folder, "plugins/round.ts")).toContain(`"mine"`);
  });

  test("fails where it can't write", async () => {
    using folder = new Folder({ taken: "" });
    const { code, stdout, stderr } = await tidewire(folder, ["init", "taken"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("taken");
  });
});

describe("tidewire plugin check", () => {
  test("passes on what init wrote, and shows a wrong type where it is", async () => {
    using folder = new Folder();
    await tidewire(folder, ["init"]);
    const fine = { code: 0, stdout: "no type errors in 2 files\n", stderr: "" };
    expect(await tidewire(folder, ["plugin", "check"])).toEqual(fine);
    change(folder, "plugins/round.ts", "10 ** options.decimals", "options.decimals.toUpperCase()");
    expect(await tidewire(folder, ["plugin", "check"])).toEqual({
      code: 1,
      stdout: "",
      stderr: `error[TS2339]: Property 'toUpperCase' does not exist on type 'number'.
  --> plugins/round.ts:12:36
12 |     const scale = options.decimals.toUpperCase();
   |                                    ^^^^^^^^^^^

1 error in 1 file
`,
    });
  });

  test("refuses a draft with a wrong key", async () => {
    using folder = new Folder();
    await tidewire(folder, ["init"]);
    change(
      folder,
      "plugins/round.ts",
      "{ ...draft, data: round(draft.data) }",
      "{ dta: round(draft.data) }",
    );
    const { code, stderr } = await tidewire(folder, ["plugin", "check"]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      "The types returned by 'transform(...)' are incompatible between these types.",
    );
    expect(stderr).toContain(
      "  --> plugins/round.ts:11:3\n11 |   setup({ options }) {\n   |   ^^^^^ transform: Type ",
    );
  });

  test("tells a script in JSON, whatever the environment asks of Bun", async () => {
    using folder = new Folder();
    await tidewire(folder, ["init"]);
    change(folder, "plugins/round.ts", "options.decimals", "options.decimal");
    const env = {
      AGENT: "1",
      CLAUDECODE: "1",
      GITHUB_ACTIONS: "true",
      FORCE_COLOR: "1",
    };
    const { code, stdout, stderr } = await tidewire(folder, ["plugin", "check", "--json"], env);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      ok: false,
      files: 2,
      note: null,
      errors: [
        {
          code: "TS2551",
          message:
            "Property 'decimal' does not exist on type '{ decimals: number; }'. Did you mean 'decimals'?",
          file: "plugins/round.ts",
          line: 12,
          column: 33,
          help: null,
        },
      ],
    });
  });

  test("checks the files that it is given, from any folder within", async () => {
    using folder = new Folder();
    await tidewire(folder, ["init"]);
    folder.write("plugins/wrong.ts", "const a: number = 'text';\n");
    const { code, stdout } = await tidewire(folder, ["plugin", "check", "plugins/round.ts"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "no type errors in 1 file\n" });
    expect((await tidewire(folder, ["plugin", "check"])).stderr).toContain(
      "--> plugins/wrong.ts:1:7\n",
    );
    expect((await tidewire(folder, ["plugin", "check", "plugins/gone.ts"])).stderr).toBe(
      "tidewire: there is no plugins/gone.ts\n",
    );
  });

  test("writes the types where they are missing or of another version", async () => {
    using folder = new Folder();
    await tidewire(folder, ["init"]);
    rmSync(join(folder.path, ".tidewire"), { recursive: true });
    expect((await tidewire(folder, ["plugin", "check"])).code).toBe(0);
    const version = read(folder, ".tidewire/version");
    folder.write(".tidewire/version", "0.0.1 other\n");
    folder.write(".tidewire/types/tidewire/plugin/sdk.d.ts", "export {};\n");
    expect((await tidewire(folder, ["plugin", "check"])).code).toBe(0);
    expect(read(folder, ".tidewire/version")).toBe(version);
  });

  test("says when there is nothing to check in what it is given", async () => {
    using folder = new Folder({ "tidewire.yaml": "", "notes/a.txt": "" });
    const { code, stdout, stderr } = await tidewire(folder, ["plugin", "check", "notes"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^tidewire: Nothing to check: no TypeScript files in '.*notes'\n$/);
  });

  test("says what to do where there is no plugin", async () => {
    using folder = new Folder();
    const { code, stderr } = await tidewire(folder, ["plugin", "check"]);
    expect(code).toBe(1);
    expect(stderr).toContain(`"tidewire plugin new <name>" writes one`);
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe("tidewire plugin new", () => {
  test("writes plugins whose types are right, and that the config they tell of can use", async () => {
    using folder = new Folder({ "tidewire.yaml": "channels: {}\n" });
    let config = "";
    for (const hook of HOOKS) {
      const { code, stdout } = await tidewire(folder, ["plugin", "new", `my-${hook}`, `--${hook}`]);
      expect(code).toBe(0);
      expect(stdout).toStartWith(
        `created plugins/my-${hook}.ts\ncreated plugins/my-${hook}.test.ts\n`,
      );
      const [, use] = /below its "channels:":\n\n([^]*?\n)\nNext:/.exec(stdout)!;
      config += use!;
    }
    expect(await tidewire(folder, ["plugin", "check"])).toEqual({
      code: 0,
      stdout: "no type errors in 10 files\n",
      stderr: "",
    });
    expect(read(folder, "tidewire.yaml")).toBe("channels: {}\n");
    folder.write("tidewire.yaml", `channels:\n${config}`);
    expect(await tidewire(folder, ["check"])).toEqual({
      code: 0,
      stdout: "tidewire.yaml is fine: 5 channels, 5 plugins\n",
      stderr: "",
    });
  });

  test("makes a project of an empty folder", async () => {
    using folder = new Folder();
    const made = (await tidewire(folder, ["plugin", "new", "first"])).stdout;
    expect(made).toContain("created tsconfig.json\n");
    folder.write("tidewire.yaml", /such as:\n\n(channels:\n[^]*?\n)\nNext:/.exec(made)![1]!);
    expect((await tidewire(folder, ["check"])).stdout).toContain("fine: 1 channel, 1 plugin\n");
    expect((await tidewire(folder, ["plugin", "check"])).stdout).toBe(
      "no type errors in 2 files\n",
    );
  });

  test.each([
    [["SpamFilter"], 2, `did you mean "spam-filter"?`],
    [["a", "--sink", "--source"], 2, "one of --source, --sink: a plugin starts with one hook"],
    [[], 2, `"plugin new" takes an argument more`],
    [["there"], 1, "plugins/there.ts is there already; nothing was written"],
  ])("refuses %p with %p", async (args, exit, reason) => {
    using folder = new Folder({ "plugins/there.ts": "mine" });
    const { code, stdout, stderr } = await tidewire(folder, ["plugin", "new", ...args]);
    expect({ code, stdout }).toEqual({ code: exit, stdout: "" });
    expect(stderr).toContain(reason);
    expect(readdirSync(join(folder.path, "plugins"))).toEqual(["there.ts"]);
    expect(read(folder, "plugins/there.ts")).toBe("mine");
  });
});

test("tidewire plugin test passes on what init and plugin new write, and fails when it should", async () => {
  using folder = new Folder();
  await tidewire(folder, ["init"]);
  for (const hook of HOOKS) await tidewire(folder, ["plugin", "new", `my-${hook}`, `--${hook}`]);
  const passed = await tidewire(folder, ["plugin", "test"]);
  expect(passed.stdout + passed.stderr).toContain(" 0 fail\n");
  expect(passed.stdout + passed.stderr).toContain(" across 6 files.");
  expect(passed.code).toBe(0);
  change(folder, "plugins/my-transform.ts", "value >= options.least", "value > options.least");
  const failed = await tidewire(folder, ["plugin", "test"]);
  expect(failed.stdout + failed.stderr).toContain("(fail) passes on what is large enough");
  expect(failed.code).toBe(1);
});

test("tidewire types writes the declarations, and says where", async () => {
  using folder = new Folder({ "tidewire.yaml": "" });
  const { code, stdout, stderr } = await tidewire(folder, ["types"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^\.tidewire\/types: the types of tidewire \d+\.\d+\.\d+\n$/);
  expect(readdirSync(join(folder.path, ".tidewire/types")).toSorted()).toEqual([
    "bun",
    "node",
    "node_modules",
    "tidewire",
    "typebox",
  ]);
  expect(readdirSync(folder.path).toSorted()).toEqual([".tidewire", "tidewire.yaml"]);
});
