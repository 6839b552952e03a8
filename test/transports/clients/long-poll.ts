/** Long-poll by `fetch`, with both framings, and by `curl`: loops that follow `Link: rel="next"`. */
import { channelUrl, Inbox, type ClientOptions, type TestClient, type Way } from "./client.ts";
import { fetchIn, type Coding } from "./coding.ts";

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

type Get = (url: string, signal: AbortSignal) => Promise<Answer>;

const ENVELOPE = "application/vnd.tidewire+json";

function fetchBy(accept: string, coding: Coding = "identity"): Get {
  return async (url, signal) => {
    const response = await fetchIn(coding)(url, { headers: { accept }, signal });
    const body = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, body };
  };
}

const curl: Get = async (url, signal) => {
  const child = Bun.spawn(["curl", "-sS", "-i", url], { stdout: "pipe", stderr: "pipe", signal });
  const out = new Uint8Array(await new Response(child.stdout).arrayBuffer());
  const code = await child.exited;
  if (code !== 0)
    throw new Error(`curl ended with ${code}: ${await new Response(child.stderr).text()}`);
  const end = Buffer.from(out).indexOf("\r\n\r\n");
  const [line = "", ...fields] = Buffer.from(out.subarray(0, end)).toString().split("\r\n");
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(":");
    headers.append(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  return { status: Number(line.split(" ")[1]), headers, body: out.subarray(end + 4) };
};

function way(name: string, get: Get, take: (answer: Answer, inbox: Inbox) => void): Way {
  return {
    name,
    transport: "long-poll",
    hasIds: true,
    bytes: name.includes("envelope") ? "base64" : "bytes",
    lineEnds: "kept",
    async open(options: ClientOptions): Promise<TestClient> {
      const inbox = new Inbox();
      const stop = new AbortController();
      const loop = async () => {
        let url = channelUrl(options, "transport=long-poll");
        for (;;) {
          const answer = await get(url, stop.signal);
          if (answer.status >= 400) throw new Error(new TextDecoder().decode(answer.body));
          take(answer, inbox);
          const next = /<([^>]+)>; rel="next"/.exec(answer.headers.get("link") ?? "")![1]!;
          url = new URL(next, options.url).href;
        }
      };
      loop().catch(() => inbox.push({ type: "end", code: null }));
      return { next: inbox.next, close: () => stop.abort() };
    },
  };
}

function takeRaw({ status, headers, body }: Answer, inbox: Inbox): void {
  const gap = /after="([^"]*)", id="([^"]*)"/.exec(headers.get("tidewire-gap") ?? "");
  if (gap) inbox.push({ type: "gap", after: gap[1]!, id: gap[2]! });
  if (status === 204) return;
  const isBytes = headers.get("content-type") === "application/octet-stream";
  inbox.push({
    type: "message",
    // An answer that is encoded has a weak tag.
    id: /"(.*)"/.exec(headers.get("etag")!)![1]!,
    text: Buffer.from(body).toString(isBytes ? "base64" : "utf8"),
  });
}

interface Page {
  readonly messages: readonly { readonly id: string; readonly data: unknown }[];
  readonly next: string;
  readonly gap: boolean;
}

function takePage({ status, body }: Answer, inbox: Inbox): void {
  if (status === 204) return;
  const { messages, gap, next } = JSON.parse(new TextDecoder().decode(body)) as Page;
  // An envelope says that there is a gap before its messages, not where it began.
  if (gap) inbox.push({ type: "gap", after: "", id: before(messages[0]?.id) ?? next });
  for (const { id, data } of messages) {
    inbox.push({
      type: "message",
      id,
      text: typeof data === "string" ? data : JSON.stringify(data),
    });
  }
}

function before(id: string | undefined): string | null {
  if (id === undefined) return null;
  const [epoch, offset] = id.split("-");
  return `${epoch}-${Number(offset) - 1}`;
}

export const rawPoll = way("long-poll, fetch", fetchBy("*/*"), takeRaw);
export const envelopePoll = way("long-poll, fetch, envelope", fetchBy(ENVELOPE), takePage);
export const rawPollZstd = way("long-poll, fetch, zstd", fetchBy("*/*", "zstd"), takeRaw);
export const envelopePollGzip = way(
  "long-poll, fetch, envelope, gzip",
  fetchBy(ENVELOPE, "gzip"),
  takePage,
);
export const curlPoll = way("long-poll, curl", curl, takeRaw);
