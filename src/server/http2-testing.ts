/** What the tests of the HTTP/2 listener share: a listener on a free port, and clients that are not Bun. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog, type Log } from "../log.ts";
import { RequestError } from "../transport/errors.ts";
import { developmentCertificate } from "./certificate.ts";
import { listenHttp2, type Http2Listener, type Http2ListenerOptions } from "./http2-listener.ts";

export { until } from "./until-testing.ts";

/** A log that keeps its lines. */
function createTestLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  return { log: createLog({ level: "debug", format: "json", write }), lines };
}

function answerError(error: unknown): Response {
  const status = error instanceof RequestError ? error.status : 500;
  const detail = error instanceof RequestError ? error.message : "the server failed";
  return Response.json(
    { detail },
    { status, headers: { "content-type": "application/problem+json" } },
  );
}

export interface TestListener extends AsyncDisposable {
  readonly listener: Http2Listener;
  readonly url: string;
  readonly lines: string[];
}

/** Listens on a free port of 127.0.0.1 until it is disposed of. */
export async function startListener(
  handle: Http2ListenerOptions["handle"],
  options: Partial<Omit<Http2ListenerOptions, "tls">> & { readonly tls?: boolean } = {},
): Promise<TestListener> {
  const { tls, ...rest } = options;
  const { log, lines } = createTestLog();
  const listener = await listenHttp2({
    hostname: "127.0.0.1",
    port: 0,
    maxConnections: 100,
    handle,
    answerError,
    log,
    ...rest,
    tls: tls ? await developmentCertificate() : null,
  });
  const url = `${tls ? "https" : "http"}://127.0.0.1:${listener.port}`;
  return { listener, url, lines, [Symbol.asyncDispose]: () => listener.close(0) };
}

/** Before each script: `connect`, `request`, `read`, `closed`, and `say`, which prints a line of JSON. */
const PRELUDE = `
import http2 from "node:http2";
import { once } from "node:events";
const url = process.argv[2];
const { constants } = http2;
const say = (value) => console.log(JSON.stringify(value));
const connect = (settings = {}, options = {}) => {
  const session = http2.connect(url, { settings, rejectUnauthorized: false, ...options });
  session.on("error", (error) => say({ sessionError: error.code }));
  return session;
};
const closed = (emitter) => new Promise((resolve) => emitter.on("error", () => {}).once("close", resolve));
const read = async (stream) => {
  stream.setEncoding("utf8");
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
};
const request = async (session, headers, body) => {
  const stream = session.request(headers);
  stream.end(body);
  const [response] = await once(stream, "response");
  return { status: response[":status"], headers: response, text: await read(stream), stream };
};
`;

export interface NodeClient extends Disposable {
  /** Resolves to the next value that the script says. Rejects when it ends without one. */
  next(): Promise<any>;
  /** Resolves to all that is said until the script ends. */
  rest(): Promise<any[]>;
  /** Writes a line to the script's standard input. */
  tell(line: string): void;
}

/**
 * Runs a script of Node's own http2 client, under Node: Bun's is the same code as the server under test.
 *
 * @param command Runs a file, where it is to be another client.
 */
export async function runNode(url: string, script: string, command = "node"): Promise<NodeClient> {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-http2-"));
  const file = join(folder, "client.mjs");
  await writeFile(file, PRELUDE + script);
  const child = Bun.spawn([command, file, url], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    onExit: () => void rm(folder, { recursive: true, force: true }),
  });
  const errors = new Response(child.stderr).text();
  const lines = readLines(child.stdout);
  const parse = (line: string) => JSON.parse(line) as unknown;
  return {
    async next() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the client ended: ${await errors}`);
      return parse(value);
    },
    async rest() {
      const said: unknown[] = [];
      for await (const line of lines) said.push(parse(line));
      if ((await child.exited) !== 0) throw new Error(`the client failed: ${await errors}`);
      return said;
    },
    tell(line) {
      void child.stdin.write(`${line}\n`);
      void child.stdin.flush();
    },
    [Symbol.dispose]: () => child.kill(),
  };
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** Runs a command and gives back what it writes. */
export async function run(...command: string[]): Promise<{ code: number; out: string }> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out: out + error };
}
