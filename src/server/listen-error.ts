/** What is said of an address that can't be listened on. */
import type { Address } from "../config/config.ts";

/** An address that can't be listened on: the message says all that there is to know. */
export class ListenError extends Error {}

/** Why an address can't be bound, by the system's error code. */
const UNBINDABLE: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: "this machine has no such address",
  EAGAIN: "the name can't be resolved to an address now",
  ENOTFOUND: "the name can't be resolved to an address",
  ENOENT: "the folder of the socket does not exist",
};

/** Says which address it was, and what to do about it. */
export function listenError(address: Address, error: unknown): ListenError {
  const where = "unix" in address ? `unix:${address.unix}` : `${address.hostname}:${address.port}`;
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === "EADDRINUSE"
      ? "another program listens there; stop it, or give another address in the config"
      : code === "EACCES"
        ? "not permitted; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)"
        : (UNBINDABLE[code ?? ""] ?? message);
  return new ListenError(`can't listen on ${where}: ${why}`, { cause: error });
}
