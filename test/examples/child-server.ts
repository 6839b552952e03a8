/** Runs `tidewire run` as a user does, from source, in a process of its own. */
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

export interface ChildServer extends AsyncDisposable {
  /** Where it listens, as it says itself. */
  readonly publicUrl: URL;
  readonly pushUrl: URL;
  /** Ends it with this signal and gives the exit code, which is null when the signal killed it. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null>;
}

/**
 * Starts a server and waits until it listens.
 *
 * @param config Path of its YAML file, from the root of the project.
 * @throws When it ends before that; the message is what it wrote.
 */
export async function startChildServer(
  config: string,
  env: Readonly<Record<string, string>>,
): Promise<ChildServer> {
  const child = Bun.spawn([process.execPath, "src/main.ts", "run", config], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdout: "ignore",
    stderr: "pipe",
  });
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await child.exited;
    return child.exitCode;
  };
  const written: string[] = [];
  const listening = Promise.withResolvers<{ public: string; http2Push: string }>();
  const read = async () => {
    let rest = "";
    for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        written.push(line);
        if (line.includes('"listening"')) listening.resolve(JSON.parse(line));
      }
    }
    listening.reject(new Error(`the server ended:\n${[...written, rest].join("\n")}`));
  };
  read().catch(listening.reject);
  const urls = await listening.promise;
  return {
    publicUrl: new URL(urls.public),
    pushUrl: new URL(urls.http2Push),
    end,
    [Symbol.asyncDispose]: async () => void (await end("SIGKILL")),
  };
}
