/** What the kernel says about a process: its own CPU time and memory, whoever else is on the machine. */
import { readFileSync } from "node:fs";

/** Clock ticks a second in /proc: USER_HZ, which Linux fixes at 100 for user space on every platform Bun runs on. */
const TICKS_PER_SECOND = 100;

/**
 * CPU time that a process, all of its threads together, has used since its start.
 *
 * @returns Seconds of user and system time, in steps of 10 ms.
 * @throws {Error} When there is no such process.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The second field is the program's name in parentheses, which may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/**
 * Memory of a process that is in RAM now.
 *
 * @returns Bytes (VmRSS).
 * @throws {Error} When there is no such process.
 */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  if (!match) throw new Error(`/proc/${pid}/status has no VmRSS: the process has ended`);
  return Number(match[1]) * 1024;
}

/** Waits until the memory of a process no longer moves (under 0.5 % in half a second), for at most `limitMs`. */
export async function settledResidentBytes(pid: number, limitMs = 6000): Promise<number> {
  const deadline = performance.now() + limitMs;
  let before = residentBytes(pid);
  for (;;) {
    await Bun.sleep(500);
    const now = residentBytes(pid);
    if (Math.abs(now - before) < before * 0.005 || performance.now() > deadline) return now;
    before = now;
  }
}

/** The command that runs `command` on one core alone, or as it is where `taskset` is missing. */
export function pinned(core: number, command: readonly string[]): string[] {
  return canPin() ? ["taskset", "-c", String(core), ...command] : [...command];
}

/** Whether server and load can each have a core. */
export function canPin(): boolean {
  return navigator.hardwareConcurrency > 1 && Bun.which("taskset") !== null;
}
