/** What a config declares as channels, ready to make channels of, and how to tell whether it is the same. */
import { Directory, type Match } from "../channel/directory.ts";
import type { ChannelConfig, PluginUse } from "../config/config.ts";
import type { LoadedPlugin } from "../plugin/load.ts";
import { RequestError } from "../transport/errors.ts";
import { compileSchema } from "./schema.ts";

/** A declaration, ready to make channels of. */
export interface Declared {
  readonly config: ChannelConfig;
  readonly validate: ((channel: string, data: unknown) => void) | null;
  /** Its plugins, in order. A later one of the same name does not take their place. */
  readonly uses: readonly DeclaredUse[];
}

export interface DeclaredUse {
  readonly use: PluginUse;
  readonly loaded: LoadedPlugin;
}

/** A declared channel, found by a path or a name. */
export type ChannelMatch = Match<Declared>;

/** All that one config declares. */
export class Declarations {
  readonly all: readonly Declared[];
  readonly #byPath = new Directory<Declared>();
  readonly #byName = new Directory<Declared>();
  #last: { readonly name: string; readonly match: ChannelMatch } | null = null;
  /** A plugin is new, or another than before: what it shares with others has to be one module for all. */
  readonly #hasOther: boolean;

  /**
   * @param plugins Every plugin that the config uses, by its `use`.
   * @param before What was declared until now: a declaration that is the same stays the same object.
   * @throws When a schema can't be compiled.
   */
  constructor(
    configs: readonly ChannelConfig[],
    plugins: ReadonlyMap<string, LoadedPlugin>,
    before: Declarations | null = null,
  ) {
    const known = new Map(before?.all.map((declared) => [declared.config.name, declared]));
    this.#hasOther = hasOther(plugins, before);
    this.all = configs.map((config) => {
      const uses = config.plugins.map((use) => ({ use, loaded: plugins.get(use.use)! }));
      const old = known.get(config.name);
      if (old && isSameBut(old.config, config) && this.keeps(old.uses, uses)) return old;
      return { config, uses, validate: config.schema && compileSchema(config.schema) };
    });
    for (const declared of this.all) {
      this.#byPath.add(declared.config.path, declared);
      this.#byName.add(declared.config.pattern, declared);
    }
  }

  /** Whether plugins that are at work may go on for these: the same, with the same options. */
  keeps(working: readonly DeclaredUse[], uses: readonly DeclaredUse[]): boolean {
    return (
      working.length === uses.length &&
      working.every(({ use, loaded }, index) => {
        const other = uses[index]!;
        return (
          this.#isSamePlugin(loaded, other.loaded) &&
          // Where it stands in the file says nothing of what it does.
          Bun.deepEquals({ ...use, usedAt: null }, { ...other.use, usedAt: null }, true)
        );
      })
    );
  }

  #isSamePlugin(working: LoadedPlugin, loaded: LoadedPlugin): boolean {
    return this.#hasOther ? working.plugin === loaded.plugin : isSamePlugin(working, loaded);
  }

  /** @param path Percent-encoded, with its leading slash. */
  match(path: string): ChannelMatch | null {
    return find(this.#byPath, path.slice(1), "path");
  }

  /** @param name Parameters percent-encoded where they have to be. */
  matchName(name: string): ChannelMatch | null {
    // Frames of one publisher come one behind the other, and each names its channel.
    if (this.#last?.name === name) return this.#last.match;
    const match = find(this.#byName, name, "channel name");
    if (match) this.#last = { name, match };
    return match;
  }
}

export function isOfPattern({ config }: Declared): boolean {
  return config.pattern.params.length > 0;
}

/** Whether its channels keep the newest message of each key. */
export function keepsState({ config }: Declared): boolean {
  return config.history.latestByKey ?? false;
}

/** Whether all but the plugins is the same. */
function isSameBut(a: ChannelConfig, b: ChannelConfig): boolean {
  return Bun.deepEquals({ ...a, plugins: [] }, { ...b, plugins: [] }, true);
}

function hasOther(
  plugins: ReadonlyMap<string, LoadedPlugin>,
  before: Declarations | null,
): boolean {
  const known = new Map<string, LoadedPlugin>();
  for (const { uses } of before?.all ?? []) {
    for (const { use, loaded } of uses) known.set(use.use, loaded);
  }
  return plugins.entries().some(([use, loaded]) => {
    const old = known.get(use);
    return loaded.file !== null && !(old && isSamePlugin(old, loaded));
  });
}

function isSamePlugin(a: LoadedPlugin, b: LoadedPlugin): boolean {
  if (a.plugin === b.plugin) return true;
  // A file that was put back to what it was is another module, and the same plugin.
  return a.version !== undefined && a.use === b.use && a.version === b.version;
}

function find(directory: Directory<Declared>, text: string, what: string): ChannelMatch | null {
  try {
    return directory.find(text);
  } catch {
    throw new RequestError(
      400,
      "bad-encoding",
      `the ${what} ${JSON.stringify(text.slice(0, 200))} has broken percent-encoding; each % is followed by two hex digits and the bytes are UTF-8`,
    );
  }
}
