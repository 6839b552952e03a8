/** Who is at the other end of a request or socket. */
import type { Allowance } from "./publish-rate.ts";
import type { Target } from "./target.ts";

export interface Peer {
  readonly id: string;
  /** IP address, or an empty string on a unix socket. */
  readonly address: string;
  /** Not the request itself, which would be kept for as long as its connection is held. */
  readonly headers: Headers;
  readonly query: URLSearchParams;
  /** The `authorize` hooks that let it in, by action and channel; null as long as none did. */
  allowed: Map<string, unknown> | null;
  /** How much more a connection may publish now; none as long as it published nothing. */
  allowance?: Allowance;
}

/** Finds the address that a request under way came from. */
export type AddressOf = (request: Request) => string;

let lastNumber = 0;

/** The sender of one request. What few are asked for is found when it is asked for: each poll is a peer. */
export class RequestPeer implements Peer {
  readonly headers: Headers;
  allowed: Map<string, unknown> | null = null;
  readonly #number = ++lastNumber;
  readonly #target: Target;
  readonly #addressOf: AddressOf;
  #request: Request | null;
  #address = "";
  #query: URLSearchParams | null = null;

  constructor(request: Request, target: Target, addressOf: AddressOf) {
    this.headers = request.headers;
    this.#request = request;
    this.#target = target;
    this.#addressOf = addressOf;
  }

  get id(): string {
    return this.#number.toString(36);
  }

  /** To be asked for the first time while the request is under way. It costs a system call then. */
  get address(): string {
    if (this.#request) {
      this.#address = this.#addressOf(this.#request);
      this.#request = null;
    }
    return this.#address;
  }

  /** Its own, which a plugin may change. */
  get query(): URLSearchParams {
    return (this.#query ??= new URLSearchParams(this.#target.query));
  }

  /** From here on the request may end, and is let go of. */
  outlive(): void {
    void this.address;
  }
}
