/** Where a listener listens, as a config writes it. */
import { isIPv4, isIPv6 } from "node:net";
import { isAbsolute } from "node:path";
import type { Address, TcpAddress } from "./config.ts";
import { Refusal } from "./refusal.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*$/;
/** Bytes of `sun_path` in unix(7), less its closing NUL. */
const MAX_UNIX_PATH = 107;

/**
 * Parses `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080` or `:8080`, which means all interfaces.
 *
 * @throws {Refusal} When the text is no TCP address.
 */
export function parseTcpAddress(text: string): TcpAddress {
  if (text.startsWith("unix:")) {
    throw new Refusal("a unix socket is for the control listener alone", `write "127.0.0.1:8080"`);
  }
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d+)$/.exec(text);
  if (!match) throw new Refusal(`${quoteText(text)} is not an address`, addressHelp(text));
  const port = Number(match[3]);
  if (port > 65_535) {
    const part = { index: text.lastIndexOf(":") + 1, length: match[3]!.length };
    throw new Refusal("a port is at most 65535", null, part);
  }
  const hostname = match[1] ?? (match[2] || "0.0.0.0");
  if (match[1] === undefined ? isHost(hostname) : isIPv6(hostname)) return { hostname, port };
  const kind = match[1] === undefined ? "a host name or an IPv4 address" : "an IPv6 address";
  const part = { index: match[1] === undefined ? 0 : 1, length: hostname.length };
  const help = hostname === "*" ? `for all interfaces write "0.0.0.0:${port}"` : null;
  throw new Refusal(`${quoteText(hostname)} is not ${kind}`, help, part);
}

/**
 * Parses a TCP address or `unix:/run/tidewire.sock`.
 *
 * @throws {Refusal} When the text is neither.
 */
export function parseAddress(text: string): Address {
  if (!text.startsWith("unix:")) return parseTcpAddress(text);
  const unix = text.slice("unix:".length);
  const part = { index: "unix:".length, length: unix.length };
  if (!isAbsolute(unix)) {
    throw new Refusal(
      "a unix socket needs an absolute path",
      `write "unix:/run/tidewire.sock"`,
      part,
    );
  }
  if (Buffer.byteLength(unix) > MAX_UNIX_PATH) {
    throw new Refusal(`a unix socket's path has at most ${MAX_UNIX_PATH} bytes`, null, part);
  }
  return { unix };
}

/** Whether only this machine can reach it. */
export function isLoopback(address: Address): boolean {
  if ("unix" in address) return true;
  const { hostname } = address;
  if (isIPv4(hostname)) return hostname.startsWith("127.");
  if (isIPv6(hostname)) return new URL(`http://[${hostname}]`).hostname === "[::1]";
  return hostname.toLowerCase() === "localhost";
}

/** Whether both can't listen at once: the same port, and the same interface or all of them. */
export function clash(a: Address, b: Address): boolean {
  if ("unix" in a || "unix" in b) return "unix" in a && "unix" in b && a.unix === b.unix;
  if (a.port !== b.port || a.port === 0) return false;
  const isAll = ({ hostname }: { hostname: string }) => hostname === "0.0.0.0" || hostname === "::";
  const [one, other] = [interfacesOf(a.hostname), interfacesOf(b.hostname)];
  return one.some((name) => other.includes(name)) || isAll(a) || isAll(b);
}

/** The addresses behind a host, each in its shortest form; other names stay as they are. */
function interfacesOf(hostname: string): readonly string[] {
  if (isIPv6(hostname)) return [new URL(`http://[${hostname}]`).hostname];
  const name = hostname.toLowerCase();
  return name === "localhost" ? ["127.0.0.1", "[::1]"] : [name];
}

function isHost(text: string): boolean {
  // What looks like an IPv4 address has to be one: no name ends in a number (RFC 1123 §2.1).
  return isIPv4(text) || (HOST_NAME.test(text) && !/(?:^|\.)\d+$/.test(text));
}

function addressHelp(text: string): string {
  const url = /^\w+:\/\/([^/]+)/.exec(text);
  if (url && /:\d+$/.test(url[1]!)) return `did you mean "${url[1]}"?`;
  if (/^\d+$/.test(text)) return `did you mean "127.0.0.1:${text}"?`;
  const [, ip, port] = /^(.*):(\d{2,5})$/.exec(text) ?? [];
  // `::1:9090` is an IPv6 address as it stands, but seldom meant as one.
  if (ip && isIPv6(ip) && Number(port) <= 65_535) return `did you mean "[${ip}]:${port}"?`;
  if (isIPv6(text)) return `did you mean "[${text}]:8080"?`;
  if (isHost(text)) return `did you mean "${text}:8080"?`;
  return `write a host and a port, such as "127.0.0.1:8080"`;
}
