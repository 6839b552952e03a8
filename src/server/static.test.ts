import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, runNode, startListener } from "./http2-testing.ts";
import { createStatic, type ServeStatic } from "./static.ts";

const PUSH = { "/": ["/style.css", "/app.js"] };
let folder: string;
let root: string;
let serveStatic: ServeStatic;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidewire-static-"));
  root = join(folder, "public");
  await mkdir(join(root, "docs"), { recursive: true });
  await mkdir(join(root, "empty"));
  await mkdir(join(root, ".hidden"));
  await Bun.write(join(root, "index.html"), "<link rel=stylesheet href=/style.css>");
  await Bun.write(join(root, "style.css"), "body { color: teal }");
  await Bun.write(join(root, "app.js"), "console.log(1)");
  await Bun.write(join(root, "docs/index.html"), "the docs");
  await Bun.write(join(root, "docs/ünï cödé.txt"), "letters");
  await Bun.write(join(root, ".env"), "secret");
  await Bun.write(join(root, ".hidden/file.txt"), "secret");
  await Bun.write(join(folder, "outside.txt"), "secret");
  await symlink(join(folder, "outside.txt"), join(root, "link-out.txt"));
  await symlink(folder, join(root, "link-up"));
  await symlink(join(root, "style.css"), join(root, "link-in.css"));
  serveStatic = createStatic(root, PUSH);
});
afterAll(() => rm(folder, { recursive: true }));

const get = (pathname: string, init: RequestInit = {}) =>
  serveStatic(new Request(`http://127.0.0.1${pathname}`, init), pathname, null);

test("serveStatic() serves a file with its type, length and ETag", async () => {
  const response = (await get("/style.css"))!;
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toStartWith("text/css");
  expect(response.headers.get("content-length")).toBe("20");
  expect(response.headers.get("etag")).toMatch(/^W\/"[a-z0-9-]+"$/);
  expect(response.headers.get("link")).toBeNull();
  expect(await response.text()).toBe("body { color: teal }");
  expect(await (await get("/docs/%C3%BCn%C3%AF%20c%C3%B6d%C3%A9.txt"))!.text()).toBe("letters");
  expect(await (await get("/link-in.css"))!.text()).toBe("body { color: teal }");
});

test("serveStatic() serves index.html for a folder, and sends a path without its slash there", async () => {
  expect(await (await get("/docs/"))!.text()).toBe("the docs");
  const redirect = (await get("/docs"))!;
  expect([redirect.status, redirect.headers.get("location")]).toEqual([308, "/docs/"]);
  expect(await get("/empty/")).toBeNull();
  expect(await get("/style.css/")).toBeNull();
});

test("serveStatic() serves nothing outside the root, no dotfile and no odd name", async () => {
  const paths = [
    "/../outside.txt",
    "/docs/../../outside.txt",
    "/%2e%2e/outside.txt",
    "/docs/%2e%2e%2f%2e%2e%2foutside.txt",
    "/..%5coutside.txt",
    "/docs\\..\\..\\outside.txt",
    "/link-out.txt",
    "/link-up/outside.txt",
    "/link-up/public/style.css/../../outside.txt",
    "/.env",
    "/%2eenv",
    "/.hidden/file.txt",
    "/style.css%00.txt",
    "/%",
    "/%ff",
    "//style.css",
    "/docs//index.html",
    "style.css",
    "",
    "/nothing",
    `/${"x".repeat(5000)}`,
  ];
  for (const path of paths) {
    // As the path came: a URL would have resolved the dots away.
    const request = new Request("http://127.0.0.1/");
    expect([path, await serveStatic(request, path, null)]).toEqual([path, null]);
  }
});

test("serveStatic() answers 304 to who has the file, and 200 when it changed", async () => {
  const etag = (await get("/app.js"))!.headers.get("etag")!;
  for (const condition of [etag, etag.slice(2), `"other", ${etag}`, "*"]) {
    const response = (await get("/app.js", { headers: { "if-none-match": condition } }))!;
    expect([condition, response.status, await response.text()]).toEqual([condition, 304, ""]);
    expect(response.headers.get("etag")).toBe(etag);
  }
  await utimes(join(root, "app.js"), 1, 1);
  expect((await get("/app.js", { headers: { "if-none-match": etag } }))!.status).toBe(200);
});

test("serveStatic() answers HEAD without a body and leaves other methods to others", async () => {
  const head = (await get("/style.css", { method: "HEAD" }))!;
  expect([await head.text(), head.headers.get("content-length")]).toEqual(["", "20"]);
  expect(await get("/style.css", { method: "POST" })).toBeNull();
});

test("serveStatic() names what would be pushed in Link to a client that takes no pushes", async () => {
  const link = "</style.css>; rel=preload; as=style, </app.js>; rel=preload; as=script";
  expect((await get("/"))!.headers.get("link")).toBe(link);
  await using server = await listen();
  const { out } = await run("curl", "-sSi", "--http2-prior-knowledge", server.url);
  expect(out).toContain(`link: ${link}`);
});

const listen = (tls = false) =>
  startListener(
    async (request, listener) =>
      (await serveStatic(request, new URL(request.url).pathname, listener.push(request))) ??
      new Response("no such file", { status: 404 }),
    { tls },
  );

test("a page's files are pushed whole, promised before the page, once a connection", async () => {
  for (const tls of [true, false]) {
    await using server = await listen(tls);
    using client = await runNode(
      server.url,
      `const session = connect();
       const pushed = new Map();
       session.on("stream", (stream, headers) => {
         say(["promise", headers[":path"]]);
         stream.on("push", (head) => pushed.set(headers[":path"], [head, read(stream)]));
       });
       const stream = session.request({ ":path": "/" });
       stream.on("response", (headers) => say(["response", headers[":status"], headers.link ?? null]));
       say(["page", await read(stream)]);
       for (const [path, [head, text]] of pushed) say([path, head[":status"], head["content-type"], head.etag, await text]);
       const again = await request(session, { ":path": "/" });
       say(["again", again.status, again.headers.link ?? null]);
       session.close();`,
    );
    const said = await client.rest();
    const etag = expect.stringMatching(/^W\/"/);
    expect(said.slice(0, 3)).toEqual([
      ["promise", "/style.css"],
      ["promise", "/app.js"],
      ["response", 200, null],
    ]);
    expect(said.slice(3)).toEqual([
      ["page", "<link rel=stylesheet href=/style.css>"],
      ["/style.css", 200, "text/css;charset=utf-8", etag, "body { color: teal }"],
      ["/app.js", 200, "text/javascript;charset=utf-8", etag, "console.log(1)"],
      ["again", 200, null],
    ]);
  }
});

test("a page does not wait for pushes that the client has no room for", async () => {
  await using server = await listen();
  using client = await runNode(
    server.url,
    `const session = connect({ maxConcurrentStreams: 0 });
     session.on("stream", () => say("pushed"));
     const { status, headers, text } = await request(session, { ":path": "/" });
     say([status, headers.link.includes("</style.css>"), text.length]);
     session.close();`,
  );
  expect(await client.rest()).toEqual([[200, true, 37]]);
});

test("nghttp sees PUSH_PROMISE for the style sheet before the page", async () => {
  await using server = await listen(true);
  const { out } = await run("nghttp", "-v", "--no-verify-peer", "-t", "5", `${server.url}/`);
  const promise = out.indexOf(":path: /style.css");
  const page = out.indexOf("content-type: text/html");
  expect(promise).toBeGreaterThan(0);
  expect(page).toBeGreaterThan(promise);
  expect(out).toContain("body { color: teal }");
  expect(out).not.toContain("RST_STREAM");
});
