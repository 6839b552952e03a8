/** Long-poll, raw, in envelopes, and of many channels: a loop that follows `Link: rel="next"`. */
import type { Numbered } from "../data.ts";
import {
  channelPath,
  manyPath,
  type Sink,
  type SoakClient,
  type Target,
  type Way,
} from "./client.ts";
import { HttpConnection, type Head } from "./http.ts";

interface Page {
  readonly messages: readonly {
    readonly id: string;
    readonly channel: string;
    readonly data: Numbered;
  }[];
  readonly next: string;
  readonly gap: boolean;
  readonly gaps?: readonly {
    readonly channel: string;
    readonly after: string;
    readonly id: string;
  }[];
}

type Take = (head: Head, body: string, channel: string, sink: Sink) => void;

/** Seconds: an answer is soon enough for a soak of two minutes to see many that were empty. */
const WAIT = "wait=5";

const takeRaw: Take = ({ status, headers }, body, channel, sink) => {
  const gap = /after="([^"]*)", id="([^"]*)"/.exec(headers.get("tidewire-gap") ?? "");
  if (gap) sink.gap(channel, gap[1]!, gap[2]!);
  if (status === 204) return;
  const id = headers.get("etag")!.replaceAll('"', "");
  sink.message(channel, id, JSON.parse(body) as Numbered);
};

const takePage: Take = ({ status }, body, channel, sink) => {
  if (status === 204) return;
  const { messages, next, gap, gaps } = JSON.parse(body) as Page;
  for (const each of gaps ?? []) sink.gap(each.channel, each.after, each.id);
  // A page of one channel says that there is a gap before its messages, not where it began.
  if (gap && !gaps) sink.gap(channel, "", before(messages[0]?.id) ?? next);
  for (const { id, channel: name, data } of messages) sink.message(name, id, data);
  if (gaps) sink.cursor(next);
};

function before(id: string | undefined): string | null {
  if (id === undefined) return null;
  const dash = id.lastIndexOf("-");
  return `${id.slice(0, dash)}-${Number(id.slice(dash + 1)) - 1}`;
}

function open(target: Target, sink: Sink, path: string, fields: string, take: Take): SoakClient {
  const { channel } = target.starts[0]!;
  let head: Head | null = null;
  let body: Buffer[] = [];
  let isOver = false;
  const end = (why: string) => {
    if (isOver) return;
    isOver = true;
    connection.socket.destroy();
    sink.end(why);
  };
  const connection = new HttpConnection(target.publicUrl, {
    head: (got) => void (head = got),
    body: (chunk) => void body.push(chunk),
    done() {
      if (isOver) return;
      const text = Buffer.concat(body).toString("latin1");
      body = [];
      const { status, headers } = head!;
      if (status === 410) {
        sink.gone((JSON.parse(text) as { channel?: string }).channel ?? channel);
        return end("gone");
      }
      if (status !== 200 && status !== 204) return end(`status ${status}: ${text}`);
      const next = /<([^>]+)>; rel="next"/.exec(headers.get("link") ?? "")?.[1];
      if (next === undefined) return end(`status ${status} without a Link to the next`);
      take(head!, text, channel, sink);
      // Not before the first answer: until then no position says where it is.
      for (const start of target.starts) sink.stands(start.channel);
      if (status === 204) {
        const after = /[?&]after=([^&]*)/.exec(next)?.[1] ?? "";
        if (/^v\d/.test(after)) sink.cursor(after);
        else sink.at(channel, after);
      }
      if (!isOver) connection.request("GET", next, fields);
    },
    closed: () => end("the connection ended"),
  });
  connection.request("GET", path, fields);
  const stop = () => void (isOver = true);
  return {
    leave: () => (stop(), connection.socket.end()),
    kill: () => (stop(), connection.socket.destroy()),
    pause: () => connection.socket.pause(),
    resume: () => connection.socket.resume(),
  };
}

const ENVELOPE = "Accept: application/vnd.tidewire+json\r\n";

export const rawPoll: Way = {
  name: "long-poll, raw",
  isMany: false,
  hasIds: true,
  open: (target, sink) => open(target, sink, channelPath(target.starts[0]!, WAIT), "", takeRaw),
};

export const envelopePoll: Way = {
  name: "long-poll, envelope",
  isMany: false,
  hasIds: true,
  open: (target, sink) =>
    open(target, sink, channelPath(target.starts[0]!, WAIT), ENVELOPE, takePage),
};

export const manyPoll: Way = {
  name: "long-poll, many",
  isMany: true,
  hasIds: true,
  open: (target, sink) => open(target, sink, manyPath(target, WAIT), ENVELOPE, takePage),
};
