/** Checks that somebody can say who may publish, where the config leaves it to a plugin. */
import { nodeAt, textAt, type Node } from "./node.ts";
import type { Problems } from "./problems.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

const WORD = "authorized";

/**
 * Refuses `publish: authorized` on a channel without plugins. Whether one of the plugins has the hook is
 * known when they are set up, and no sooner.
 */
export function checkPublish(root: Node, problems: Problems): void {
  const channels = nodeAt(root, "channels");
  if (channels?.kind !== "map") return;
  const byDefault = textAt(nodeAt(root, "defaults"), "publish");
  for (const [name, { key, value }] of channels.entries) {
    if (value.kind === "broken" || hasPlugins(value)) continue;
    const own = nodeAt(value, "publish");
    const publish = own ? textAt(value, "publish") : byDefault;
    if (publish?.value !== WORD) continue;
    const message = `channel ${quoteText(name)} has no plugin that could say who may publish`;
    const help = own
      ? `add a plugin with the hook authorize, or write "clients" or "nobody"`
      : `"publish: ${WORD}" is the default (line ${problems.lineOf(publish.span.start)}): add a plugin with the hook authorize, or "publish: nobody"`;
    problems.report("no-authorize", own ? publish.span : key, message, help);
  }
}

/** Whatever stands there: what is no list is told of elsewhere. */
function hasPlugins(channel: Node): boolean {
  const plugins = nodeAt(channel, "plugins");
  if (plugins === null || (plugins.kind === "scalar" && plugins.value === null)) return false;
  return plugins.kind !== "list" || plugins.items.length > 0;
}
