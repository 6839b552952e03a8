/** The bench's command line. */
import { parseArgs } from "node:util";
import { SERVERS, type ServerName } from "./servers.ts";
import { TRANSPORTS, type Transport } from "./spec.ts";

export const USAGE = `usage: npm run bench -- [options]
  --only websocket,sse            transports, "plugins" and "sqlite" (default: all)
  --servers tidewire,bare,nchan   servers (default: all)
  --secs 5                        seconds of each measurement
  --subs 1000                     subscribers while messages flow
  --conns 10000                   connections while memory is measured (HTTP/2: a tenth)
  --rate 50                       messages a second while CPU is measured (HTTP/2: a fifth)
  --publishers 64                 connections that publish, when saturated
  --pipeline 1                    publishes under way on each of them
  --json                          prints JSON in place of the table`;

export interface Options {
  readonly transports: readonly Transport[];
  /** Whether to measure what plugins cost. */
  readonly plugins: boolean;
  /** Whether to measure publishing, with the sqlite broker and beside SQLite itself. */
  readonly sqlite: boolean;
  readonly servers: readonly ServerName[];
  readonly seconds: number;
  readonly subscribers: number;
  readonly connections: number;
  readonly rate: number;
  readonly publishers: number;
  readonly pipeline: number;
  readonly json: boolean;
}

const SECTIONS = [...TRANSPORTS, "plugins", "sqlite"] as const;

/** @throws {TypeError | RangeError} When an option is unknown or its value is not usable. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: SECTIONS.join(",") },
      servers: { type: "string", default: Object.keys(SERVERS).join(",") },
      secs: { type: "string", default: "5" },
      subs: { type: "string", default: "1000" },
      conns: { type: "string", default: "10000" },
      rate: { type: "string", default: "50" },
      publishers: { type: "string", default: "64" },
      pipeline: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
    },
  });
  const only = list("only", values.only, SECTIONS);
  return {
    transports: only.filter((section) => section !== "plugins" && section !== "sqlite"),
    plugins: only.includes("plugins"),
    sqlite: only.includes("sqlite"),
    servers: list("servers", values.servers, Object.keys(SERVERS) as ServerName[]),
    seconds: count("secs", values.secs),
    subscribers: count("subs", values.subs),
    connections: count("conns", values.conns),
    rate: count("rate", values.rate),
    publishers: count("publishers", values.publishers),
    pipeline: count("pipeline", values.pipeline),
    json: values.json,
  };
}

/** @throws {RangeError} When a name of the list is not known. */
export function list<T extends string>(option: string, value: string, known: readonly T[]): T[] {
  return value.split(",").map((name) => {
    const match = known.find((candidate) => candidate === name);
    if (match) return match;
    throw new RangeError(`--${option} does not know "${name}"; it knows ${known.join(", ")}`);
  });
}

/** @throws {RangeError} When it is not a whole number, or too small. */
export function count(option: string, value: string, least = 1): number {
  if (/^\d{1,7}$/.test(value) && Number(value) >= least) return Number(value);
  throw new RangeError(`--${option} takes a whole number from ${least}, not "${value}"`);
}
