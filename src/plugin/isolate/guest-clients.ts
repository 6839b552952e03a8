/** Clients as a plugin in a worker sees them: what they are told goes to the server's thread. */
import { sealDraft } from "../../channel/message.ts";
import type { AccessRequest, Client } from "../sdk.ts";
import type { ToHost, WireClient, WireRequest } from "./wire.ts";

export class GuestClients {
  readonly #post: (message: ToHost) => void;
  readonly #clients = new Map<number, Client>();
  /** `joined` and `left` of one client come one after the other, also after a restart. */
  readonly #turns = new Map<number, Promise<unknown>>();

  constructor(post: (message: ToHost) => void) {
    this.#post = post;
  }

  /** The one object of a client. */
  of({ handle, about }: WireClient): Client {
    const known = this.#clients.get(handle);
    if (known) return known;
    const client = new GuestClient(handle, about!, this.#post);
    this.#clients.set(handle, client);
    return client;
  }

  /** The server is done with it. */
  forget(handle: number): void {
    this.#clients.delete(handle);
  }

  /** Calls `work` when what was begun for this client before has ended. */
  inTurn(handle: number, work: () => unknown): Promise<unknown> {
    const before = this.#turns.get(handle);
    const result = before ? before.then(work) : (async () => work())();
    const ended = result
      .catch(() => {})
      .finally(() => {
        if (this.#turns.get(handle) === ended) this.#turns.delete(handle);
      });
    this.#turns.set(handle, ended);
    return result;
  }
}

class GuestClient implements Client {
  readonly id: string;
  readonly transport: string;
  readonly address: string;
  readonly headers: Headers;
  readonly query: URLSearchParams;
  readonly #handle: number;
  readonly #post: (message: ToHost) => void;

  constructor(
    handle: number,
    about: NonNullable<WireClient["about"]>,
    post: (message: ToHost) => void,
  ) {
    this.id = about.id;
    this.transport = about.transport;
    this.address = about.address;
    this.headers = new Headers(about.headers as [string, string][]);
    this.query = new URLSearchParams(about.query);
    this.#handle = handle;
    this.#post = post;
  }

  send(data: unknown, options?: { event?: string }): void {
    // Refused here, as in the server's own thread: the caller is to see it.
    sealDraft({ data: "", event: options?.event }, 0);
    const args = options === undefined ? [data] : [data, { event: options.event }];
    this.#post({ say: "send", handle: this.#handle, args });
  }

  close(code?: number, reason?: string): void {
    this.#post({ say: "hang up", handle: this.#handle, args: [code, reason] });
  }
}

/** Makes a request again, as `authorize` takes it. */
export function toAccessRequest(wire: WireRequest): AccessRequest {
  return {
    ...wire,
    headers: new Headers(wire.headers as [string, string][]),
    cookies: new Map(wire.cookies),
    query: new URLSearchParams(wire.query),
  };
}
