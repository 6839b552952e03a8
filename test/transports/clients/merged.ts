/**
 * Streams and polls of many channels: `GET /channels?channel=a&channel=b`, by the npm package `eventsource`
 * and by `fetch`. Beside the channel of the suite they carry two that nobody publishes to.
 */
import { Inbox, type ClientOptions, type Way } from "./client.ts";
import { fetchIn, type Coding } from "./coding.ts";
import { openEventSource } from "./event-source.ts";

/** Sorted before and after the channel of the suite. */
const OTHERS = ["room/a-quiet-one", "room/z-quiet-one"];

/** One message of a stream or page of many channels. */
export interface Envelope {
  readonly id: string;
  readonly channel: string;
  readonly event?: string;
  readonly data: unknown;
}

/** A position is of one channel: there is an `after` for each. */
function mergedUrl({ url, channel, after }: ClientOptions): string {
  const [first, last] = OTHERS;
  const channels = [first, channel, last].map((name) => `channel=${name}`).join("&");
  if (after === undefined) return `${url}/channels?${channels}`;
  const isWord = after === "earliest" || after === "state";
  const start = isWord ? `after=${after}` : `after=&after=${after}&after=`;
  return `${url}/channels?${channels}&${start}`;
}

function push(inbox: Inbox, { id, data }: Envelope): void {
  inbox.push({ type: "message", id, text: typeof data === "string" ? data : JSON.stringify(data) });
}

const common = { hasIds: true, bytes: "base64", lineEnds: "kept" } as const;

const mergedEventSourceIn = (coding: Coding): Way => ({
  ...common,
  name: `SSE, many channels, eventsource${coding === "identity" ? "" : `, ${coding}`}`,
  transport: "sse",
  async open(options) {
    const inbox = new Inbox();
    return openEventSource(mergedUrl(options), coding, inbox, ({ data }) =>
      push(inbox, JSON.parse(data) as Envelope),
    );
  },
});

export const mergedEventSource = mergedEventSourceIn("identity");
export const mergedEventSourceGzip = mergedEventSourceIn("gzip");
export const mergedEventSourceZstd = mergedEventSourceIn("zstd");

/** An answer to a poll of many channels. */
export interface Page {
  readonly messages: readonly Envelope[];
  readonly next: string;
  readonly gap: boolean;
  readonly gaps: readonly {
    readonly channel: string;
    readonly after: string;
    readonly id: string;
  }[];
}

const mergedPollIn = (coding: Coding): Way => ({
  ...common,
  name: `long-poll, many channels, fetch${coding === "identity" ? "" : `, ${coding}`}`,
  transport: "long-poll",
  async open(options) {
    const inbox = new Inbox();
    const stop = new AbortController();
    const loop = async () => {
      let url = mergedUrl(options);
      for (;;) {
        const response = await fetchIn(coding)(url, { signal: stop.signal });
        if (response.status >= 400) throw new Error(await response.text());
        if (response.status === 200) {
          const { messages, gaps } = (await response.json()) as Page;
          for (const { after, id } of gaps) inbox.push({ type: "gap", after, id });
          for (const message of messages) push(inbox, message);
        }
        const next = /<([^>]+)>; rel="next"/.exec(response.headers.get("link")!)![1]!;
        url = new URL(next, options.url).href;
      }
    };
    loop().catch(() => inbox.push({ type: "end", code: null }));
    return { next: inbox.next, close: () => stop.abort() };
  },
});

export const mergedPoll = mergedPollIn("identity");
export const mergedPollGzip = mergedPollIn("gzip");
