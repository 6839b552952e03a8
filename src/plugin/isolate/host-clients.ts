/** Clients as a worker hears of them: each has a number, for as long as somebody holds it. */
import type { AccessRequest, Client } from "../sdk.ts";
import type { ToHost, WireClient, WireRequest } from "./wire.ts";

export class HostClients {
  readonly #numbers = new WeakMap<Client, number>();
  /** Weak: what is sent to a client that the server has let go of goes nowhere. */
  readonly #clients = new Map<number, WeakRef<Client>>();
  readonly #forget: (handle: number) => void;
  readonly #gone = new FinalizationRegistry<number>((handle) => this.#drop(handle));
  #last = 0;

  /** @param forget Tells the worker that a client will not be heard of again. */
  constructor(forget: (handle: number) => void) {
    this.#forget = forget;
  }

  toWire(client: Client): WireClient {
    const known = this.#numbers.get(client);
    if (known !== undefined) return { handle: known };
    const handle = ++this.#last;
    this.#numbers.set(client, handle);
    this.#clients.set(handle, new WeakRef(client));
    this.#gone.register(client, handle, client);
    const { id, transport, address, headers, query } = client;
    return {
      handle,
      about: { id, transport, address, headers: [...headers], query: query.toString() },
    };
  }

  /** Nothing can reach this client any more. */
  done(client: Client): void {
    const handle = this.#numbers.get(client);
    if (handle === undefined) return;
    this.#numbers.delete(client);
    this.#gone.unregister(client);
    this.#drop(handle);
  }

  /** Does what a plugin asked of a client. */
  reach(message: Extract<ToHost, { say: "send" | "hang up" }>): void {
    const client = this.#clients.get(message.handle)?.deref();
    if (!client) return;
    if (message.say === "send") client.send(...(message.args as Parameters<Client["send"]>));
    else client.close(...(message.args as Parameters<Client["close"]>));
  }

  #drop(handle: number): void {
    this.#clients.delete(handle);
    this.#forget(handle);
  }
}

export function toWireRequest(request: AccessRequest): WireRequest {
  const { action, channel, params, transport, address, claims, origin } = request;
  return {
    ...{ action, channel, params, transport, address, claims, origin },
    headers: [...request.headers],
    cookies: [...request.cookies],
    query: request.query.toString(),
  };
}
