/** A test of a channel, as `tests:` in YAML means it. */
import type { Place } from "../diagnostic/diagnostic.ts";
import type { Expected } from "./expected.ts";

/** One entry of `tests:`. */
export interface ChannelTest {
  readonly name: string;
  /** The file that it is in, as the user named it. */
  readonly file: string;
  /** Where its name stands. */
  readonly place: Place;
  /** The channel's name: `chat/lobby`. */
  readonly channel: string;
  /** When the test's time begins, milliseconds since the epoch; null for the usual start. */
  readonly nowMs: number | null;
  /** Whether `source` hooks run. */
  readonly sources: boolean;
  /** Whether `sink` hooks get what is committed. */
  readonly sinks: boolean;
  readonly feed: readonly Step[];
  readonly expect: readonly ExpectedMessage[];
  /** Where `expect:` stands. */
  readonly expectPlace: Place;
}

/** One entry of `feed:`. */
export type Step = (PublishStep | ReceiveStep | WaitStep) & { readonly place: Place };

/** Published as the control listener does. */
export interface PublishStep {
  readonly kind: "publish";
  readonly data: unknown;
  readonly event: string | undefined;
  readonly key: string | undefined;
  /** The code of the refusal that is expected, or null. */
  readonly refused: string | null;
}

/** Sent by a client: `authorize` and `receive` hooks see it. */
export interface ReceiveStep extends Omit<PublishStep, "kind"> {
  readonly kind: "receive";
  readonly from: Sender;
  /** What the client has to be sent back; null where the test does not say. */
  readonly answers: { readonly expected: readonly Expected[]; readonly place: Place } | null;
}

export interface Sender {
  readonly transport: "websocket" | "post";
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly address: string;
}

/** Time passes. */
export interface WaitStep {
  readonly kind: "wait";
  readonly ms: number;
}

/** One entry of `expect:`. */
export interface ExpectedMessage {
  readonly place: Place;
  /** The channel that it is seen in. */
  readonly channel: string;
  /** null: any data. */
  readonly data: Expected | null;
  /** A message without an event is expected as null. */
  readonly event: Expected | null;
  /** null: any key, or none. */
  readonly key: Expected | null;
}
