/** Which clients count as one where something is limited by address. */
import { isIPv6 } from "node:net";

/** Addresses of this machine itself, in every form that they come in. */
export function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\.|^::1$/i.test(address);
}

/**
 * The network that an address stands for: an IPv4 address by itself, for IPv6 the first 64 bits, which is
 * what one subscriber is given (RFC 6177 §2) and can take any address of.
 *
 * @returns Such as `192.0.2.1`, or `2001:db8:0:1::/64`. An IPv4 address written as IPv6 is IPv4.
 */
export function networkOf(address: string): string {
  // The usual case, without a look at what it is.
  if (!address.includes(":")) return address;
  const plain = address.split("%", 1)[0]!.toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain);
  if (mapped) return mapped[1]!;
  if (!isIPv6(plain)) return address;
  const [head = "", tail] = plain.split("::", 2);
  const before = head === "" ? [] : head.split(":");
  // What "::" leaves out are zeros, as many as the rest leaves of the eight groups.
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const left = after.reduce((sum, group) => sum + (group.includes(".") ? 2 : 1), before.length);
  const missing = tail === undefined ? 0 : 8 - left;
  const groups = [...before, ...Array<string>(missing).fill("0"), ...after].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
