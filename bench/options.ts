/** The bench's command line. */
import { parseArgs } from "node:util";
import { SERVERS, type ServerName } from "./servers.ts";
import { TRANSPORTS, type Transport } from "./spec.ts";

export const USAGE = `usage: npm run bench -- [options]
  --only websocket,sse            transports, and "plugins" (default: all)
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
  readonly servers: readonly ServerName[];
  readonly seconds: number;
  readonly subscribers: number;
  readonly connections: number;
  readonly rate: number;
  readonly publishers: number;
  readonly pipeline: number;
  readonly json: boolean;
}

const SECTIONS = [...TRANSPORTS, "plugins"] as const;

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
    transports: only.filter((section) => section !== "plugins"),
    plugins: only.includes("plugins"),
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

function list<T extends string>(option: string, value: string, known: readonly T[]): T[] {
  return value.split(",").map((name) => {
    const match = known.find((candidate) => candidate === name);
    if (match) return match;
    throw new RangeError(`--${option} does not know "${name}"; it knows ${known.join(", ")}`);
  });
}

function count(option: string, value: string): number {
  if (/^[1-9]\d{0,6}$/.test(value)) return Number(value);
  throw new RangeError(`--${option} takes a whole number from 1, not "${value}"`);
}
