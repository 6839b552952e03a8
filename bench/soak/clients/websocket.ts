/** WebSocket by the npm package `ws`: raw, `tidewire.v1` for one channel, and for many on one socket. */
// By its path: Bun puts its own client in the place of the package's name, which can't stop reading.
import { WebSocket } from "../../../node_modules/ws/wrapper.mjs";
import type { Numbered } from "../data.ts";
import {
  channelPath,
  type Sink,
  type SoakClient,
  type Start,
  type Target,
  type Way,
} from "./client.ts";

interface Frame {
  readonly type: string;
  readonly channel: string;
  readonly id: string;
  readonly after: string;
  readonly data: Numbered;
  readonly code: string;
  readonly recovered: boolean;
}

/** Close codes that the follower knows what to make of. */
const REASONS: Readonly<Record<number, string>> = { 4004: "gone", 4008: "slow", 4010: "gap" };

/** @param each Takes what the socket brings. */
function open(
  url: string,
  protocols: string[],
  sink: Sink,
  opened: (socket: InstanceType<typeof WebSocket>) => void,
  each: (text: string, end: (why: string) => void) => void,
): SoakClient & { send(frame: object): void } {
  const socket = new WebSocket(url.replace("http", "ws"), protocols);
  let isOver = false;
  let error = "";
  const end = (why: string) => {
    if (isOver) return;
    isOver = true;
    socket.terminate();
    sink.end(why);
  };
  socket.on("open", () => {
    if (!isOver) opened(socket);
  });
  socket.on("error", (reason: Error) => void (error = reason.message));
  socket.on("unexpected-response", (_request, response) => end(`status ${response.statusCode}`));
  socket.on("close", (code: number, reason: Buffer) =>
    end(REASONS[code] ?? `close code ${code} ${reason.toString()} ${error}`),
  );
  socket.on("message", (data: Buffer) => {
    if (!isOver) each(data.toString(), end);
  });
  const stop = () => void (isOver = true);
  return {
    leave: () => (stop(), socket.close()),
    kill: () => (stop(), socket.terminate()),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    send(frame) {
      if (!isOver && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
    },
  };
}

/** @param resumed Channels that were asked for with a position. */
function take(
  text: string,
  resumed: ReadonlySet<string>,
  sink: Sink,
  end: (why: string) => void,
): void {
  const frame = JSON.parse(text) as Frame;
  switch (frame.type) {
    case "message":
      return sink.message(frame.channel, frame.id, frame.data);
    case "subscribed":
      // Where a position is not recovered, the gap that follows says where it goes on.
      if (frame.recovered || !resumed.has(frame.channel)) sink.at(frame.channel, frame.id);
      return sink.stands(frame.channel);
    case "gap":
      return sink.gap(frame.channel, frame.after, frame.id);
    case "unsubscribed":
      return sink.left();
    default:
      if (frame.code === "channel-gone") return sink.gone(frame.channel);
      end(`the frame ${text}`);
  }
}

export const rawWebSocket: Way = {
  name: "websocket, raw",
  isMany: false,
  hasIds: false,
  open({ publicUrl, starts }, sink) {
    const { channel } = starts[0]!;
    return open(
      `${publicUrl}${channelPath(starts[0]!)}`,
      [],
      sink,
      () => sink.stands(channel),
      (text) => sink.message(channel, null, JSON.parse(text) as Numbered),
    );
  },
};

export const frameWebSocket: Way = {
  name: "websocket, tidewire.v1",
  isMany: false,
  hasIds: true,
  open({ publicUrl, starts }, sink) {
    const url = `${publicUrl}${channelPath(starts[0]!)}`;
    const resumed = new Set(starts.filter(isResumed).map(({ channel }) => channel));
    return open(
      url,
      ["tidewire.v1"],
      sink,
      () => {},
      (text, end) => take(text, resumed, sink, end),
    );
  },
};

function isResumed({ query }: Start): boolean {
  return query.includes("-");
}

function subscribeFrame({ channel, query }: Start): object {
  const [name = "", value = ""] = query.split("=");
  const start = name === "last" ? { last: Number(value) } : name === "" ? {} : { after: value };
  return { type: "subscribe", channel, ...start };
}

export const manyWebSocket: Way = {
  name: "websocket, many",
  isMany: true,
  hasIds: true,
  open({ publicUrl, starts }: Target, sink) {
    const resumed = new Set<string>();
    const subscribe = (start: Start) => {
      if (isResumed(start)) resumed.add(start.channel);
      else resumed.delete(start.channel);
      client.send(subscribeFrame(start));
    };
    const client = open(
      `${publicUrl}/channels`,
      ["tidewire.v1"],
      sink,
      () => {
        for (const start of starts) subscribe(start);
      },
      (text, end) => take(text, resumed, sink, end),
    );
    return {
      ...client,
      subscribe,
      unsubscribe: (channel) => client.send({ type: "unsubscribe", channel }),
    };
  },
};
