/** Thousands of generated bad requests: each is refused with a reason, and nothing of them stays. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import type { Case } from "./bad-input/case.ts";
import { httpCase } from "./bad-input/http-cases.ts";
import { http2Case } from "./bad-input/http2-cases.ts";
import { Random } from "./bad-input/random.ts";
import { socketCase } from "./bad-input/socket-cases.ts";
import { throwAt } from "./bad-input/throw.ts";
import { WAYS } from "./transports/clients/all.ts";

/** Cases of one round. */
const ROUND = 2000;
const ROUNDS = 5;
const AT_ONCE = 40;
const MiB = 1024 * 1024;
/** What two rounds more may add, once the first three have warmed everything up: half a page a request. */
const SLACK = 8 * MiB;

const seed = Number(process.env["TIDEWIRE_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
console.log(`bad input: TIDEWIRE_TEST_SEED=${seed} makes the same requests again`);
const random = new Random(seed);

interface State {
  readonly connections: number;
  readonly held: number;
  readonly subscribers: number;
  readonly rss: number;
  readonly errors: readonly string[];
}

interface Urls {
  readonly public: string;
  readonly http2Push: string;
  readonly control: string;
}

let child: Bun.Subprocess<"pipe", "pipe", "inherit">;
let lines: AsyncIterator<string>;
let urls: Urls;
let filesAtStart: number;

beforeAll(async () => {
  child = Bun.spawn([process.execPath, `${import.meta.dir}/bad-input/server.ts`], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  lines = readLines(child.stdout);
  urls = JSON.parse((await lines.next()).value as string) as Urls;
  // What the first connection of a kind opens for good is there before the count.
  await expectServing();
  await expectNothingHeld();
  filesAtStart = await countFiles();
});
afterAll(() => child.kill());

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

async function state(): Promise<State> {
  child.stdin.write("state\n");
  child.stdin.flush();
  return JSON.parse((await lines.next()).value as string) as State;
}

async function countFiles(): Promise<number> {
  return (await readdir(`/proc/${child.pid}/fd`)).length;
}

function nextCase(): Case {
  const at = random.next();
  if (at < 0.6) return httpCase(random);
  return at < 0.85 ? socketCase(random) : http2Case(random);
}

/** Throws one round; gives back how many were answered, and what was wrong with the answers. */
async function throwRound(): Promise<{ answered: number; wrong: string[] }> {
  const wrong: string[] = [];
  let answered = 0;
  let left = ROUND;
  const of = { public: urls.public, control: urls.control, push: urls.http2Push };
  const worker = async () => {
    while (left-- > 0) {
      const bad = nextCase();
      const outcome = await throwAt(of[bad.listener], bad);
      if (outcome.isAnswered) answered++;
      if (outcome.wrong !== null) wrong.push(`${bad.kind}, ${describe(bad)} => ${outcome.wrong}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { answered, wrong };
}

function describe({ bytes, frames }: Case): string {
  const of = (part: Buffer) => JSON.stringify(part.subarray(0, 400).toString("latin1"));
  return of(bytes) + (frames ? ` then ${of(frames)}` : "");
}

/** Every transport still delivers what is published. */
async function expectServing(): Promise<void> {
  const publish = async (text: string) => {
    const response = await fetch(`${urls.public}/channels/check`, {
      method: "POST",
      body: text,
      headers: { "content-type": "text/plain" },
    });
    expect(response.status).toBe(201);
    return ((await response.json()) as { id: string }).id;
  };
  for (const way of WAYS) {
    const after = await publish("before");
    const url = way.transport === "http2-push" ? urls.http2Push : urls.public;
    const client = await way.open({ url, channel: "check", after });
    const text = `alive, ${way.name}`;
    await publish(text);
    expect(await client.next()).toMatchObject({ type: "message", text });
    await client.close();
  }
  const health = await fetch(`${urls.control}/readyz`);
  expect(health.status).toBe(200);
}

/** Waits until every connection is gone; nothing else would tell. */
async function expectNothingHeld(): Promise<State> {
  const end = performance.now() + 10_000;
  for (;;) {
    const now = await state();
    const isClear = now.connections === 0 && now.held === 0 && now.subscribers === 0;
    if (isClear || performance.now() > end) {
      expect(now).toMatchObject({ connections: 0, held: 0, subscribers: 0, errors: [] });
      return now;
    }
    await Bun.sleep(20);
  }
}

async function expectFilesBack(): Promise<void> {
  const end = performance.now() + 10_000;
  while ((await countFiles()) > filesAtStart && performance.now() < end) await Bun.sleep(20);
  expect(await countFiles()).toBeLessThanOrEqual(filesAtStart);
}

test("thousands of bad requests are refused with a reason, and nothing of them stays", async () => {
  const rss: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const { answered, wrong } = await throwRound();
    expect(wrong).toEqual([]);
    // The others are those that vanish, and those that are not whole.
    expect(answered).toBeGreaterThan(ROUND / 2);
    rss.push((await expectNothingHeld()).rss);
  }
  await expectFilesBack();
  console.log(
    `bad input: memory after each round: ${rss.map((bytes) => (bytes / MiB).toFixed(1)).join(", ")} MiB`,
  );
  // The lower of two each: what the allocator keeps back goes up and down by some megabytes.
  expect(Math.min(...rss.slice(3)) - Math.min(...rss.slice(1, 3))).toBeLessThan(SLACK);
  await expectServing();
}, 60_000);

test("bad requests over HTTP/2 are answered as over HTTP/1.1", async () => {
  const session = connectHttp2(urls.http2Push);
  session.on("error", () => {});
  const ask = (headers: Record<string, string>) =>
    new Promise<{ status: number; type: string; body: string }>((resolve, reject) => {
      const stream = session.request(headers, { endStream: true });
      let status = 0;
      let type = "";
      let body = "";
      stream.setEncoding("utf8");
      stream.on("response", (answer) => {
        status = Number(answer[":status"]);
        type = String(answer["content-type"]);
      });
      stream.on("data", (chunk: string) => (body += chunk));
      stream.on("error", reject);
      stream.on("end", () => resolve({ status, type, body }));
    });
  const expected: [number, Record<string, string>][] = [
    [404, { ":path": "/nothing" }],
    [400, { ":path": "/channels/room/%zz" }],
    [400, { ":path": "/channels/check?after=x" }],
    [400, { ":path": "/channels/check?wait=x" }],
    [400, { ":path": "/channels/check?transport=x" }],
    [406, { ":path": "/channels/stream" }],
    [405, { ":path": "/channels/check", ":method": "DELETE" }],
    [426, { ":path": "/channels/check?transport=websocket" }],
    [403, { ":path": "/channels/closed", ":method": "POST" }],
    [403, { ":path": "/channels/check", ":method": "POST", origin: "https://evil.example" }],
    [415, { ":path": "/channels/check", ":method": "POST", "content-type": "multipart/form-data" }],
  ];
  for (const [status, headers] of expected) {
    const answer = await ask(headers);
    expect([headers, answer.status, answer.type]).toEqual([
      headers,
      status,
      "application/problem+json",
    ]);
    expect(JSON.parse(answer.body)).toMatchObject({ status, detail: expect.any(String) });
  }
  session.destroy();
});
