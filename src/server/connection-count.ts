/** How many connections are held, and by whom. */
import { CLOSE, RequestError } from "../transport/errors.ts";
import { networkOf } from "./network.ts";

/** One whose connection is held. To ask for its address may cost a system call. */
export interface Holder {
  readonly address: string;
}

/**
 * Connections that are held, counted against `limits.connections` and `limits.connections_per_address`:
 * streams, polls that wait, and WebSockets, whatever they subscribe to.
 */
export class ConnectionCount {
  #count = 0;
  #limit: number;
  #perAddress: number | null;
  readonly #look: () => void;
  /** Of networks that hold any. */
  readonly #byNetwork = new Map<string, number>();
  /** Those who hold one and are not counted by their network yet. */
  readonly #unplaced = new Set<Holder>();

  /**
   * @param perAddress What one client address may hold; null is no limit.
   * @param look Releases those of whom it is not known yet that they have left.
   */
  constructor(limit: number, perAddress: number | null = null, look: () => void = () => {}) {
    this.#limit = limit;
    this.#perAddress = perAddress;
    this.#look = look;
  }

  /** Connections that are held beyond the limits stay; no further one is taken. */
  update(limit: number, perAddress: number | null): void {
    this.#limit = limit;
    this.#perAddress = perAddress;
    if (perAddress !== null) this.#place();
  }

  get count(): number {
    this.#look();
    return this.#count;
  }

  /** What the address that holds the most does. */
  get most(): number {
    this.#look();
    this.#place();
    let most = 0;
    for (const count of this.#byNetwork.values()) if (count > most) most = count;
    return most;
  }

  /** @param address The client's; empty on a unix socket, which is limited by the total alone. */
  add(change: 1 | -1, address: string): void {
    this.#count += change;
    this.#addTo(address, change);
  }

  /** As `add(1, …)`, of one whose address is not asked for as long as nobody needs to know it. */
  hold(holder: Holder): void {
    this.#count++;
    if (this.#perAddress === null) this.#unplaced.add(holder);
    else this.#addTo(holder.address, 1);
  }

  /** MUST be called once after `hold`. */
  release(holder: Holder): void {
    this.#count--;
    if (!this.#unplaced.delete(holder)) this.#addTo(holder.address, -1);
  }

  #place(): void {
    for (const { address } of this.#unplaced) this.#addTo(address, 1);
    this.#unplaced.clear();
  }

  #addTo(address: string, change: 1 | -1): void {
    if (address === "") return;
    const network = networkOf(address);
    const count = (this.#byNetwork.get(network) ?? 0) + change;
    if (count > 0) this.#byNetwork.set(network, count);
    else this.#byNetwork.delete(network);
  }

  /** @throws {RequestError} 503 when no further connection is taken, 429 when none of this address is. */
  check(holder: Holder): void {
    if (this.#count < this.#limit && !this.#isFullFor(holder)) return;
    // Nobody is to be refused for one who has left: a page that is loaded anew asks again at once.
    this.#look();
    if (this.#count >= this.#limit) {
      throw new RequestError(
        503,
        "too-many-connections",
        `this server holds ${this.#limit} connections, its limit; try again later`,
        { headers: { "retry-after": "5" }, closeCode: CLOSE.tryLater },
      );
    }
    if (!this.#isFullFor(holder)) return;
    throw new RequestError(
      429,
      "too-many-connections-of-address",
      `your address holds ${this.#perAddress} connections, as many as one may; close some, or try again later`,
      { headers: { "retry-after": "5" }, closeCode: CLOSE.rateLimited },
    );
  }

  #isFullFor(holder: Holder): boolean {
    if (this.#perAddress === null) return false;
    const { address } = holder;
    if (address === "") return false;
    return (this.#byNetwork.get(networkOf(address)) ?? 0) >= this.#perAddress;
  }
}
