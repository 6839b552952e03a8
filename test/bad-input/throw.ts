/** Throws one bad request at the server and judges what comes back. */
import { connect } from "node:net";
import type { Case } from "./case.ts";

/** How long the server may take to end a connection whose other side has ended, in milliseconds. */
const PATIENCE_MS = 8000;
/** When nothing came for so long, the answer is whole, or the request is not; in milliseconds. */
const QUIET_MS = 40;

/**
 * What Bun's own parser answers, with no body: it never reaches the server's code. 417 and 426 are of
 * `Expect` and of a WebSocket's version.
 */
const BARE = [400, 405, 411, 413, 414, 417, 426, 431, 501, 505];
/** What a WebSocket may be closed with for bad input: never 1011, which is an error of the server's. */
const CLOSE_CODES = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 4003, 4010];

export interface Outcome {
  /** Whether anything came back. */
  readonly isAnswered: boolean;
  /** What is wrong with the answer. */
  readonly wrong: string | null;
}

export function throwAt(url: string, bad: Case): Promise<Outcome> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    let received = Buffer.alloc(0);
    let hasSentFrames = false;
    let quiet: Timer | undefined;
    const settle = (wrong: string | null) => {
      clearTimeout(timer);
      clearTimeout(quiet);
      socket.destroy();
      resolve({ isAnswered: received.length > 0, wrong });
    };
    const timer = setTimeout(
      () => settle(`no answer and no end in ${PATIENCE_MS} ms; got ${quote(received)}`),
      PATIENCE_MS,
    );
    const finish = () => {
      if (bad.then === "vanish") return settle(null);
      clearTimeout(quiet);
      quiet = setTimeout(() => socket.end(), QUIET_MS);
    };
    socket.on("error", () => {});
    socket.on("connect", () => {
      socket.write(bad.bytes, () => {
        if (!bad.frames) finish();
      });
    });
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (!bad.frames || hasSentFrames) return finish();
      if (!received.includes("\r\n\r\n")) return;
      hasSentFrames = true;
      socket.write(bad.frames, finish);
    });
    socket.on("close", () => settle(judge(bad, received)));
    socket.on("end", () => settle(judge(bad, received)));
  });
}

function judge(bad: Case, received: Buffer): string | null {
  if (bad.listener === "push") return null;
  let rest = received;
  while (rest.length > 0) {
    const end = rest.indexOf("\r\n\r\n");
    const head = rest.subarray(0, end < 0 ? rest.length : end).toString("latin1");
    if (end < 0 || !head.startsWith("HTTP/1.1 ")) return `no HTTP: ${quote(rest)}`;
    const status = Number(head.slice(9, 12));
    if (/^x-injected/im.test(head)) return `a header was injected: ${head}`;
    rest = rest.subarray(end + 4);
    if (status === 101) return judgeFrames(rest);
    if (status === 100) continue;
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? "0");
    const isStream = /^content-type: text\/event-stream/im.test(head);
    const isHead = bad.bytes.subarray(0, 5).toString() === "HEAD ";
    const body = isHead || status === 204 ? Buffer.alloc(0) : rest.subarray(0, length);
    const wrong = judgeAnswer(status, head, body, isHead);
    if (wrong !== null) return `${wrong}: ${head} ${quote(body)}`;
    if (isStream) return null;
    rest = rest.subarray(body.length);
  }
  return null;
}

function judgeAnswer(status: number, head: string, body: Buffer, isHead: boolean): string | null {
  if (status < 400) return null;
  if (status >= 500 && ![501, 503, 505].includes(status)) return "an error of the server's";
  if (isHead) return null;
  if (body.length === 0) return BARE.includes(status) ? null : "a refusal without a reason";
  if (!/^content-type: application\/problem\+json\r?$/im.test(head)) return "not problem+json";
  const problem = JSON.parse(body.toString()) as Record<string, unknown>;
  if (problem["status"] !== status) return "another status than the answer's";
  if (!/^urn:tidewire:problem:[a-z0-9-]+$/.test(String(problem["type"]))) return "a bad type";
  if (!problem["title"] || !problem["detail"]) return "no title or detail";
  if (body.length > 2000) return "a reason that is too long";
  if (status === 503 && !/^retry-after: \d+\r?$/im.test(head)) return "503 without Retry-After";
  return null;
}

function judgeFrames(bytes: Buffer): string | null {
  let at = 0;
  while (at + 2 <= bytes.length) {
    const opcode = bytes[at]! & 15;
    let length = bytes[at + 1]! & 127;
    let start = at + 2;
    if (length === 126) [length, start] = [bytes.readUInt16BE(start), start + 2];
    else if (length === 127) [length, start] = [Number(bytes.readBigUInt64BE(start)), start + 8];
    const payload = bytes.subarray(start, start + length);
    if (opcode === 8 && payload.length >= 2) {
      const code = payload.readUInt16BE(0);
      const reason = payload.subarray(2).toString();
      if (!CLOSE_CODES.includes(code)) return `closed with ${code} ${reason}`;
      if (code !== 1000 && reason === "") return `closed with ${code} and no reason`;
      if (reason.includes("\ufffd")) return `a reason that is not UTF-8: ${reason}`;
    }
    if (opcode === 1 && /"code":"internal"/.test(payload.toString())) {
      return `an error of the server's: ${quote(payload)}`;
    }
    at = start + length;
  }
  return null;
}

function quote(bytes: Buffer): string {
  return JSON.stringify(bytes.subarray(0, 300).toString("latin1"));
}
