/** Where a worker thread begins that has one plugin in it. */
import { getPriority, setPriority } from "node:os";
import { evaluate } from "../load.ts";
import { Guest } from "./guest.ts";
import { LoadLooker } from "./load-looker.ts";
import type { ToGuest, ToHost } from "./wire.ts";

declare const self: {
  postMessage(message: unknown): void;
  onmessage: (event: { readonly data: ToGuest }) => void;
};

/**
 * The nice value of a worker's thread: where both want the same core, the server's thread, which all other
 * channels are on, goes first. Linux has it for each thread; elsewhere it would be that of the process.
 *
 * @see https://man7.org/linux/man-pages/man2/setpriority.2.html
 */
const NICE = 10;
if (process.platform === "linux") {
  try {
    setPriority(0, Math.max(NICE, getPriority(0)));
  } catch {
    // Not allowed in here: it runs as it is.
  }
}

const post = self.postMessage.bind(self);
const guest = new Guest((message: ToHost) => post(message));
// Packages that find themselves in a worker may post to whoever started it: nobody would understand.
self.postMessage = () => {
  throw new Error("a plugin in a worker has nobody to post messages to; use the setup context");
};
process.on("unhandledRejection", (error) => guest.stray("unhandled rejection", error));
process.on("uncaughtException", (error) => guest.stray("uncaught exception", error));

let looker: LoadLooker | null = null;
self.onmessage = ({ data }) => {
  if (typeof data === "string") return guest.take(data);
  if (data.say === "probe") {
    const done = () => post({ say: "probed" });
    void evaluate(data.file).then(done, done);
  } else if (data.say === "watch") looker = new LoadLooker(data.beats);
  else if (data.say === "watch load") looker?.loads(data.file);
  else guest.take(data);
};
