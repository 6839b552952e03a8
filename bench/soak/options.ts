/** The soak's command line. */
import { parseArgs } from "node:util";

export const USAGE = `usage: bun bench/soak.ts [options]
  --seconds 120 | --minutes 2 | --hours 8   how long (default: two minutes)
  --broker memory                           or sqlite
  --clients 60                              subscribers that come and go
  --seed 1                                  repeats a run's choices, not its timing
  --leak 0                                  bytes a second that a plugin leaks: such a run has to fail
  --executable dist/tidewire                another executable than one of this source
  --json                                    prints JSON in place of the table`;

export interface Options {
  readonly seconds: number;
  readonly broker: "memory" | "sqlite";
  readonly clients: number;
  readonly seed: number;
  readonly leak: number;
  /** null: one of this source, built when there is none that is new enough. */
  readonly executable: string | null;
  readonly json: boolean;
}

/** @throws {TypeError | RangeError} When an option is unknown or its value is not usable. */
export function parseOptions(args: readonly string[]): Options {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: text,
      minutes: text,
      hours: text,
      broker: { type: "string", default: "memory" },
      clients: { type: "string", default: "60" },
      seed: text,
      leak: { type: "string", default: "0" },
      executable: text,
      json: { type: "boolean", default: false },
    },
  });
  const { seconds, minutes, hours, broker } = values;
  if (broker !== "memory" && broker !== "sqlite") {
    throw new RangeError(`--broker takes memory or sqlite, not "${broker}"`);
  }
  const duration =
    number("seconds", seconds ?? "0") +
    number("minutes", minutes ?? "0") * 60 +
    number("hours", hours ?? "0") * 3600;
  return {
    seconds: duration || 120,
    broker,
    clients: number("clients", values.clients),
    seed: number("seed", values.seed ?? String(Date.now() % 1_000_000)),
    leak: number("leak", values.leak),
    executable: values.executable ?? null,
    json: values.json,
  };
}

function number(option: string, value: string): number {
  if (/^\d{1,9}(\.\d+)?$/.test(value)) return Number(value);
  throw new RangeError(`--${option} takes a number, not "${value}"`);
}
