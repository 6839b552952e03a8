/** Server-Sent Events, of one channel and of many. */
import type { Numbered } from "../data.ts";
import {
  channelPath,
  manyPath,
  type Sink,
  type SoakClient,
  type Target,
  type Way,
} from "./client.ts";
import { HttpConnection } from "./http.ts";

interface Event {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** What a channel's events say; a stream of many has envelopes. */
interface Envelope {
  readonly channel: string;
  readonly id: string;
  readonly after: string;
  readonly data: Numbered;
}

function readEvent(block: string): Event {
  const fields = { id: "", event: "", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    const name = line.slice(0, colon);
    if (name === "id" || name === "event" || name === "data") fields[name] = line.slice(colon + 2);
  }
  return fields;
}

function open(target: Target, sink: Sink, isMany: boolean): SoakClient {
  const [first] = target.starts;
  const path = isMany ? manyPath(target) : channelPath(first!);
  let rest = "";
  let isOver = false;
  let refusal: string | null = null;
  const end = (why: string) => {
    if (isOver) return;
    isOver = true;
    connection.socket.destroy();
    sink.end(why);
  };
  const take = ({ id, event, data }: Event) => {
    if (event === "tidewire:gone") {
      return sink.gone((JSON.parse(data) as Envelope).channel);
    }
    if (isMany && id !== "") sink.cursor(id);
    if (data === "") {
      if (id !== "" && !isMany) sink.at(first!.channel, id);
      return;
    }
    if (event === "tidewire:gap") {
      const gap = JSON.parse(data) as Envelope;
      return sink.gap(isMany ? gap.channel : first!.channel, gap.after, gap.id);
    }
    if (!isMany) return sink.message(first!.channel, id, JSON.parse(data) as Numbered);
    const message = JSON.parse(data) as Envelope;
    sink.message(message.channel, message.id, message.data);
  };
  const connection = new HttpConnection(target.publicUrl, {
    head({ status }) {
      if (isOver) return;
      if (status !== 200) refusal = `status ${status}: `;
      else for (const { channel } of target.starts) sink.stands(channel);
    },
    body(chunk) {
      if (isOver) return;
      if (refusal !== null) return void (refusal += chunk.toString("latin1"));
      rest += chunk.toString("latin1");
      let from = 0;
      for (let at; (at = rest.indexOf("\n\n", from)) >= 0; from = at + 2) {
        take(readEvent(rest.slice(from, at)));
        if (isOver) return;
      }
      rest = rest.slice(from);
    },
    done: () => end(refusal ?? "the stream ended"),
    closed: () => end(refusal ?? "the connection ended"),
  });
  connection.request("GET", path, "Accept: text/event-stream\r\n");
  const stop = () => {
    isOver = true;
  };
  return {
    leave: () => (stop(), connection.socket.end()),
    kill: () => (stop(), connection.socket.destroy()),
    pause: () => connection.socket.pause(),
    resume: () => connection.socket.resume(),
  };
}

export const sse: Way = {
  name: "sse",
  isMany: false,
  hasIds: true,
  open: (target, sink) => open(target, sink, false),
};

export const sseMany: Way = {
  name: "sse, many",
  isMany: true,
  hasIds: true,
  open: (target, sink) => open(target, sink, true),
};
