/** The command line of bench/resume.ts. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { count, list } from "./options.ts";
import { RESUME_TRANSPORTS, type ResumeTransport } from "./resume-spec.ts";

export const USAGE = `usage: bun bench/resume.ts [options]
  --transport websocket,sse   of ${RESUME_TRANSPORTS.join(", ")} (default: all)
  --clients 10000             that come back at once
  --behind 100                messages that each of them has missed
  --spread 1                  so many different positions that they come back to
  --at-once 10000             connections that may be on their way at once
  --rate 500                  messages a second to clients of another channel that were level all the time
  --live 5                    messages a second in the clients' own channel, while they come back (memory)
  --broker memory|sqlite      (default: memory)
  --restart                   the server is stopped and started, rather than the clients cut (sqlite)
  --executable dist/tidewire  another build, to compare`;

export interface ResumeOptions {
  readonly transports: readonly ResumeTransport[];
  readonly clients: number;
  readonly behind: number;
  readonly spread: number;
  readonly atOnce: number;
  readonly rate: number;
  readonly live: number;
  readonly isDurable: boolean;
  readonly restart: boolean;
  /** Absolute path; null for the one that is built of this tree. */
  readonly executable: string | null;
}

/** @throws {TypeError | RangeError} When an option is unknown or its value is not usable. */
export function parseResumeOptions(args: readonly string[]): ResumeOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      transport: { type: "string", default: RESUME_TRANSPORTS.join(",") },
      clients: { type: "string", default: "10000" },
      behind: { type: "string", default: "100" },
      spread: { type: "string", default: "1" },
      "at-once": { type: "string", default: "10000" },
      rate: { type: "string", default: "500" },
      live: { type: "string", default: "5" },
      broker: { type: "string", default: "memory" },
      restart: { type: "boolean", default: false },
      executable: { type: "string" },
    },
  });
  const isDurable = list("broker", values.broker, ["memory", "sqlite"])[0] === "sqlite";
  if (values.restart && !isDurable) {
    throw new RangeError("--restart needs --broker sqlite: with the other, history is gone then");
  }
  return {
    transports: list("transport", values.transport, RESUME_TRANSPORTS),
    clients: count("clients", values.clients),
    behind: count("behind", values.behind),
    spread: count("spread", values.spread),
    atOnce: count("at-once", values["at-once"]),
    rate: count("rate", values.rate),
    live: isDurable ? 0 : count("live", values.live, 0),
    isDurable,
    restart: values.restart,
    executable: values.executable === undefined ? null : resolve(values.executable),
  };
}
