/** Where a worker thread begins that has one plugin in it. */
import { Guest } from "./guest.ts";
import type { ToGuest, ToHost } from "./wire.ts";

declare const self: {
  postMessage(message: unknown): void;
  onmessage: (event: { readonly data: ToGuest }) => void;
};

const guest = new Guest((message: ToHost) => self.postMessage(message));
process.on("unhandledRejection", (error) => guest.stray("unhandled rejection", error));
process.on("uncaughtException", (error) => guest.stray("uncaught exception", error));
self.onmessage = ({ data }) => guest.take(data);
