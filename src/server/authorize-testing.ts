/** What the tests of `authorize` share: a server with a guarded channel, and requests to it. */
import { expect } from "bun:test";
import {
  definePlugin,
  type AccessRequest,
  type Client,
  type Hooks,
  type Verdict,
} from "../plugin/sdk.ts";
import { startTestServer, type TestChannel, type TestConfig, type TestServer } from "./testing.ts";
import { until } from "./until-testing.ts";

export let server: TestServer;
type Asked = Pick<AccessRequest, "action" | "channel" | "transport">;

/** What the hooks of the test plugin were called with. */
export interface Record {
  readonly asked: Asked[];
  readonly joined: string[];
  readonly received: unknown[];
}

type Settings = Omit<TestConfig, "channels"> & { channel?: TestChannel; hooks?: Hooks };

/** Has another server stopped in place of the one that `start` started. */
export function use(other: TestServer): void {
  server = other;
}

/**
 * A server with the pattern channel `room/{name}`, which one plugin guards. Without `authorize` a token
 * in the header or the query decides: `good` may do all, `reader` may read.
 */
export async function start(
  authorize: Hooks["authorize"] = byToken,
  { channel, hooks, ...config }: Settings = {},
): Promise<Record> {
  const record: Record = { asked: [], joined: [], received: [] };
  const guard = definePlugin({
    name: "guard",
    setup: () => ({
      authorize(request) {
        const { action, channel, transport } = request;
        record.asked.push({ action, channel, transport });
        return authorize(request);
      },
      joined: (client: Client) => void record.joined.push(client.transport),
      left: (client: Client) => void record.joined.push(`-${client.transport}`),
      receive(data) {
        record.received.push(data);
        return { data };
      },
      ...hooks,
    }),
  });
  server = await startTestServer({
    ...config,
    channels: {
      "room/{name}": { publish: "authorized", plugins: [guard], ...channel },
      open: { publish: "clients" },
    },
  });
  return record;
}

export function byToken({ action, headers, query }: AccessRequest): Verdict {
  const token = headers.get("x-token") ?? query.get("token");
  if (token === "good" || (token === "reader" && action === "subscribe")) return "allow";
  return { deny: `the secret token of ${token ?? "nobody"} is wrong` };
}

export const CHANNEL = "/channels/room/a";
export const url = (path = CHANNEL) => server.urls.public + path;
export const as = (token: string) => ({ "x-token": token });
export const get = (path: string, headers: { [name: string]: string } = {}) =>
  fetch(url(path), { headers });

export function post(body: string, headers: { [name: string]: string } = {}): Promise<Response> {
  const type = { "content-type": "application/json" };
  return fetch(url(), { method: "POST", body, headers: { ...type, ...headers } });
}

export const SUBSCRIBE_DENIED = "you may not subscribe to this channel; the server's log says why";
export const PUBLISH_DENIED = "you may not publish to this channel; the server's log says why";

export async function expectForbidden(
  response: Response,
  detail = SUBSCRIBE_DENIED,
): Promise<void> {
  const text = await response.text();
  expect([response.status, response.headers.get("content-type")]).toEqual([
    403,
    "application/problem+json",
  ]);
  expect(JSON.parse(text)).toEqual({
    type: "urn:tidewire:problem:forbidden",
    title: "forbidden",
    status: 403,
    detail,
  });
}

/** Waits until the hook is asked for the `count`th time, and answers when told. */
export function gated() {
  const calls: { request: AccessRequest; answer: (verdict: Verdict) => void }[] = [];
  const authorize = (request: AccessRequest) =>
    new Promise<Verdict>((answer) => void calls.push({ request, answer }));
  return { calls, authorize, asked: (count: number) => until(() => calls.length >= count) };
}

export const UPGRADE =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
