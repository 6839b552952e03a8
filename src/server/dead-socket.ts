/** Removes the file of a unix socket that nobody listens on any more. */
import { stat, unlink } from "node:fs/promises";
import { connect } from "node:net";

/**
 * Makes room for a listener: a server that was killed leaves its socket's file behind, and the next one
 * could not listen there. A socket that somebody listens on, and any other file, is left alone.
 */
export async function removeDeadSocket(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found?.isSocket() && (await isRefused(path))) await unlink(path);
}

function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code === "ECONNREFUSED"));
  });
}
