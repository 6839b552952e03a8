/** Makes the clients that a test plays of what the server makes of a connection. */
import { Admission } from "../../server/admission.ts";
import { ChannelClient, ConnectionCount, type Peer } from "../../server/client.ts";
import type { LiveChannel } from "../../server/live-channel.ts";
import { createRecordedLog } from "./recorded-log.ts";
import { TestClient, type ClientActions, type ClientOptions } from "./test-client.ts";

/** What the server knows of who is at the other end. */
export interface TestPeer extends Peer {
  readonly transport: string;
}

let lastId = 0;

export function peerOf(options: ClientOptions): TestPeer {
  const { transport = "websocket", headers, query = "", address = "127.0.0.1" } = options;
  return {
    id: `client-${++lastId}`,
    transport,
    address,
    headers: new Headers(headers),
    query: new URLSearchParams(query),
    allowed: null,
  };
}

export function createClient(
  live: LiveChannel,
  options: ClientOptions,
  actions: ClientActions,
): TestClient {
  const peer = peerOf(options);
  const connections = new ConnectionCount(Infinity);
  // Channels are for `open` alone, which finds one: this client has its channel.
  const admission = new Admission({ channels: null as never, connections, limit: Infinity });
  const context = { connections, admission, log: createRecordedLog([]) };
  return new TestClient(new ChannelClient(live, peer, peer.transport, context), actions);
}
