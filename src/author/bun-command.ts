/** Runs Bun's own command line (`check`, `test`, `add` …), which the executable carries within itself. */
import { constants } from "node:os";

export interface BunCommandOptions {
  /** Default: the folder of this process. */
  readonly cwd?: string;
  /** Laid over the environment of this process, when it has been cleaned; undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `inherit` shows what it writes and lets it read the terminal; `pipe` collects it. Default: `pipe`. */
  readonly stdio?: "inherit" | "pipe";
  /** Ends the command with SIGTERM when it aborts. */
  readonly signal?: AbortSignal;
}

export interface BunCommandEnded {
  /** Exit code; 128 and the signal's number when a signal ended it, as a shell has it. */
  readonly code: number;
  /** What it wrote; empty with `inherit`. */
  readonly stdout: string;
  readonly stderr: string;
}

/** What is passed on to the command when this process gets it. */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs `bun <args>` to its end. From source it is the Bun that runs this program; in the executable
 * it is the executable itself, so nothing needs to be installed. SIGINT, SIGTERM and SIGHUP are passed
 * on meanwhile, and do not end this process: it ends when the command has.
 *
 * @example `await runBun(["check", "--no-script", "plugins"], { cwd: root })`
 */
export async function runBun(
  args: readonly string[],
  options: BunCommandOptions = {},
): Promise<BunCommandEnded> {
  const { stdio = "pipe" } = options;
  const forward = (signal: NodeJS.Signals) => {
    // Ctrl-C in a terminal reaches the whole foreground group: the child has had it already.
    const hadIt = signal === "SIGINT" && stdio === "inherit" && process.stdin.isTTY;
    if (!hadIt) child.kill(signal);
  };
  // Before the child is there: it may run before this process goes on, and a signal that comes between the
  // two would end this one and leave the child behind.
  for (const signal of FORWARDED) process.on(signal, forward);
  let child: Bun.Subprocess;
  try {
    child = Bun.spawn([process.execPath, ...args], {
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.signal && { signal: options.signal }),
      env: bunEnvironment(process.env, options.env),
      stdio: [stdio === "inherit" ? "inherit" : "ignore", stdio, stdio],
    });
    const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
    await child.exited;
    return { code: codeOf(child), stdout, stderr };
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward);
  }
}

/**
 * The environment in which a command behaves the same for everybody: what steers Bun or Node in this
 * process is left out, but for where packages come from and are kept (`BUN_CONFIG_*`, `BUN_INSTALL*`).
 */
export function bunEnvironment(
  parent: Readonly<Record<string, string | undefined>>,
  laidOver: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> {
  const all: Record<string, string | undefined> = {
    ...Object.fromEntries(Object.entries(parent).filter(([name]) => isKept(name))),
    ...laidOver,
    BUN_BE_BUN: "1",
  };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function isKept(name: string): boolean {
  if (/^BUN_(CONFIG_|INSTALL)/.test(name)) return true;
  return !/^BUN_|^NODE_(OPTIONS|PATH|V8_COVERAGE)$/.test(name);
}

function textOf(stream: ReadableStream<Uint8Array> | number | undefined | null): Promise<string> {
  return stream instanceof ReadableStream ? new Response(stream).text() : Promise.resolve("");
}

function codeOf(child: Bun.Subprocess): number {
  if (child.exitCode !== null) return child.exitCode;
  const { signalCode } = child as { readonly signalCode: NodeJS.Signals | null };
  return 128 + (signalCode === null ? 0 : constants.signals[signalCode]);
}
