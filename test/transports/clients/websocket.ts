/** WebSocket by the npm package `ws`, in each of its framings. */
// By its path: Bun puts its own client in the place of the package's name.
import { WebSocket } from "../../../node_modules/ws/wrapper.mjs";
import { once } from "node:events";
import { channelUrl, Inbox, type TestClient, type Way } from "./client.ts";

interface Frame {
  readonly type: string;
  readonly id: string;
  readonly after: string;
  readonly data: unknown;
}

function connect(
  url: string,
  inbox: Inbox,
  isDeflated: boolean,
  protocol?: string,
): InstanceType<typeof WebSocket> {
  const protocols = protocol ? [protocol] : [];
  const socket = new WebSocket(url.replace("http", "ws"), protocols, {
    perMessageDeflate: isDeflated,
  });
  socket.on("open", () => {
    if (socket.extensions.includes("permessage-deflate") === isDeflated) return;
    throw new Error(`the socket's extensions are "${socket.extensions}"`);
  });
  socket.on("error", () => {});
  socket.on("close", (code: number) => inbox.push({ type: "end", code }));
  return socket;
}

function client(socket: InstanceType<typeof WebSocket>, inbox: Inbox): TestClient {
  return { next: inbox.next, close: () => socket.terminate() };
}

const raw = (isDeflated: boolean): Way => ({
  name: `WebSocket, raw${isDeflated ? ", deflate" : ""}`,
  transport: "websocket",
  hasIds: false,
  bytes: "bytes",
  lineEnds: "kept",
  async open(options) {
    const inbox = new Inbox();
    const socket = connect(channelUrl(options), inbox, isDeflated);
    socket.on("message", (data: Buffer, isBinary: boolean) =>
      inbox.push({
        type: "message",
        id: null,
        text: data.toString(isBinary ? "base64" : "utf8"),
      }),
    );
    await once(socket, "open");
    return client(socket, inbox);
  },
});

export const rawWebSocket = raw(false);
export const rawWebSocketDeflate = raw(true);

function frames(name: string, isMany: boolean, isDeflated = false): Way {
  return {
    name,
    transport: "websocket",
    hasIds: true,
    bytes: "base64",
    lineEnds: "kept",
    async open(options) {
      const inbox = new Inbox();
      const url = isMany ? `${options.url}/channels` : channelUrl(options);
      const socket = connect(url, inbox, isDeflated, "tidewire.v1");
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      socket.on("message", (data: Buffer) => {
        const frame = JSON.parse(data.toString()) as Frame;
        if (frame.type === "subscribed") resolve();
        else if (frame.type === "gap")
          inbox.push({ type: "gap", after: frame.after, id: frame.id });
        else if (frame.type === "message") {
          const text = typeof frame.data === "string" ? frame.data : JSON.stringify(frame.data);
          inbox.push({ type: "message", id: frame.id, text });
        } else reject(new Error(`unexpected frame: ${data.toString()}`));
      });
      if (isMany) {
        await once(socket, "open");
        const { channel, after } = options;
        socket.send(JSON.stringify({ type: "subscribe", channel, after, ref: 1 }));
      }
      await promise;
      return client(socket, inbox);
    },
  };
}

export const frameWebSocket = frames("WebSocket, tidewire.v1", false);
export const frameWebSocketDeflate = frames("WebSocket, tidewire.v1, deflate", false, true);
export const manyWebSocket = frames("WebSocket, tidewire.v1 at /channels", true);
