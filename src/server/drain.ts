/** How a server lets go of its clients: told to come back, what is under way finished, the rest cut off. */
import type { PublicRoutes } from "./public-routes.ts";
import type { Channels } from "./channels.ts";
import type { Listeners } from "./listeners.ts";
import type { Transports } from "./transports.ts";
import { whenAborted } from "./when-aborted.ts";

export interface DrainOptions {
  readonly listeners: Listeners;
  readonly routes: PublicRoutes;
  readonly transports: Transports;
  readonly channels: Channels;
}

/**
 * @param drainMs How long what is under way may take. Plugins' hooks still come to an end after it.
 * @returns Resolves when nobody is connected and the channels are closed. Never rejects.
 */
export async function drain(options: DrainOptions, drainMs: number): Promise<void> {
  const { listeners, routes, transports, channels } = options;
  const limit = new AbortController();
  const late = setTimeout(() => limit.abort(), drainMs);
  const answered = listeners.stopAccepting(drainMs);
  routes.refuseSubscribers();
  // Half of the time for telling clients to come back, the rest for what is under way.
  const told = transports.all.map((transport) => transport.shutdown(drainMs / 2));
  const closed = Promise.allSettled(told).then(() => channels.close(limit.signal));
  // What was committed just now is still on its way to those who published it.
  const drained = closed.then(() => Promise.allSettled([answered, listeners.stopControl()]));
  await Promise.race([drained, whenAborted(limit.signal)]);
  clearTimeout(late);
  await listeners.cutOff();
  await closed;
}
