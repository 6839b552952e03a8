/** The `channel` of a setup context: it has the channel's name and parameters, and leads to others. */
import type { ChannelContext, OtherChannel } from "./sdk.ts";

export function createChannelContext(
  name: string,
  params: Readonly<Record<string, string>>,
  other: (name: string) => OtherChannel,
): ChannelContext {
  const context = (asked: string) => other(asked);
  // A function has a name of its own, which is not to be assigned to.
  return Object.defineProperties(context, {
    name: { value: name, enumerable: true },
    params: { value: Object.freeze({ ...params }), enumerable: true },
  }) as unknown as ChannelContext;
}
