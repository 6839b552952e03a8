/** Server-Sent Events by the npm packages `eventsource` and `eventsource-client`. */
import { createEventSource } from "eventsource-client";
import { channelUrl, Inbox, type Way } from "./client.ts";
import type { Coding } from "./coding.ts";
import { openEventSource } from "./event-source.ts";

const common = { transport: "sse", hasIds: true, bytes: "base64", lineEnds: "lf" } as const;

const eventSourceIn = (coding: Coding): Way => ({
  ...common,
  name: `SSE, eventsource${coding === "identity" ? "" : `, ${coding}`}`,
  async open(options) {
    const inbox = new Inbox();
    return openEventSource(channelUrl(options), coding, inbox, ({ lastEventId, data }) =>
      inbox.push({ type: "message", id: lastEventId, text: data }),
    );
  },
});

export const eventSource = eventSourceIn("identity");
export const eventSourceGzip = eventSourceIn("gzip");
export const eventSourceZstd = eventSourceIn("zstd");

export const eventSourceClient: Way = {
  ...common,
  name: "SSE, eventsource-client",
  async open(options) {
    const inbox = new Inbox();
    const { promise, resolve } = Promise.withResolvers<void>();
    const source = createEventSource({
      url: channelUrl(options),
      onConnect: () => resolve(),
      onDisconnect: () => {
        source.close();
        inbox.push({ type: "end", code: null });
      },
      onMessage: ({ event, id, data }) => {
        if (event !== "tidewire:gap") {
          return inbox.push({ type: "message", id: id ?? null, text: data });
        }
        inbox.push({ type: "gap", ...(JSON.parse(data) as { after: string; id: string }) });
      },
    });
    await promise;
    return { next: inbox.next, close: () => source.close() };
  },
};
