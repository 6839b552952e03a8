/** Reads a request's body, never more of it than is allowed, and not for longer. */
import { RequestError } from "../transport/errors.ts";
import { within } from "./body-time.ts";

/** What a timer can wait for at most. */
const MAX_MS = 2 ** 31 - 1;

/** How slowly a body may come: it has `timeMs`, and a second more for each `rate` bytes. */
export interface Pace {
  readonly timeMs: number;
  readonly rate: number;
}

/** Lets a request take longer than its listener's idle timeout; that many seconds, 0 is for ever. */
export type Hold = (seconds: number) => void;

/** A body that may take longer keeps the listener from ending its connection meanwhile. */
const HOLD_OVER_MS = 60_000;
/** Seconds of a listener's own idle timeout, for when the body is there. */
const IDLE_S = 90;

/**
 * @throws {RequestError} 413 when the body has more than `limit` bytes, 408 when it comes too slowly, 400
 *   when it breaks off.
 */
export async function readBody(
  request: Request,
  limit: number,
  pace: Pace | null = null,
  hold: Hold | null = null,
): Promise<Uint8Array> {
  const length = request.headers.get("content-length");
  // HTTP/2 lets anything stand there: what is no number is measured as it comes.
  const declared = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : null;
  if (declared !== null && declared > limit) throw tooLarge(limit);
  // The idle timeout of `Bun.serve` ends a body under way too, however fast it comes.
  const isHeld = pace && hold && msFor(declared ?? limit, pace) > HOLD_OVER_MS;
  if (isHeld) hold(0);
  try {
    if (declared === null) return await readChunks(request, limit, pace);
    const whole = request.arrayBuffer();
    return new Uint8Array(await (pace ? inTime(whole, declared, pace) : whole));
  } catch (error) {
    if (error instanceof RequestError) throw error;
    // Reading fails for one reason: the client left. It is nothing that an operator could act on.
    throw new RequestError(400, "incomplete-body", "the connection ended before the body did");
  } finally {
    if (isHeld) hold(IDLE_S);
  }
}

/** A body that says how long it is: how long it may take is known from the start. */
function inTime<T>(whole: Promise<T>, bytes: number, pace: Pace): Promise<T> {
  return within(Math.min(msFor(bytes, pace), MAX_MS), whole, () => tooSlow(pace));
}

async function readChunks(
  { body }: Request,
  limit: number,
  pace: Pace | null,
): Promise<Uint8Array> {
  if (body === null) return new Uint8Array(0);
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  const since = performance.now();
  let size = 0;
  try {
    for (;;) {
      const chunk = reader.read();
      const { value } = await (pace ? beforeItsTime(chunk, since, size, pace) : chunk);
      if (value === undefined) break;
      size += value.byteLength;
      if (size > limit) throw tooLarge(limit);
      chunks.push(value);
    }
  } catch (error) {
    void reader.cancel().catch(() => {});
    throw error;
  }
  return chunks.length === 1 ? chunks[0]! : new Uint8Array(Buffer.concat(chunks));
}

/** Each chunk gives the next ones time by its length: a byte a second gives next to none. */
function beforeItsTime<T>(chunk: Promise<T>, since: number, size: number, pace: Pace): Promise<T> {
  const leftMs = since + msFor(size, pace) - performance.now();
  return inTime(chunk, 0, { ...pace, timeMs: Math.max(0, leftMs) }).catch((error) => {
    throw error instanceof RequestError ? tooSlow(pace) : error;
  });
}

function msFor(bytes: number, { timeMs, rate }: Pace): number {
  return timeMs + (bytes / rate) * 1000;
}

function tooLarge(limit: number): RequestError {
  // What is left of the body is not read: the connection can't be used again.
  return new RequestError(413, "too-large", `the body has more than ${limit} bytes`, {
    headers: { connection: "close" },
  });
}

function tooSlow({ timeMs, rate }: Pace): RequestError {
  return new RequestError(
    408,
    "body-too-slow",
    `the body came too slowly: it has ${timeMs / 1000} s, and a second more for each ${rate} bytes`,
    { headers: { connection: "close" } },
  );
}
