/** Evaluates a plugin's file in a thread of its own first: one whose top level loops must not stop a server. */
import { basename } from "node:path";
import { LATE, within, type Clock } from "../clock.ts";
import { PluginLoadError } from "../errors.ts";
import { loadTimeout } from "../load-timeout.ts";
import type { ToGuest, ToHost } from "./wire.ts";
import { Watch } from "./watch.ts";
import { WORKER_URL } from "./worker-url.ts";

/** Milliseconds without a sign of life that are too long: what awaits gives one. */
const SILENCE_MS = 5000;
/** Bytes by which the process may grow while the file is evaluated and says nothing. */
const MEMORY = 1024 ** 3;

/**
 * Resolves when the file has been evaluated, or has thrown: the import in the server's own thread will
 * tell what.
 *
 * @param use As the config names the plugin.
 * @param file Absolute path.
 * @param limitMs Milliseconds that it may take in all.
 * @throws {PluginLoadError} When its top level does not end, or ends the process, which would be the
 *   server's.
 */
export async function probe(
  use: string,
  file: string,
  limitMs: number,
  clock: Clock,
): Promise<void> {
  const worker = new Worker(WORKER_URL, { name: `load ${basename(file)}` });
  const post = (message: ToGuest) => worker.postMessage(message);
  const { promise: failure, resolve } = Promise.withResolvers<PluginLoadError | null>();
  const watch = new Watch({
    timeoutMs: SILENCE_MS,
    memory: MEMORY,
    clock,
    ping: () => post({ say: "ping" }),
    isBusy: () => true,
    onBad: (_reason, kind) => resolve(kind === "silent" ? endless(use, file) : greedy(use, file)),
  });
  worker.onmessage = ({ data }: { data: ToHost }) => {
    if (typeof data === "string") return;
    if (data.say === "probed") resolve(null);
    if (data.say !== "alive") return;
    watch.sign();
    watch.loaded();
  };
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    resolve(null);
  });
  worker.addEventListener("close", () => resolve(leaving(use, file)));
  post({ say: "probe", file });
  watch.ready();
  watch.start();
  try {
    const found = await within(failure, limitMs, clock);
    if (found === LATE) throw loadTimeout(use, file, limitMs);
    if (found !== null) throw found;
  } finally {
    watch.stop();
    worker.onmessage = null;
    worker.terminate();
  }
}

function endless(use: string, file: string): PluginLoadError {
  const silence = `it gave no sign of life for ${SILENCE_MS / 1000} s`;
  return wrong("load-timeout", use, file, {
    message: `its top level does not end: ${silence}`,
    help: "an endless loop, or a call that blocks",
  });
}

function greedy(use: string, file: string): PluginLoadError {
  return wrong("load-timeout", use, file, {
    message: `its top level does not end: it took ${MEMORY / 1024 ** 3} GiB of memory without a sign of life`,
    help: "a loop that allocates",
  });
}

function leaving(use: string, file: string): PluginLoadError {
  return wrong("load-failed", use, file, {
    message: "it ended the process when it was loaded (process.exit)",
    help: null,
  });
}

function wrong(
  code: "load-timeout" | "load-failed",
  use: string,
  file: string,
  { message, help }: { readonly message: string; readonly help: string | null },
): PluginLoadError {
  const whole = `${file}: ${message}${help === null ? "" : `; ${help}`}`;
  return new PluginLoadError(code, use, whole, {
    mistakes: [{ code, message, file, place: null, help }],
  });
}
