/** HTTP/2 push on node:http2 alone, over cleartext: each message is one promise and its answer. */
import { createServer, type ServerHttp2Stream } from "node:http2";

export interface BarePush {
  readonly size: number;
  send(data: string): void;
}

export function startBarePush(port: number, path: string): BarePush {
  const held = new Set<ServerHttp2Stream>();
  let sent = 0;
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.respond({ ":status": 200, "content-type": "application/vnd.tidewire.push" });
    held.add(stream);
    stream.on("close", () => held.delete(stream));
    stream.on("error", () => {});
  });
  server.listen(port, "127.0.0.1");
  return {
    get size() {
      return held.size;
    },
    send(data) {
      const promised = { ":path": `${path}/messages/${++sent}` };
      for (const stream of held) {
        stream.pushStream(promised, (error, pushed) => {
          if (error) return;
          pushed.on("error", () => {});
          pushed.respond({ ":status": 200, "content-type": "application/json" });
          pushed.end(data);
        });
      }
    },
  };
}
