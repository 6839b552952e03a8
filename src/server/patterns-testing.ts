/** What the tests of pattern channels share: a server, and what brings its channels to life and lets them go. */
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

export let server: TestServer;

export const TTL = 60_000;
export const history = { size: 100, ttlMs: TTL };

export async function start(config: TestConfig): Promise<void> {
  server = await startTestServer(config);
}

export async function post(path: string): Promise<Response> {
  return fetch(server.urls.public + path, {
    method: "POST",
    body: "x",
    headers: { "content-type": "text/plain" },
  });
}

/** Looks for idle channels as if so many milliseconds had passed. */
export const sweepIn = (ms: number) => server.channels.sweep(Date.now() + ms);
export const alive = () => [...server.channels.live].map(({ name }) => name);
