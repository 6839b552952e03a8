/** The servers that are compared, and how each is started on one core with nothing but loopback. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";
import { pinned } from "./measure.ts";
import type { Endpoint, Transport } from "./spec.ts";

export const SERVER_CORE = 0;
const START_LIMIT_MS = 10_000;
const CHANNEL = "/channels/bench";

/** A server under way. */
export interface Running {
  readonly pid: number;
  readonly publish: Endpoint;
  subscribe(transport: Transport): Endpoint;
  stop(): Promise<void>;
}

export interface BenchServer {
  readonly name: string;
  readonly transports: readonly Transport[];
  /** Why it can't be measured here, or null. */
  missing(): string | null;
  start(): Promise<Running>;
}

const NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";

export const SERVERS = {
  tidewire: {
    name: "Tidewire",
    transports: ["websocket", "sse", "long-poll", "http2-push"],
    missing: () => null,
    start: () =>
      launch(async ({ directory, port, pushPort }) => {
        const config = join(directory, "bench.yaml");
        await Bun.write(config, tidewireConfig(port, pushPort));
        return [await executable(), "run", config];
      }, ownEndpoints),
  },
  bare: {
    name: "bare Bun",
    transports: ["websocket", "sse", "long-poll", "http2-push"],
    missing: () => null,
    start: () =>
      launch(
        ({ port, pushPort }) =>
          Promise.resolve([
            process.execPath,
            join(import.meta.dir, "bare.ts"),
            String(port),
            String(pushPort),
          ]),
        ownEndpoints,
      ),
  },
  nchan: {
    name: "Nchan",
    transports: ["websocket", "sse", "long-poll"],
    missing: () => {
      if (nginx() && Bun.file(NCHAN_MODULE).size > 0) return null;
      return "Nchan is not installed: apt-get install nginx libnginx-mod-nchan";
    },
    start: () =>
      launch(
        async ({ directory, port }) => {
          const template = await Bun.file(join(import.meta.dir, "nchan.conf")).text();
          const config = template
            .replace(":PORT", `:${port}`)
            .replace("MODULE;", `${NCHAN_MODULE};`);
          await Bun.write(join(directory, "nchan.conf"), config);
          return [nginx()!, "-p", directory, "-c", "nchan.conf"];
        },
        (port) => ({
          publish: { port, path: "/pub" },
          subscribe: () => ({ port, path: "/sub" }),
        }),
      ),
  },
  ws: npmServer("ws (Node)", "websocket", "ws.mjs"),
  // Engine.IO 4, Socket.IO 5: after the handshake a client joins the default namespace by "40".
  "socket.io": npmServer("socket.io (Node)", "websocket", "socket-io.mjs", {
    path: "/socket.io/?EIO=4&transport=websocket",
    first: maskedText("40"),
  }),
  "better-sse": npmServer("better-sse (Node)", "sse", "better-sse.mjs"),
} as const satisfies Record<string, BenchServer>;

export type ServerName = keyof typeof SERVERS;

/** A server of the npm registry, on Node, which is what it is made for. */
function npmServer(
  name: string,
  transport: Transport,
  file: string,
  subscribe: Omit<Endpoint, "port"> = { path: CHANNEL },
): BenchServer {
  return {
    name,
    transports: [transport],
    missing: () => (Bun.which("node") ? null : "Node.js is not installed"),
    start: () =>
      launch(
        ({ port }) => Promise.resolve(["node", join(import.meta.dir, "npm", file), String(port)]),
        (port) => ({
          publish: { port, path: CHANNEL },
          subscribe: () => ({ port, ...subscribe }),
        }),
      ),
  };
}

/** A short text frame of a client (RFC 6455 §5.2), masked with zeros. */
function maskedText(text: string): readonly number[] {
  return [0x81, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)];
}

function nginx(): string | null {
  return Bun.which("nginx", { PATH: `${process.env["PATH"]}:/usr/sbin` });
}

/** A config that has what the others have: one channel, all transports, 100 messages of history. */
function tidewireConfig(port: number, pushPort: number): string {
  return `server:
  listen: 127.0.0.1:${port}
  http2_push: { listen: 127.0.0.1:${pushPort} }
limits: { connections: 20000, publishes: { per_second: 1000000, burst: 10000000 } }
log: { level: warn }
channels:
  bench:
    transports: [websocket, sse, long-poll, http2-push]
    publish: clients
    history: { size: 100 }
`;
}

type Endpoints = Pick<Running, "publish" | "subscribe">;

function ownEndpoints(port: number, pushPort: number): Endpoints {
  const push = { port: pushPort, path: `${CHANNEL}?transport=http2-push` };
  return {
    publish: { port, path: CHANNEL },
    subscribe: (transport) => (transport === "http2-push" ? push : { port, path: CHANNEL }),
  };
}

interface Place {
  readonly directory: string;
  readonly port: number;
  readonly pushPort: number;
}

async function launch(
  command: (place: Place) => Promise<string[]>,
  endpoints: (port: number, pushPort: number) => Endpoints,
): Promise<Running> {
  const directory = await mkdtemp(join(tmpdir(), "tidewire-bench-"));
  const [port, pushPort] = [await freePort(), await freePort()];
  const argv = await command({ directory, port, pushPort });
  const child = Bun.spawn(pinned(SERVER_CORE, argv), { stdout: "ignore", stderr: "inherit" });
  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
    await child.exited;
    clearTimeout(timer);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await accepting(port, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid, ...endpoints(port, pushPort), stop };
}

async function accepting(port: number, child: Bun.Subprocess): Promise<void> {
  for (const deadline = performance.now() + START_LIMIT_MS; performance.now() < deadline;) {
    if (child.exitCode !== null) throw new Error(`the server ended with code ${child.exitCode}`);
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
      socket.end();
      return;
    } catch {
      await Bun.sleep(20);
    }
  }
  throw new Error(`the server did not listen on port ${port} within ${START_LIMIT_MS} ms`);
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}
