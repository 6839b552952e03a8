/** HTTP/2 push by `node:http2`: one session a client. */
import { connect, constants, type ClientHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import type { Numbered } from "../data.ts";
import { channelPath, type Way } from "./client.ts";
import { Valve } from "./valve.ts";

interface Line {
  readonly type: string;
  readonly id: string;
  readonly after: string;
  readonly code: number;
}

/** What waits for what came before it: bodies may end in another order than they were promised in. */
interface Slot {
  data: string | null;
  readonly act: (data: string) => void;
}

export const http2Push: Way = {
  name: "http2-push",
  isMany: false,
  hasIds: true,
  open({ pushUrl, starts }, sink) {
    const { channel } = starts[0]!;
    const valve = new Valve(pushUrl);
    const session = connect(pushUrl, {
      createConnection: () => valve,
      // By itself Node's client takes 200 promises at once, and refuses more without a word to its program:
      // one that has not read for a while would lose messages.
      maxReservedRemoteStreams: 1_000_000,
    });
    const slots: Slot[] = [];
    let isOver = false;
    let reason = "";
    const end = (why: string) => {
      if (isOver) return;
      isOver = true;
      session.destroy();
      valve.destroy();
      sink.end(why);
    };
    const settle = () => {
      while (!isOver && slots.length > 0 && slots[0]!.data !== null) {
        const { act, data } = slots.shift()!;
        act(data!);
      }
    };
    const read = (stream: ClientHttp2Stream, slot: Slot) => {
      let text = "";
      stream.setEncoding("latin1");
      stream.on("data", (part: string) => void (text += part));
      stream.on("end", () => {
        slot.data = text;
        settle();
      });
      stream.on("error", (error) => end(`a pushed stream failed: ${error.message}`));
    };
    session.on("error", (error) => void (reason = error.message));
    session.on("close", () => end(reason || "the session ended"));
    session.on("stream", (stream: ClientHttp2Stream, promised: IncomingHttpHeaders) => {
      const id = String(promised[":path"]).split("/messages/")[1]!;
      const slot: Slot = {
        data: null,
        act: (data) => sink.message(channel, id, JSON.parse(data) as Numbered),
      };
      slots.push(slot);
      read(stream, slot);
    });
    const accept = "application/vnd.tidewire.push";
    const stream = session.request({ ":path": channelPath(starts[0]!), accept });
    let rest = "";
    stream.setEncoding("latin1");
    stream.on("response", (headers) => {
      if (headers[":status"] !== 200) end(`status ${headers[":status"]}`);
    });
    stream.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const { type, id, after, code } = JSON.parse(line) as Line;
        // What was promised before is on its way: it counts first.
        const act = () => {
          if (type === "gap") sink.gap(channel, after, id);
          else if (type === "subscribed") {
            sink.at(channel, id);
            sink.stands(channel);
          } else if (type === "closing" && code === 4004) sink.gone(channel);
          else end(code === 4008 ? "slow" : `the line ${line}`);
        };
        slots.push({ data: "", act });
      }
      settle();
    });
    stream.on("error", (error) => end(`the held stream failed: ${error.message}`));
    const stop = () => void (isOver = true);
    return {
      leave() {
        stop();
        // A session closes when its streams have: the held one has no end of its own.
        stream.close(constants.NGHTTP2_CANCEL);
        session.close();
      },
      kill: () => (stop(), session.destroy(), valve.destroy()),
      pause: () => valve.hold(),
      resume: () => valve.release(),
    };
  },
};
