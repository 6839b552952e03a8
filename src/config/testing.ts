/** Writes configs into a folder of their own for a test. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "./config.ts";
import { formatDiagnostics } from "../diagnostic/diagnostic.ts";
import { resolveFake } from "./fake-plugins.ts";
import type { Environment } from "./interpolate.ts";
import { loadConfig, type LoadResult } from "./load.ts";

export class ConfigFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), "tidewire-config-"));

  /** Writes a file and returns its absolute path. */
  write(name: string, content: string | Uint8Array): string {
    const file = join(this.path, name);
    writeFileSync(file, content);
    return file;
  }

  load(content: string | Uint8Array, env: Environment = {}): Promise<LoadResult> {
    return loadConfig(this.write("tidewire.yaml", content), { env, resolvePlugin: resolveFake });
  }

  /** @throws {Error} With the diagnostics, when the config is not right. */
  async config(content: string, env: Environment = {}): Promise<Config> {
    const result = await this.load(content, env);
    if ("config" in result) return result.config;
    throw new Error(formatDiagnostics(result.diagnostics));
  }

  /** Code and place of each mistake, such as `unknown-key 3:5`; without a place the code alone. */
  async mistakes(content: string | Uint8Array): Promise<string[]> {
    const result = await this.load(content);
    if ("config" in result) throw new Error("the config is right");
    return result.diagnostics.map(({ code, place }) =>
      place ? `${code} ${place.line}:${place.column}` : code,
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}
