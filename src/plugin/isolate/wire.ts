/** What the server's thread and a plugin's worker say to each other. */
import type { Trail } from "../../channel/trail.ts";
import type { AccessRequest, Draft, Emitted } from "../sdk.ts";
import type { WireError } from "./wire-error.ts";
import type { WireResult } from "./wire-drafts.ts";

/** What a worker starts with. */
export interface Start {
  /** A name that ships, or the absolute path of a file. */
  readonly use: string;
  readonly options: unknown;
  readonly channel: { readonly name: string; readonly params: Readonly<Record<string, string>> };
  readonly directory: string;
  readonly timeoutMs: number;
  /** Bytes. */
  readonly memory: number;
  /** Of the files that the server has loaded: see `LoadedPlugin`. */
  readonly version: string | null;
  /** What the server has taken: see `Taken`. */
  readonly taken: SharedArrayBuffer;
}

/** A client; the fields are there the first time that a worker hears of it. */
export interface WireClient {
  readonly handle: number;
  readonly about?: {
    readonly id: string;
    readonly transport: string;
    readonly address: string;
    readonly headers: readonly (readonly [string, string])[];
    readonly query: string;
  };
}

export type WireRequest = Omit<AccessRequest, "headers" | "cookies" | "query"> & {
  readonly headers: readonly (readonly [string, string])[];
  readonly cookies: readonly (readonly [string, string])[];
  readonly query: string;
};

/** One call of a hook, or of what stands for one. */
export type Call =
  | { readonly hook: "setup"; readonly start: Start }
  | { readonly hook: "receive"; readonly client: WireClient; readonly args: readonly unknown[] }
  | { readonly hook: "joined" | "left"; readonly client: WireClient }
  | { readonly hook: "authorize"; readonly request: WireRequest }
  | { readonly hook: "sink"; readonly messages: readonly unknown[] }
  | { readonly hook: "source"; readonly run: number; readonly step: "next" | "return" }
  | { readonly hook: "emit"; readonly produce: number }
  | { readonly hook: "transform"; readonly drafts: readonly Draft[] }
  | { readonly hook: "close" };

/** To the worker. Text is a call of `transform`: see `encodeDrafts`. */
export type ToGuest =
  | string
  | { readonly say: "call"; readonly id: number; readonly trail: Trail | null; readonly call: Call }
  | { readonly say: "abort" | "ping" }
  | { readonly say: "credit" }
  /** To evaluate a plugin's file, no more: see `probe`. */
  | { readonly say: "probe"; readonly file: string }
  /** To watch over the thread that loads plugins, and the file that it loads: see `LoadWatch`. */
  | { readonly say: "watch"; readonly beats: SharedArrayBuffer }
  | { readonly say: "watch load"; readonly file: string | null }
  | { readonly say: "forget"; readonly handle: number }
  | { readonly say: "answer"; readonly id: number; readonly value: unknown }
  | { readonly say: "failure"; readonly id: number; readonly error: WireError };

/** What a worker asks of the server. */
export type Ask =
  | {
      readonly what: "store";
      readonly method: "get" | "set" | "delete" | "entries";
      readonly args: readonly unknown[];
    }
  | { readonly what: "publish"; readonly channel: string; readonly drafts: Emitted };

/** From the worker. Text is the answer of a call of `transform`: see `encodeResults`. */
export type ToHost =
  | string
  | { readonly say: "answer"; readonly id: number; readonly value: unknown }
  | { readonly say: "failure"; readonly id: number; readonly error: WireError }
  | { readonly say: "transformed"; readonly id: number; readonly results: readonly WireResult[] }
  /** Its file is not what the server has loaded. */
  | { readonly say: "changed" }
  | { readonly say: "loaded" }
  /** The file of a probe is evaluated, or has thrown. */
  | { readonly say: "probed" }
  | { readonly say: "alive"; readonly heap: number }
  | { readonly say: "ask"; readonly id: number; readonly trail: Trail | null; readonly ask: Ask }
  | {
      readonly say: "emit";
      readonly trail: Trail | null;
      /** Drafts, or the number of a function that gives them. */
      readonly emitted: { readonly drafts: Emitted } | { readonly produce: number };
    }
  | { readonly say: "send"; readonly handle: number; readonly args: readonly unknown[] }
  | { readonly say: "hang up"; readonly handle: number; readonly args: readonly unknown[] }
  | {
      readonly say: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>> | undefined;
      /** Fields that are errors, by their names. */
      readonly errors: Readonly<Record<string, WireError>>;
    };

/** Functions and drafts given to `emit` that may wait for the server. */
export const MAX_EMITTED = 1000;
