/** How many connections are held, and by whom. */
import { CLOSE, RequestError } from "../transport/errors.ts";
import { networkOf } from "./network.ts";

/**
 * Connections that are held, counted against `limits.connections` and `limits.connections_per_address`:
 * streams, polls that wait, and WebSockets, whatever they subscribe to.
 */
export class ConnectionCount {
  #count = 0;
  #limit: number;
  #perAddress: number | null;
  /** Of networks that hold any. */
  readonly #byNetwork = new Map<string, number>();

  /** @param perAddress What one client address may hold; null is no limit. */
  constructor(limit: number, perAddress: number | null = null) {
    this.#limit = limit;
    this.#perAddress = perAddress;
  }

  /** Connections that are held beyond the limits stay; no further one is taken. */
  update(limit: number, perAddress: number | null): void {
    this.#limit = limit;
    this.#perAddress = perAddress;
  }

  get count(): number {
    return this.#count;
  }

  /** What the address that holds the most does. */
  get most(): number {
    let most = 0;
    for (const count of this.#byNetwork.values()) if (count > most) most = count;
    return most;
  }

  /** @param address The client's; empty on a unix socket, which is limited by the total alone. */
  add(change: 1 | -1, address: string): void {
    this.#count += change;
    if (address === "") return;
    const network = networkOf(address);
    const count = (this.#byNetwork.get(network) ?? 0) + change;
    if (count > 0) this.#byNetwork.set(network, count);
    else this.#byNetwork.delete(network);
  }

  /** @throws {RequestError} 503 when no further connection is taken, 429 when none of this address is. */
  check(address: string): void {
    if (this.#count >= this.#limit) {
      throw new RequestError(
        503,
        "too-many-connections",
        `this server holds ${this.#limit} connections, its limit; try again later`,
        { headers: { "retry-after": "5" }, closeCode: CLOSE.tryLater },
      );
    }
    if (this.#perAddress === null || address === "") return;
    if ((this.#byNetwork.get(networkOf(address)) ?? 0) < this.#perAddress) return;
    throw new RequestError(
      429,
      "too-many-connections-of-address",
      `your address holds ${this.#perAddress} connections, as many as one may; close some, or try again later`,
      { headers: { "retry-after": "5" }, closeCode: CLOSE.rateLimited },
    );
  }
}
