/** Publishers of the durable bench, in a process of their own: each sends the next when it is answered. */

/** What the load is told, as JSON. */
export interface DurableLoad {
  readonly port: number;
  readonly path: string;
  readonly publishers: number;
  /** Messages of one POST; more than one go as NDJSON. */
  readonly batch: number;
  readonly payloadBytes: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

export interface DurableLoadResult {
  /** Messages that were acknowledged in a second. */
  readonly rate: number;
  /** Answers that were not 201. */
  readonly refused: number;
}

/** @returns A JSON value of so many bytes. */
export function payload(bytes: number): string {
  return JSON.stringify("x".repeat(bytes - 2));
}

async function load(spec: DurableLoad): Promise<DurableLoadResult> {
  const { port, path, publishers, batch, payloadBytes, warmUpSeconds, seconds } = spec;
  const body = Array.from({ length: batch }, () => payload(payloadBytes)).join("\n");
  const type = batch > 1 ? "application/x-ndjson" : "application/json";
  const request = Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  let answered = 0;
  let refused = 0;
  const connect = () =>
    Bun.connect<{ left: number; unsent: Uint8Array; head: string }>({
      hostname: "127.0.0.1",
      port,
      data: undefined as never,
      socket: {
        open(socket) {
          socket.data = { left: 0, unsent: request.subarray(socket.write(request)), head: "" };
        },
        drain(socket) {
          const { unsent } = socket.data;
          if (unsent.length > 0) socket.data.unsent = unsent.subarray(socket.write(unsent));
        },
        data(socket, chunk) {
          const state = socket.data;
          let length = chunk.length;
          if (state.left === 0) {
            state.head += chunk.toString("latin1");
            const end = state.head.indexOf("\r\n\r\n");
            if (end < 0) return;
            const [, bytes] = /content-length: (\d+)/i.exec(state.head)!;
            if (state.head.startsWith("HTTP/1.1 201")) answered += batch;
            else refused++;
            state.left = Number(bytes) + end + 4;
            length = state.head.length;
            state.head = "";
          }
          state.left -= length;
          if (state.left === 0) state.unsent = request.subarray(socket.write(request));
        },
      },
    });
  const sockets = await Promise.all(Array.from({ length: publishers }, connect));
  await Bun.sleep(warmUpSeconds * 1000);
  const before = answered;
  const startedMs = performance.now();
  await Bun.sleep(seconds * 1000);
  const rate = ((answered - before) / (performance.now() - startedMs)) * 1000;
  for (const socket of sockets) socket.terminate();
  return { rate, refused };
}

if (import.meta.main) {
  console.log(JSON.stringify(await load(JSON.parse(process.argv[2]!) as DurableLoad)));
}
