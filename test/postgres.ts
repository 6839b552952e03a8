/** A real PostgreSQL of a test's own: a cluster in a temporary folder, on a free port of 127.0.0.1. */
import { existsSync, readdirSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./executable.ts";

/** Where Debian puts the server, which is not on the PATH: one folder a version. */
const DEBIAN = "/usr/lib/postgresql";

export interface Postgres extends AsyncDisposable {
  /** `postgres://…` of a superuser, for `Bun.SQL`. */
  readonly url: string;
  /** Ends every connection, as a restart of the database would. */
  restart(): Promise<void>;
}

/** @throws {Error} When there is no PostgreSQL on this machine, or it does not start; says why. */
export async function startPostgres(): Promise<Postgres> {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-postgres-"));
  const data = join(folder, "data");
  // It refuses to run as root, so its folder is the user's that the Debian package makes.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    await chmod(folder, 0o755);
    await call(["install", "-d", "-o", "postgres", "-m", "700", data]);
  }
  const own = async (...command: string[]) =>
    call(
      isRoot
        ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", ...command]
        : command,
    );
  const port = freePort();
  const options = `-p ${port} -h 127.0.0.1 -k '' -F`;
  const start = () =>
    own(
      tool("pg_ctl"),
      "-D",
      data,
      "-w",
      "-t",
      "30",
      "-l",
      join(data, "log"),
      "-o",
      options,
      "start",
    );
  await own(tool("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8");
  await start();
  const stop = () => own(tool("pg_ctl"), "-D", data, "-w", "-m", "fast", "stop");
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    restart: async () => {
      await stop();
      await start();
    },
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function tool(name: string): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  const newest = versions.toSorted((a, b) => Number(a) - Number(b)).at(-1);
  return newest === undefined ? name : join(DEBIAN, newest, "bin", name);
}

async function call(command: readonly string[]): Promise<void> {
  // What is started in the background must not keep the pipes open.
  const child = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    cwd: "/",
  });
  const code = await child.exited;
  if (code === 0) return;
  throw new Error(
    `${command.join(" ")} ended with ${code}: ${await new Response(child.stderr).text()}`,
  );
}
