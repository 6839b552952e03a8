/** A client for tests, which keeps what it is sent. */
import type { Client } from "./sdk.ts";

export function createFakeClient(id: string): Client & { readonly received: unknown[] } {
  const received: unknown[] = [];
  return {
    id,
    transport: "websocket",
    address: "127.0.0.1",
    headers: new Headers(),
    query: new URLSearchParams(),
    received,
    send: (data) => void received.push(data),
    close: () => {},
  };
}
