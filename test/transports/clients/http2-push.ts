/** HTTP/2 push by Node's own client, run by Node. */
import { channelUrl, Inbox, type Received, type Way } from "./client.ts";

const SCRIPT = `
import http2 from "node:http2";
const { origin, pathname, search } = new URL(process.argv[1]);
const say = (value) => process.stdout.write(JSON.stringify(value) + "\\n");
// What was said before is still on its way to the pipe, which may be full.
const end = () => process.stdout.write('{"type":"end","code":null}\\n', () => process.exit());
const session = http2.connect(origin);
session.on("error", end);
session.on("close", end);
// Pushed bodies may end in another order than they were promised in: each waits for the one before.
let tail = Promise.resolve();
session.on("stream", (stream, promised) => {
  const chunks = [];
  let type = "";
  const done = new Promise((resolve) => {
    stream.on("push", (headers) => (type = headers["content-type"]));
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("end", resolve);
    stream.on("error", resolve);
    stream.on("close", resolve);
  });
  const id = promised[":path"].split("/messages/")[1];
  tail = tail.then(() => done).then(() => {
    const encoding = type === "application/octet-stream" ? "base64" : "utf8";
    say({ type: "message", id, text: Buffer.concat(chunks).toString(encoding) });
  });
});
const held = session.request({ ":path": pathname + search, accept: "application/vnd.tidewire.push" });
held.on("response", (headers) => { if (headers[":status"] !== 200) end(); });
held.on("error", end);
let rest = "";
held.setEncoding("utf8");
held.on("data", (text) => {
  const lines = (rest + text).split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    const { type, after, id, code } = JSON.parse(line);
    tail = tail.then(() => {
      if (type === "gap") say({ type, after, id });
      if (type === "subscribed") say({ type });
      if (type === "closing") { say({ type: "end", code }); session.close(); }
    });
  }
});
`;

export const http2Push: Way = {
  name: "HTTP/2 push, node",
  transport: "http2-push",
  hasIds: true,
  bytes: "bytes",
  lineEnds: "kept",
  async open(options) {
    const inbox = new Inbox();
    const child = Bun.spawn(["node", "--input-type=module", "-e", SCRIPT, channelUrl(options)], {
      stdout: "pipe",
      stderr: "inherit",
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    void (async () => {
      let rest = "";
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop()!;
        for (const line of lines) {
          const said = JSON.parse(line) as Received | { type: "subscribed" };
          if (said.type === "subscribed") resolve();
          else inbox.push(said);
        }
      }
    })();
    // With a start in history the messages come first: the suite awaits those instead.
    if (options.after === undefined) await promise;
    return {
      next: inbox.next,
      close: async () => {
        child.kill();
        await child.exited;
      },
    };
  },
};
