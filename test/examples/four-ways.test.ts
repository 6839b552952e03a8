/** The four-ways example: its real config, run by the real command line, with its real pages. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { resolvePlugin } from "../../src/server/plugins.ts";
import { loadConfig } from "../../src/config/load.ts";
import { run, runNode } from "../../src/server/http2-testing.ts";
import { startBrowser } from "./browser.ts";
import { startChildServer, type ChildServer } from "./child-server.ts";

const CONFIG = "examples/four-ways/tidewire.yaml";
const FOLDER = join(import.meta.dir, "../../examples/four-ways");
const NEWS_EVERY_MS = 50;

let server: ChildServer;
let browser: Browser;
let context: BrowserContext;
/** What pages complained of. */
const complaints: string[] = [];

function start(port = "0", pushPort = "0"): Promise<ChildServer> {
  return startChildServer(CONFIG, {
    EXAMPLE_PORT: port,
    EXAMPLE_PUSH_PORT: pushPort,
    EXAMPLE_NEWS_EVERY: `${NEWS_EVERY_MS}ms`,
  });
}

beforeAll(async () => {
  server = await start();
  // The pages and their URLs stay as they are, whatever ports are free.
  browser = await startBrowser({
    "localhost:8080": server.publicUrl.host,
    "localhost:3000": server.pushUrl.host,
  });
});

afterAll(async () => {
  await browser?.close();
  await server?.end("SIGKILL");
});

afterEach(async () => {
  await context?.close();
});

/** Opens a page in a browser session of its own, with a cache of its own. */
async function open(url: string): Promise<Page> {
  await context?.close();
  context = await browser.newContext({ ignoreHTTPSErrors: true, colorScheme: "light" });
  // Before the test's own limit: Bun kills all child processes when a test takes too long.
  context.setDefaultTimeout(10_000);
  return openTab(url);
}

async function openTab(url: string): Promise<Page> {
  const page = await context.newPage();
  complaints.length = 0;
  page.on("console", (line) => void (line.type() === "error" && complaints.push(line.text())));
  page.on("pageerror", (error) => void complaints.push(String(error)));
  await page.goto(url);
  return page;
}

/** What a page shows as received, oldest first, once there are `count` lines. */
async function received(page: Page, count: number): Promise<string[]> {
  const lines = page.locator("#received span");
  await lines.nth(count - 1).waitFor();
  return (await lines.allTextContents()).reverse();
}

/** The numbers of the news that a page shows. */
async function numbers(page: Page, count: number): Promise<number[]> {
  const lines = await received(page, count);
  return lines.map((line) => Number(/^New data from server · no\. (\d+)$/.exec(line)?.[1]));
}

/** `length` whole numbers that follow one another. */
function sequence(first: number, length: number): number[] {
  return Array.from({ length }, (_, i) => first + i);
}

test("four-ways listens on 8080 and 3000 and has news every 5 s when nothing else is said", async () => {
  const result = await loadConfig(join(FOLDER, "tidewire.yaml"), { env: {}, resolvePlugin });
  expect(result).toMatchObject({
    config: {
      server: {
        listen: { hostname: "127.0.0.1", port: 8080 },
        http2Push: { listen: { hostname: "127.0.0.1", port: 3000 } },
      },
      channels: [{}, {}, { name: "news", plugins: [{ options: { every: "5s" } }] }],
    },
  });
});

test("websocket.html says hello at ws://localhost:8080 and is answered, alone", async () => {
  const page = await open("about:blank");
  const opened = page.waitForEvent("websocket");
  await page.goto("http://localhost:8080/websocket.html");
  expect((await opened).url()).toBe("ws://localhost:8080/");
  expect(await received(page, 1)).toEqual(["Server received: Hello Server"]);
  const other = await openTab("http://localhost:8080/websocket.html");
  await received(other, 1);
  await page.getByLabel("Say something").fill("Grüße 🌊");
  await page.getByRole("button", { name: "Send" }).click();
  expect(await received(page, 2)).toEqual([
    "Server received: Hello Server",
    "Server received: Grüße 🌊",
  ]);
  expect(await received(other, 1)).toHaveLength(1);
  expect(complaints).toEqual([]);
});

test("websocket.html works from https://localhost:3000 too, and its code from a page on disk", async () => {
  const page = await open("https://localhost:3000/websocket.html");
  expect(await received(page, 1)).toEqual(["Server received: Hello Server"]);
  await page.goto(`file://${FOLDER}/public/style.css`);
  const answer = await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket("ws://localhost:8080");
        socket.onopen = () => socket.send("Hello Server");
        socket.onmessage = (event) => resolve(event.data);
        socket.onclose = (event) => reject(new Error(`closed with ${event.code}`));
      }),
  );
  expect(answer).toBe("Server received: Hello Server");
});

test("events.html gets the time of day as plain text, each second", async () => {
  const page = await open("http://localhost:8080/events.html");
  const times = await received(page, 3);
  const seconds = times.map((time) => {
    expect(time).toMatch(/^\d\d:\d\d:\d\d$/);
    return Date.parse(`2000-01-01T${time}Z`) / 1000;
  });
  const first = seconds[0]!;
  const midnight = 86_400;
  expect(seconds.map((second) => (second - first + midnight) % midnight)).toEqual([0, 1, 2]);
  expect(complaints).toEqual([]);
});

test("poll.html misses and repeats nothing, not even a burst between two polls", async () => {
  const page = await open("http://localhost:8080/poll.html");
  await numbers(page, 2);
  // While its one thread is busy the page can't poll.
  await page.evaluate((busyMs) => {
    const end = performance.now() + busyMs;
    while (performance.now() < end);
  }, NEWS_EVERY_MS * 12);
  const got = await numbers(page, 20);
  expect(got).toEqual(sequence(got[0]!, got.length));
  expect(complaints).toEqual([]);
});

test("poll.html polls again 5 s after an error and gets all that came meanwhile", async () => {
  const page = await open("about:blank");
  await page.clock.install();
  await page.goto("http://localhost:8080/poll.html");
  await numbers(page, 3);
  const { publicUrl, pushUrl } = server;
  await server.end("SIGKILL");
  await page.getByRole("status").getByText("Failed to fetch: trying again in 5 seconds").waitFor();
  const before = (await numbers(page, 3)).length;
  server = await start(publicUrl.port, pushUrl.port);
  await page.clock.fastForward(5000);
  const got = await numbers(page, before + 10);
  expect(got.slice(0, before)).toEqual(sequence(got[0]!, before));
  // A server that keeps its history in memory counts from 1 again; the page gets it from the first.
  expect(got.slice(before)).toEqual(sequence(1, got.length - before));
});

test("poll.html in two tabs of one browser shares the messages out, as its README says", async () => {
  const one = await open("http://localhost:8080/poll.html");
  const two = await openTab("http://localhost:8080/poll.html");
  await two.locator("#received span").nth(4).waitFor();
  const [ones, twos] = [await numbers(one, 5), await numbers(two, 5)];
  const both = ones.filter((number) => number >= twos[0]! && twos.includes(number));
  expect(both).toEqual([]);
});

test("poll-next.html misses and repeats nothing in two tabs and after a reload", async () => {
  const one = await open("http://localhost:8080/poll-next.html");
  const two = await openTab("http://localhost:8080/poll-next.html");
  for (const page of [one, two]) {
    const got = await numbers(page, 10);
    expect(got).toEqual(sequence(got[0]!, got.length));
  }
  await one.evaluate(() => {
    addEventListener("pagehide", () => {
      sessionStorage.setItem("last line", document.querySelector("#received span")!.textContent);
    });
  });
  await one.reload();
  const after = await numbers(one, 5);
  const lastLine = await one.evaluate(() => sessionStorage.getItem("last line"));
  expect(lastLine).toBe(`New data from server · no. ${after[0]! - 1}`);
  expect(after).toEqual(sequence(after[0]!, after.length));
  expect(complaints).toEqual([]);
});

test("poll-next.html misses and repeats nothing when polls end with 204", async () => {
  const page = await open("http://localhost:8080/style.css");
  await page.evaluate(() => sessionStorage.setItem("next", "/poll?wait=0&last=1"));
  const empty = page.waitForResponse((response) => response.status() === 204);
  await page.goto("http://localhost:8080/poll-next.html");
  await empty;
  const got = await numbers(page, 10);
  expect(got).toEqual(sequence(got[0]!, got.length));
});

test("https://localhost:3000/ pushes /style.css to Node's client before its page", async () => {
  using client = await runNode(
    `https://localhost:${server.pushUrl.port}`,
    `const session = connect();
     const pushed = new Promise((resolve) => session.once("stream", async (stream, headers) => {
       say("promise of " + headers[":path"]);
       const [response] = await once(stream, "push");
       resolve({ status: response[":status"], type: response["content-type"], text: await read(stream) });
     }));
     const stream = session.request({ ":path": "/" });
     stream.on("response", () => say("page"));
     const page = await read(stream);
     say({ linksStyle: page.includes('href="/style.css"'), ...(await pushed) });
     session.close();`,
  );
  expect(await client.rest()).toEqual([
    "promise of /style.css",
    "page",
    {
      linksStyle: true,
      status: 200,
      type: "text/css;charset=utf-8",
      text: await Bun.file(join(FOLDER, "public/style.css")).text(),
    },
  ]);
});

test("https://localhost:3000/ pushes /style.css to nghttp, which asked for the page alone", async () => {
  const { out } = await run("nghttp", "-nv", `https://localhost:${server.pushUrl.port}/`);
  const lines = out.split("\n").map((line) => line.replace(/\x1b\[[\d;]*m/g, "").trim());
  const frames = lines.filter((line) =>
    /(send HEADERS|recv PUSH_PROMISE|recv HEADERS) frame/.test(line),
  );
  expect(frames.map((line) => line.replace(/^\[.*?\] | <.*/g, ""))).toEqual([
    "send HEADERS frame",
    "recv PUSH_PROMISE frame",
    "recv HEADERS frame",
    "recv HEADERS frame",
  ]);
  expect(out).toContain(":path: /style.css");
  expect(out.match(/:status: \d+/g)).toEqual([":status: 200", ":status: 200"]);
});

test("https://localhost:3000/ is a styled page in Chromium that leads to every way", async () => {
  const page = await open("https://localhost:3000/");
  expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe(
    "rgb(244, 247, 248)",
  );
  for (const name of ["WebSocket", "Server-Sent Events", "Long-poll", "HTTP/2 push"]) {
    await page.getByRole("link", { name, exact: true }).click();
    await page.waitForURL(/html$|^https:\/\/localhost:3000\/$/);
    await page.goto("https://localhost:3000/");
  }
  expect(complaints).toEqual([]);
});

test("each page of four-ways shows the code that it runs and asks nobody else for anything", async () => {
  const page = await open("about:blank");
  const asked = new Set<string>();
  page.on("request", (request) => void asked.add(new URL(request.url()).origin));
  for (const file of ["websocket.html", "events.html", "poll.html", "poll-next.html"]) {
    await page.goto(`http://localhost:8080/${file}`);
    await received(page, 1);
    const shown = (await page.locator("#code").textContent())!;
    const source = await Bun.file(join(FOLDER, "public", file)).text();
    const script = /<script id="demo">\n(.*?)\s*<\/script>/s.exec(source)![1]!;
    expect(shown).toBe(script.replace(/^ {6}/gm, ""));
  }
  expect([...asked]).toEqual(["http://localhost:8080"]);
});

test("four-ways stops with exit code 0 on SIGTERM while pages are connected", async () => {
  await open("http://localhost:8080/events.html");
  await openTab("http://localhost:8080/websocket.html");
  expect(await server.end("SIGTERM")).toBe(0);
});
