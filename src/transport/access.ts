/** What a connection keeps of the request that opened it. */
import type { Access, Exchange } from "./transport.ts";

/** The access alone: the exchange would keep its request, headers and all, for as long as it is held. */
export function accessOf({ channel, subscriber, submit }: Exchange): Access {
  return { channel, subscriber, submit };
}
