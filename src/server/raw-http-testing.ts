/** Requests over a bare socket, for tests: what no HTTP client would send, and answers as they came. */
import { connect } from "node:net";

export interface RawAnswer {
  /** null when the connection ended without an answer. */
  readonly status: number | null;
  readonly headers: Headers;
  readonly body: string;
}

/** Resolves with the first final answer, or when the server ends the connection. */
export function sendRaw(url: string, request: string | Uint8Array): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let text = "";
  return new Promise((resolve, reject) => {
    const settle = (answer: RawAnswer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(10_000, () =>
      reject(new Error(`no answer to ${String(request).slice(0, 200)}`)),
    );
    socket.on("error", () => {});
    socket.on("connect", () => socket.write(request));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      const answer = readAnswer(text);
      if (answer) settle(answer);
    });
    socket.on("close", () => settle(readAnswer(`${text}\r\n\r\n`, true) ?? NONE));
  });
}

/** A GET with these header lines. */
export function rawGet(target: string, headers = ""): string {
  return `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;
}

const NONE: RawAnswer = { status: null, headers: new Headers(), body: "" };

function readAnswer(text: string, hasEnded = false): RawAnswer | null {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0 || !text.startsWith("HTTP/")) return null;
  const [line = "", ...fields] = text.slice(0, end).split("\r\n");
  const status = Number(line.split(" ")[1]);
  if (status === 100) return readAnswer(text.slice(end + 4), hasEnded);
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(":");
    headers.append(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  const length = Number(headers.get("content-length") ?? "0");
  const body = text.slice(end + 4, end + 4 + length);
  return body.length === length || hasEnded ? { status, headers, body } : null;
}

/** Connects and sends; what comes back is not looked at. */
export async function connectTcp(url: string, request: string): Promise<Bun.Socket> {
  const { hostname, port } = new URL(url);
  const socket = await Bun.connect({ hostname, port: Number(port), socket: { data() {} } });
  socket.write(request);
  socket.flush();
  return socket;
}
