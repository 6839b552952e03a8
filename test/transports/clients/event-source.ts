/** An event stream by the npm package `eventsource`, whose end is seen. */
import { EventSource } from "eventsource";
import type { Inbox, TestClient } from "./client.ts";
import { fetchIn, type Coding } from "./coding.ts";

interface Event {
  readonly lastEventId: string;
  readonly data: string;
}

/**
 * @param push Puts what an event says into the inbox.
 * @throws {Error} When the stream can't be opened.
 */
export async function openEventSource(
  url: string,
  coding: Coding,
  inbox: Inbox,
  push: (event: Event) => void,
): Promise<TestClient> {
  const source = new EventSource(url, { fetch: fetchIn(coding) });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  source.onopen = () => resolve();
  source.onerror = (event) => {
    // The stream ended: the package would come back by itself, and the suite wants to see it.
    source.close();
    inbox.push({ type: "end", code: event.code ?? null });
    reject(new Error(event.message ?? "the stream could not be opened"));
  };
  source.onmessage = ({ lastEventId, data }) => push({ lastEventId, data: data as string });
  source.addEventListener("tidewire:gap", ({ data }) => {
    const { after, id } = JSON.parse(data as string) as { after: string; id: string };
    inbox.push({ type: "gap", after, id });
  });
  await promise;
  return { next: inbox.next, close: () => source.close() };
}
