/** The executable's command line and start, from an empty folder. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { Folder, freePort, launch, start, tidewire } from "./executable.ts";

const ROOT = join(import.meta.dir, "..");
const EXAMPLE = await Bun.file(join(ROOT, "config.example.yaml")).text();
const ANY_PORT = "server: { listen: 127.0.0.1:0 }\n";
const NEWS = `${ANY_PORT}channels: { news: { publish: clients } }\n`;

const FAILING = `import { definePlugin, t } from "tidewire";
export default definePlugin({
  name: "failing",
  options: t.Object({ asks: t.Optional(t.String()) }),
  async setup({ options: { asks } }) {
    const status = asks ? (await fetch(asks)).status : "nothing";
    throw new Error("got " + status);
  },
});
`;

describe("tidewire", () => {
  test("version prints the version of package.json, and nothing else", async () => {
    using folder = new Folder();
    const { version } = (await Bun.file(join(ROOT, "package.json")).json()) as { version: string };
    for (const args of [["version"], ["--version"], ["-v"]]) {
      expect(await tidewire(folder, args)).toEqual({
        code: 0,
        stdout: `${version}\n`,
        stderr: "",
      });
    }
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test("help names every command on stdout", async () => {
    using folder = new Folder();
    const { code, stdout, stderr } = await tidewire(folder, ["help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const command of ["[run]", "check", "schema", "version", "help"]) {
      expect(stdout).toContain(`\n  tidewire ${command} `);
    }
    expect(await tidewire(folder, ["--help"])).toEqual({ code, stdout, stderr });
    const one = await tidewire(folder, ["plugin", "add", "--help"]);
    expect(one.stdout).toContain("\n  tidewire plugin add <package>");
    expect(one.stdout).not.toContain("tidewire plugin new");
    expect(await tidewire(folder, ["help", "plugin", "add"])).toEqual(one);
  });

  test.each([
    [["chekc"], 'there is no command "chekc"', "check [config] "],
    [["check", "--jsn"], "Unknown option '--jsn'", "check [config] "],
    [["run", "--json"], "Unknown option '--json'", "[run] [config] "],
    [["--prot", "8080"], "Unknown option '--prot'", "check [config] "],
    [["run", "a.yaml", "b.yaml"], '"run" takes one argument', "[run] [config] "],
    [["version", "a.yaml"], '"version" takes no argument', "version "],
    [["plugin", "tset"], '"plugin" is followed by one of', "plugin new <name> "],
  ])("%p is refused with the usage and 2", async (args, reason, usage) => {
    using folder = new Folder({ "tidewire.yaml": NEWS });
    const { code, stdout, stderr } = await tidewire(folder, args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toStartWith(`tidewire: ${reason}`);
    // How that command is called; of what is none, all of them.
    expect(stderr).toContain(`\n  tidewire ${usage}`);
    expect(stderr).toContain("\n  tidewire help ");
  });

  test.each([[[]], [["run"]], [["check"]]])(
    "%p without a config says where it looks, with 78",
    async (args) => {
      using folder = new Folder();
      expect(await tidewire(folder, args)).toEqual({
        code: 78,
        stdout: "",
        stderr: `error[no-such-file]: the config does not exist
  --> tidewire.yaml
   = it is looked for at ${folder.path}/tidewire.yaml

1 error in tidewire.yaml
`,
      });
    },
  );

  test("run tells every mistake of a config, exits with 78, and never listens", async () => {
    // Whoever listens there already would be noticed: binding the port comes to another end.
    using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    using folder = new Folder({
      "tidewire.yaml": `server:
  listen: 127.0.0.1:${taken.port}
control:
  listen: 127.0.0.1:${taken.port + 1}
  tokn: secret
channels:
  news:
    histroy: 100
    transports: [webscoket]
    plugins:
      - { use: clok }
      - { use: clock, with: { every: 1 second } }
      - { use: ./nowhere.ts }
`,
    });
    const { code, stdout, stderr } = await tidewire(folder, ["run"]);
    expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
    expect(stderr.match(/^error\[.*|^ +--> .*/gm)).toEqual([
      'error[unknown-key]: "tokn" is not a key of control',
      "  --> tidewire.yaml:5:3",
      'error[unknown-key]: "histroy" is not a key of a channel',
      "  --> tidewire.yaml:8:5",
      'error[bad-value]: "webscoket" is not a transport',
      "  --> tidewire.yaml:9:18",
      'error[unknown-plugin]: no plugin "clok" ships',
      "  --> tidewire.yaml:11:16",
      'error[bad-duration]: "1 second" is not a duration',
      "  --> tidewire.yaml:12:38",
      `error[bad-plugin]: plugin "./nowhere.ts" is not there: no file ${folder.path}/nowhere.ts`,
      "  --> tidewire.yaml:13:16",
    ]);
    expect(stderr).toEndWith("6 errors in tidewire.yaml\n");
    expect((await tidewire(folder, ["check"])).stderr).toBe(stderr);
  });

  test("run refuses a control listener for everyone that has no token, with 78", async () => {
    using folder = new Folder({
      "tidewire.yaml": `${NEWS}control: { listen: 0.0.0.0:0 }\n`,
    });
    const { code, stderr } = await tidewire(folder, ["run"]);
    expect(code).toBe(78);
    expect(stderr).toMatch(/^error\[.*\]: .*token/);
  });

  test("check --json tells what is right and what is wrong on stdout", async () => {
    using folder = new Folder({
      "tidewire.yaml": NEWS,
      "bad.yaml": "channels:\n  news: { size: 1 }\n",
    });
    const fine = await tidewire(folder, ["check", "--json"]);
    expect(fine).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(fine.stdout)).toEqual({
      ok: true,
      file: "tidewire.yaml",
      channels: [
        {
          name: "news",
          path: "/channels/news",
          transports: ["websocket", "sse", "long-poll"],
          plugins: [],
        },
      ],
      errors: [],
    });
    const wrong = await tidewire(folder, ["check", "bad.yaml", "--json"]);
    expect(wrong).toMatchObject({ code: 78, stderr: "" });
    expect(JSON.parse(wrong.stdout)).toMatchObject({
      ok: false,
      errors: [{ code: "unknown-key", line: 2, column: 11 }],
    });
  });

  test("schema prints a JSON Schema that takes config.example.yaml and no misspelt key", async () => {
    using folder = new Folder();
    const { code, stdout } = await tidewire(folder, ["schema"]);
    expect(code).toBe(0);
    const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strictTypes: false });
    const validate = ajv.compile(JSON.parse(stdout) as object);
    validate(parse(EXAMPLE));
    expect(validate.errors).toBeNull();
    expect(validate(parse(EXAMPLE.replace("every: 1s", "evry: 1s")))).toBe(false);
    expect(validate(parse(EXAMPLE.replace("channels:", "chanels:")))).toBe(false);
  });

  test("run serves config.example.yaml", async () => {
    // Its own ports may be taken on this machine; all else is as it is.
    const config = EXAMPLE.replace(/127\.0\.0\.1:(8443|9090)/g, "127.0.0.1:0");
    using folder = new Folder({ "config.example.yaml": config });
    await using server = await start(folder, {
      config: "config.example.yaml",
      env: { TIDEWIRE_PORT: "0" },
    });
    const poll = await fetch(`${server.publicUrl}/events?transport=long-poll`);
    expect(await poll.text()).toMatch(/^\d\d:\d\d:\d\d$/);
    const ready = await fetch(`${server.controlUrl}/readyz`);
    expect(await ready.json()).toEqual({ status: "ready" });
  });

  test("run with a taken port says which and what to do, with 1", async () => {
    using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    using folder = new Folder();
    const listeners = [
      (address: string) => `server: { listen: ${address} }\n`,
      (address: string) => `${ANY_PORT}control: { listen: ${address} }\n`,
      (address: string) => `server: { listen: 127.0.0.1:0, http2_push: { listen: ${address} } }\n`,
    ];
    for (const listener of listeners) {
      const address = `127.0.0.1:${taken.port}`;
      folder.write("tidewire.yaml", `${listener(address)}channels: { news: {} }\n`);
      const { code, stderr } = await tidewire(folder, ["run"]);
      expect(code).toBe(1);
      expect(JSON.parse(stderr.trim().split("\n").at(-1)!)).toMatchObject({
        level: "error",
        message: `the server did not start: can't listen on ${address}: another program listens there; stop it, or give another address in the config`,
      });
    }
  });
});

describe("the log", () => {
  test("is lines of JSON on a pipe", async () => {
    using folder = new Folder({ "tidewire.yaml": NEWS });
    await using server = await start(folder);
    server.signal("SIGTERM");
    await server.exited;
    expect(server.log.lines.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({ level: "info", message: "listening", public: server.publicUrl }),
      expect.objectContaining({ level: "info", message: "stopping", signal: "SIGTERM" }),
      expect.objectContaining({ level: "info", message: "stopped" }),
    ]);
  });

  test("is text where the config says so, from its level on", async () => {
    using folder = new Folder({ "tidewire.yaml": `${NEWS}log: { format: text }\n` });
    await using server = await launch(folder);
    expect(await server.log.line((line) => line.includes("listening"))).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}listening public=http:\/\/127\.0\.0\.1:\d+ /,
    );
    folder.write(
      "tidewire.yaml",
      `channels: { news: { plugins: [{ use: ./failing.ts }] } }\nlog: { level: error, format: text }\n${ANY_PORT}`,
    );
    folder.write("failing.ts", FAILING);
    const { code, stderr } = await tidewire(folder, []);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} ERROR the server did not start: plugin "failing", /,
    );
  });
});

test("a plugin whose setup fails ends the start with 1, and nobody was served before", async () => {
  const port = freePort();
  using folder = new Folder({
    "failing.ts": FAILING,
    "tidewire.yaml": `server: { listen: 127.0.0.1:${port} }
channels:
  other: {}
  news:
    plugins: [{ use: ./failing.ts, with: { asks: "http://127.0.0.1:${port}/channels/other?wait=0" } }]
`,
  });
  const { code, stderr } = await tidewire(folder, ["run"]);
  expect(code).toBe(1);
  expect(JSON.parse(stderr)).toMatchObject({
    level: "error",
    message: 'the server did not start: plugin "failing", setup, channel "news": got 503',
  });
});

test("a .env and a bunfig.toml in the folder are not the executable's business", async () => {
  using folder = new Folder({
    "tidewire.yaml": "server: { listen: 127.0.0.1:${LEAKED} }\nchannels: { news: {} }\n",
    ".env": "LEAKED=0\n",
    "bunfig.toml": 'preload = ["./nowhere.ts"]\n',
  });
  const { code, stderr } = await tidewire(folder, ["run"]);
  expect(code).toBe(78);
  expect(stderr).toStartWith("error[missing-variable]: ");
  await using server = await start(folder, { env: { LEAKED: "0" } });
  expect((await fetch(`${server.publicUrl}/channels/news?wait=0`)).status).toBe(204);
});

test("the control listener takes publishes on a unix socket, also after a kill", async () => {
  using folder = new Folder();
  const unix = join(folder.path, "control.sock");
  folder.write("tidewire.yaml", `${NEWS}control: { listen: "unix:${unix}" }\n`);
  for (let life = 1; life <= 2; life++) {
    await using server = await start(folder);
    expect(server.controlUrl).toBe(`unix:${unix}`);
    const published = await fetch("http://localhost/publish", {
      method: "POST",
      unix,
      body: JSON.stringify({ channel: "news", data: { life } }),
    });
    expect(published.status).toBe(201);
    const poll = await fetch(`${server.publicUrl}/channels/news?last=1`);
    expect(await poll.json()).toEqual({ life });
  }
});

test("a plugin that ends the process while it is loaded does not make a check look fine", async () => {
  using folder = new Folder({
    "leaves.ts": "process.exit(0);",
    "tidewire.yaml": "channels: { a: { plugins: [{ use: ./leaves.ts }] } }\n",
  });
  const { code, stderr } = await tidewire(folder, ["check"]);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: "tidewire: a plugin ended the process (process.exit)\n",
  });
});
