/** What `init` writes. Each is a file of its own in `templates`, with a test that runs it. */
import tsconfig from "./templates/init/tsconfig.txt" with { type: "text" };
import gitignore from "./templates/init/gitignore.txt" with { type: "text" };
import page from "./templates/init/public/index.html" with { type: "text" };
import plugin from "./templates/init/plugins/round.ts" with { type: "text" };
import * as pluginTest from "./templates/init/plugins/round.test.ts" with { type: "text" };
import config from "./templates/init/tidewire.yaml" with { type: "text" };
import type { Files } from "./carried-types.ts";

// The compiler sees what the files would be without `type: "text"`. Tests have no default export to it.
const text = (imported: unknown) =>
  typeof imported === "string" ? imported : (imported as { default: string }).default;

export const CONFIG_FILE = "tidewire.yaml";

/** What an editor and the type checker need, in any project. */
export const TSCONFIG: Files = { "tsconfig.json": text(tsconfig) };

/** What stands beside a config whoever has written it. */
export const AROUND: Files = { ".gitignore": text(gitignore), ...TSCONFIG };

/** A config, and what it refers to. */
export const SAMPLE: Files = {
  [CONFIG_FILE]: text(config),
  "plugins/round.ts": text(plugin),
  "plugins/round.test.ts": text(pluginTest),
  "public/index.html": text(page),
};
