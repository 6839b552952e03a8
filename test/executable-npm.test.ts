/** npm packages with the executable alone: add, pin, run, run with no registry, check out afresh. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { executable, Folder, start, tidewire, type Ended } from "./executable.ts";
import { pack, startRegistry, type Published, type Registry } from "./npm-registry.ts";
import { rawWebSocket } from "./transports/clients/websocket.ts";

/** TypeScript, with a dependency of its own, options, and "tidewire" as the package that it expects. */
const LOUD = `import { definePlugin, t } from "tidewire";
import { shout } from "shouting";
export default definePlugin({
  name: "loud",
  options: t.Object({
    mark: t.String({ description: "What every message ends with." }),
    times: t.Integer({ default: 1, description: "How often it stands there." }),
  }),
  setup: ({ options }) => ({
    transform: (draft) => ({
      ...draft,
      data: shout(String(draft.data)) + options.mark.repeat(options.times),
    }),
  }),
});
`;
const PLAIN = `const { definePlugin } = require("tidewire");
module.exports = definePlugin({
  name: "plain",
  setup: () => ({ transform: (draft) => ({ ...draft, data: draft.data + " (plain)" }) }),
});
`;

const PACKAGES: readonly Published[] = [
  {
    name: "@acme/loud",
    version: "1.2.3",
    files: { "index.ts": LOUD, "old.js": "" },
    manifest: {
      type: "module",
      exports: { ".": "./index.ts" },
      dependencies: { shouting: "^2.0.0" },
      peerDependencies: { tidewire: ">=0.1.0" },
      scripts: { postinstall: "echo ran > ran.txt" },
    },
  },
  {
    name: "shouting",
    version: "2.0.0",
    files: { "index.js": "export const shout = (text) => text.toUpperCase();" },
    manifest: { type: "module", exports: "./index.js" },
  },
  { name: "plain", version: "0.9.0", files: { "index.js": "" }, manifest: { main: "index.js" } },
  {
    name: "plain",
    version: "1.0.0",
    files: { "lib/main.js": PLAIN },
    manifest: { main: "lib/main.js", dependencies: { tidewire: "*" } },
  },
  {
    name: "broken",
    version: "1.0.0",
    files: { "index.js": `throw new Error("made to fail");` },
    manifest: { type: "module", exports: "./index.js" },
  },
];

let registry: Registry;
beforeAll(async () => {
  await executable();
  registry = await startRegistry(PACKAGES);
});
afterAll(() => registry[Symbol.asyncDispose]());

function npmrc(): Readonly<Record<string, string>> {
  return { ".npmrc": `registry=${registry.url}\n` };
}

function readJson(folder: Folder, path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(folder.path, path), "utf8")) as Record<string, unknown>;
}

const CONFIG = `server: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
channels:
  loud:
    publish: clients
    plugins:
      - use: npm:@acme/loud
        with: { mark: "!" }
      - use: npm:plain
`;

/** What a subscriber sees of one text that a client publishes. */
async function passThrough(folder: Folder, channel: string, data: string): Promise<string> {
  await using server = await start(folder);
  const url = server.publicUrl;
  const reader = await rawWebSocket.open({ url, channel });
  const headers = { "content-type": "text/plain" };
  const posted = await fetch(`${url}/channels/${channel}`, { method: "POST", headers, body: data });
  expect(posted.status).toBe(201);
  const received = await reader.next();
  await reader.close();
  if (received.type !== "message") throw new Error(`a ${received.type} instead of a message`);
  return received.text;
}

function requestsOf(work: () => Promise<unknown>): Promise<readonly string[]> {
  const before = registry.requests.length;
  return work().then(() => registry.requests.slice(before));
}

describe("from an empty folder", () => {
  let folder: Folder;
  let added: Ended;
  beforeAll(async () => {
    folder = new Folder(npmrc());
    added = await tidewire(folder, ["plugin", "add", "@acme/loud", "plain@1.0.0"]);
  });
  afterAll(() => folder[Symbol.dispose]());

  test("plugin add says what it added and how a config uses it", () => {
    expect(added.stdout).toBe(`added @acme/loud 1.2.3 to package.json

plugins:
  - use: npm:@acme/loud
    with:
      mark: "…"  # What every message ends with.
      # times: 1  # How often it stands there.
added plain 1.0.0 to package.json

plugins:
  - use: npm:plain
`);
    expect(added.code).toBe(0);
  });

  test("an install script is told of, and not run", () => {
    expect(added.stderr).toBe(
      `tidewire: a package has an install script, which was not run; if it is needed, list the package under "trustedDependencies" in package.json and add it again\n`,
    );
    expect(existsSync(join(folder.path, "node_modules/@acme/loud/ran.txt"))).toBe(false);
  });

  test("an install script that package.json trusts is run", async () => {
    using other = new Folder(npmrc());
    other.write("package.json", JSON.stringify({ trustedDependencies: ["@acme/loud"] }));
    const { stderr } = await tidewire(other, ["plugin", "add", "@acme/loud"]);
    expect(stderr).toBe("");
    expect(existsSync(join(other.path, "node_modules/@acme/loud/ran.txt"))).toBe(true);
  });

  test("versions are pinned, and the lock file has the sums of what they need too", () => {
    expect(readJson(folder, "package.json")["dependencies"]).toEqual({
      "@acme/loud": "1.2.3",
      plain: "1.0.0",
    });
    const lock = readFileSync(join(folder.path, "bun.lock"), "utf8");
    for (const pinned of ["@acme/loud@1.2.3", "plain@1.0.0", "shouting@2.0.0"]) {
      expect(lock).toMatch(new RegExp(`"${pinned}".*"sha512-[A-Za-z0-9+/]+=*"`));
    }
  });

  test("no package named tidewire was asked for", () => {
    expect(registry.requests).not.toContain("GET /tidewire");
  });

  test("use: npm: runs them, and a file beside the config imports them", async () => {
    folder.write("tidewire.yaml", `${CONFIG}      - use: ./beside.ts\n`);
    folder.write(
      "beside.ts",
      `import { definePlugin } from "tidewire";
import { shout } from "shouting";
export default definePlugin({
  name: "beside",
  setup: () => ({ transform: (draft) => ({ ...draft, data: draft.data + shout(" beside") }) }),
});
`,
    );
    const requests = await requestsOf(async () => {
      expect(await passThrough(folder, "loud", "hello")).toBe("HELLO! (plain) BESIDE");
    });
    expect(requests).toEqual([]);
  });

  test("one in a thread of its own has the same sdk, and its own packages", async () => {
    folder.write(
      "tidewire.yaml",
      CONFIG.replace(`with: { mark: "!" }`, `with: { mark: "?" }\n        isolate: true`),
    );
    expect(await passThrough(folder, "loud", "hello")).toBe("HELLO? (plain)");
  });

  test("a version in use is refused at its place", async () => {
    folder.write("versioned.yaml", CONFIG.replace("npm:plain", "npm:plain@1"));
    const { code, stderr } = await tidewire(folder, ["check", "versioned.yaml"]);
    expect(code).toBe(78);
    expect(stderr).toBe(
      `error[bad-plugin]: "npm:plain@1" has a version, which the lock file says and the config does not
  --> versioned.yaml:9:14
 9 |       - use: npm:plain@1
   |              ^^^^^^^^^^^ write npm:plain, and run "tidewire plugin add plain@1"

1 error in versioned.yaml
`,
    );
  });
});

describe("a checkout", () => {
  test("says to install, installs what the lock file says, and needs no registry from then on", async () => {
    using made = new Folder(npmrc());
    await tidewire(made, ["plugin", "add", "plain@0.9.0"]);
    await tidewire(made, ["plugin", "add", "@acme/loud", "plain@1.0.0"]);
    using folder = new Folder({
      "tidewire.yaml": CONFIG,
      "package.json": readFileSync(join(made.path, "package.json"), "utf8"),
      "bun.lock": readFileSync(join(made.path, "bun.lock"), "utf8"),
    });
    const missing = await requestsOf(async () => {
      const { code, stderr } = await tidewire(folder, []);
      expect(code).toBe(78);
      expect(stderr).toContain(
        `error[bad-plugin]: the npm package "plain" is not installed
  --> tidewire.yaml:9:14
 9 |       - use: npm:plain
   |              ^^^^^^^^^ run "tidewire plugin install": package.json lists it
`,
      );
    });
    expect(missing).toEqual([]);
    const installed = await tidewire(folder, ["plugin", "install"]);
    expect(installed.stdout).toBe(
      "installed 2 packages of package.json: @acme/loud 1.2.3, plain 1.0.0\n",
    );
    expect(installed.code).toBe(0);
    const later = await requestsOf(async () => {
      expect(await passThrough(folder, "loud", "again")).toBe("AGAIN! (plain)");
    });
    expect(later).toEqual([]);
  });

  test("installs nothing when the lock file does not fit", async () => {
    using folder = new Folder(npmrc());
    await tidewire(folder, ["plugin", "add", "plain"]);
    const manifest = readJson(folder, "package.json");
    folder.write("package.json", JSON.stringify({ ...manifest, dependencies: { plain: "0.9.0" } }));
    const { code, stderr } = await tidewire(folder, ["plugin", "install"]);
    expect(code).toBe(1);
    expect(stderr).toContain("lockfile had changes, but lockfile is frozen");
    expect(readJson(folder, "node_modules/plain/package.json")["version"]).toBe("1.0.0");
  });

  test("with nothing to install is told what to do", async () => {
    using folder = new Folder();
    const { code, stderr } = await tidewire(folder, ["plugin", "install"]);
    expect(code).toBe(1);
    expect(stderr).toContain(`no package was added yet; "tidewire plugin add <package>" adds one`);
  });
});

test("a package that is not there is told at its word, and nothing is asked of a registry", async () => {
  using folder = new Folder({ ...npmrc(), "tidewire.yaml": CONFIG });
  const requests = await requestsOf(async () => {
    for (const args of [[], ["check"]]) {
      const { code, stderr } = await tidewire(folder, args);
      expect(code).toBe(78);
      expect(stderr).toContain(
        `error[bad-plugin]: the npm package "@acme/loud" is not installed
  --> tidewire.yaml:7:14
 7 |       - use: npm:@acme/loud
   |              ^^^^^^^^^^^^^^ run "tidewire plugin add @acme/loud"
`,
      );
    }
  });
  expect(requests).toEqual([]);
  expect(existsSync(join(folder.path, "node_modules"))).toBe(false);
});

test("an import of a package that is not there fetches nothing either", async () => {
  using folder = new Folder({
    ...npmrc(),
    "tidewire.yaml": "channels: { a: { plugins: [{ use: ./a.ts }] } }\n",
    "a.ts": `import { shout } from "shouting";\nexport default shout;\n`,
  });
  const requests = await requestsOf(async () => {
    const { code, stderr } = await tidewire(folder, ["check"]);
    expect(code).toBe(78);
    expect(stderr).toContain("tidewire plugin add shouting");
  });
  expect(requests).toEqual([]);
});

describe("plugin add", () => {
  test("adds what is no plugin too, and says so", async () => {
    using folder = new Folder(npmrc());
    const { code, stdout } = await tidewire(folder, ["plugin", "add", "shouting"]);
    expect(stdout).toBe(
      `added shouting 2.0.0 to package.json\nIt is no plugin; plugins can import it: import … from "shouting"\n`,
    );
    expect(code).toBe(0);
  });

  test("puts them beside the config, also from a folder within", async () => {
    using folder = new Folder({ ...npmrc(), "tidewire.yaml": CONFIG, "plugins/own.ts": PLAIN });
    const within = { path: join(folder.path, "plugins") } as Folder;
    const { code, stderr } = await tidewire(within, ["plugin", "add", "shouting"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(readJson(folder, "package.json")["dependencies"]).toEqual({ shouting: "2.0.0" });
    expect(existsSync(join(within.path, "package.json"))).toBe(false);
    expect((await tidewire(within, ["plugin", "install"])).code).toBe(0);
    expect((await tidewire(within, ["plugin", "remove", "shouting"])).code).toBe(0);
    expect(readJson(folder, "package.json")["dependencies"] ?? {}).toEqual({});
  });

  test("leaves everything as it was when a package can't be had", async () => {
    using folder = new Folder(npmrc());
    const failed = await tidewire(folder, ["plugin", "add", "plain", "not-there"]);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toBe(
      `tidewire: plugin add failed: the registry has no package "not-there": GET ${registry.url}not-there - 404\n`,
    );
    for (const name of ["package.json", "bun.lock", "node_modules", ".tidewire"]) {
      expect(existsSync(join(folder.path, name))).toBe(false);
    }
    await tidewire(folder, ["plugin", "add", "plain"]);
    const before = readFileSync(join(folder.path, "bun.lock"), "utf8");
    await tidewire(folder, ["plugin", "add", "not-there"]);
    expect(readFileSync(join(folder.path, "bun.lock"), "utf8")).toBe(before);
  });

  test("tells of a plugin that can't be loaded, and how to be rid of it", async () => {
    using folder = new Folder(npmrc());
    const { code, stderr } = await tidewire(folder, ["plugin", "add", "broken"]);
    expect(code).toBe(1);
    expect(stderr).toStartWith("tidewire: broken was added and can't be loaded: ");
    expect(stderr).toContain("made to fail");
    expect(stderr).toContain(`"tidewire plugin remove broken" takes it away again`);
    const removed = await tidewire(folder, ["plugin", "remove", "broken"]);
    expect(removed.stdout).toBe("removed broken from package.json\n");
    expect(existsSync(join(folder.path, "node_modules/broken"))).toBe(false);
    const again = await tidewire(folder, ["plugin", "remove", "broken"]);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain(`package.json does not list "broken"`);
  });

  test("takes a folder and a tarball, from where it is run", async () => {
    using folder = new Folder(npmrc());
    folder.write("made/mine/package.json", JSON.stringify({ name: "mine", main: "main.cjs" }));
    folder.write("made/mine/main.cjs", PLAIN.replace(`"plain"`, `"mine"`));
    await Bun.write(join(folder.path, "made/plain.tgz"), await pack(PACKAGES[3]!));
    const args = ["plugin", "add", "./made/mine", "made/plain.tgz", "--dir", "conf", "--json"];
    folder.write("conf/.npmrc", npmrc()[".npmrc"]!);
    const { code, stdout, stderr } = await tidewire(folder, args);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject({
      packages: [
        { name: "mine", use: "npm:mine", plugin: { name: "mine", options: null }, error: null },
        { name: "plain", version: "1.0.0", use: "npm:plain", plugin: { name: "plain" } },
      ],
    });
    expect(code).toBe(0);
    expect(readJson(folder, "conf/package.json")["dependencies"]).toEqual({
      mine: "../made/mine",
      plain: "../made/plain.tgz",
    });
  });

  test("keeps out of an app's project that npm keeps, and its packages can be used all the same", async () => {
    const manifest = `{ "name": "app", "private": true }\n`;
    using folder = new Folder({
      ...npmrc(),
      "package.json": manifest,
      "package-lock.json": "{}",
      "node_modules/plain/package.json": `{ "main": "main.js" }`,
      "node_modules/plain/main.js": PLAIN,
      "tidewire.yaml": CONFIG,
    });
    folder.write("plugins/.npmrc", npmrc()[".npmrc"]!);
    const added = await tidewire(folder, ["plugin", "add", "@acme/loud"]);
    expect(added.stdout).toStartWith("added @acme/loud 1.2.3 to plugins/package.json\n");
    expect(readFileSync(join(folder.path, "package.json"), "utf8")).toBe(manifest);
    expect(existsSync(join(folder.path, "bun.lock"))).toBe(false);
    expect(await passThrough(folder, "loud", "hello")).toBe("HELLO! (plain)");
  });
});

test("with the registry gone, what is installed runs", async () => {
  const own = await startRegistry(PACKAGES);
  using folder = new Folder({ ".npmrc": `registry=${own.url}\n`, "tidewire.yaml": CONFIG });
  await tidewire(folder, ["plugin", "add", "@acme/loud", "plain"]);
  await own[Symbol.asyncDispose]();
  rmSync(join(folder.path, ".bun"), { recursive: true, force: true });
  expect(await passThrough(folder, "loud", "offline")).toBe("OFFLINE! (plain)");
});
