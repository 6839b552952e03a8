/**
 * POSTs what was committed to a URL, in order and in batches, and tries again where that can help.
 * Over 300 lines because a plugin that ships is one file.
 */
import { createHmac, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { definePlugin, duration, OptionError, parseDuration, t } from "tidewire";
import type { CommittedMessage, Logger, Static } from "tidewire";

const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 60_000;
/** The longest wait that the receiver may ask for by Retry-After. */
const MAX_RETRY_AFTER_MS = 60 * 60_000;

const options = t.Object({
  url: t.String({
    pattern: "^https?://",
    description:
      "Where to POST. The body is a JSON array of messages: id, channel, time (ms since 1970), event, " +
      'key, data; bytes are base64 with "encoding": "base64". Redirects are not followed.',
    examples: ["https://example.com/hooks/prices"],
  }),
  headers: t.Record(t.String(), t.String(), {
    default: {},
    description: "Headers of the request.",
    examples: [{ authorization: "Bearer ${HOOK_TOKEN}" }],
  }),
  secret: t.Optional(
    t.String({
      minLength: 1,
      description:
        "Signs each request as Standard Webhooks has it: headers webhook-id, webhook-timestamp and " +
        'webhook-signature, which is "v1," and the base64 HMAC-SHA256 of "<id>.<timestamp>.<body>". ' +
        'A secret that starts with "whsec_" is base64 after that; any other is the key as it is.',
      examples: ["${WEBHOOK_SECRET}"],
    }),
  ),
  timeout: duration({ default: "10s", description: "Time that one request may take." }),
  max_batch: t.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 100,
    description: "Messages in one request at most.",
  }),
  max_batch_bytes: t.Integer({
    minimum: 1,
    default: 1024 * 1024,
    description: "Bytes of one request's body at most, unless a single message has more.",
  }),
  max_wait: duration({
    default: "0ms",
    description: "How long a batch that is not full waits for more messages.",
  }),
  queue: t.Integer({
    minimum: 1,
    default: 10_000,
    description: "Messages that may wait. Over it, the oldest is dropped, and that is logged.",
  }),
  queue_bytes: t.Integer({
    minimum: 1,
    default: 16 * 1024 * 1024,
    description: "Bytes that may wait, as JSON. Over it, the oldest message is dropped.",
  }),
  give_up_after: duration({
    default: "10m",
    description: "How long one batch is tried before it is dropped and the next has its turn.",
  }),
  drain: duration({
    default: "4s",
    description:
      "How long a stop of the channel waits for what is in the queue; plugins get 5s at most.",
  }),
});

export default definePlugin({
  name: "webhook",
  options,
  check,
  setup({ options, log }) {
    check(options);
    const sender = new Sender(options, log);
    return {
      sink: (messages) => sender.add(messages),
      close: () => sender.close(),
    };
  },
});

/** @throws {OptionError} When the URL, a header, the secret or the timeout can't work. */
function check({ url, headers, secret, timeout }: Static<typeof options>): void {
  parseUrl(url);
  checkHeaders(headers);
  if (secret !== undefined) parseSecret(secret);
  if (parseDuration(timeout) < 1) {
    throw new OptionError("timeout", `timeout is "${timeout}"; it must be at least 1ms`);
  }
}

/** How one request went. */
type Outcome =
  | { readonly is: "done" }
  /** The receiver will not take it: trying again can't help. */
  | { readonly is: "refused"; readonly reason: string }
  | { readonly is: "failed"; readonly reason: string; readonly retryAfterMs: number };

class Sender {
  readonly #options: Static<typeof options>;
  readonly #log: Logger;
  readonly #url: URL;
  readonly #key: Buffer | null;
  readonly #timeoutMs: number;
  readonly #maxWaitMs: number;
  readonly #giveUpMs: number;
  /** Messages as JSON text, oldest first. */
  #queue: { readonly json: string; readonly bytes: number }[] = [];
  #queueBytes = 0;
  #worker: Promise<void> | null = null;
  /** Ends the wait for a fuller batch. */
  #full: (() => void) | null = null;
  readonly #end = new AbortController();
  #closing = false;
  /** What went wrong since the last request that went well: told once, and summed up at its end. */
  readonly #lost = { overflow: 0, refused: 0, gaveUp: 0 };
  #failing = false;

  constructor(given: Static<typeof options>, log: Logger) {
    this.#options = given;
    this.#log = log;
    this.#url = parseUrl(given.url);
    this.#key = given.secret === undefined ? null : parseSecret(given.secret);
    this.#timeoutMs = parseDuration(given.timeout);
    this.#maxWaitMs = parseDuration(given.max_wait);
    this.#giveUpMs = parseDuration(given.give_up_after);
  }

  add(messages: readonly CommittedMessage[]): void {
    for (const message of messages) {
      // As JSON right away: the bytes that wait are known and bounded.
      const json = toJson(message);
      const bytes = Buffer.byteLength(json);
      this.#queue.push({ json, bytes });
      this.#queueBytes += bytes;
    }
    this.#shrink();
    if (this.#queue.length >= this.#options.max_batch) this.#full?.();
    if (this.#queue.length > 0) this.#worker ??= this.#work();
  }

  /** Sends what waits, for a bounded time, and tells what could not be sent. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#full?.();
    const timer = setTimeout(() => this.#end.abort(), parseDuration(this.#options.drain));
    await this.#worker;
    clearTimeout(timer);
    this.#sumUp(this.#failing ? "error" : "info");
  }

  #shrink(): void {
    const { queue, queue_bytes: queueBytes } = this.#options;
    let drop = 0;
    while (this.#queue.length - drop > queue || this.#queueBytes > queueBytes) {
      const oldest = this.#queue[drop];
      // One message alone may be over the limit: the newest is never dropped for its size.
      if (!oldest || drop === this.#queue.length - 1) break;
      this.#queueBytes -= oldest.bytes;
      drop++;
    }
    if (drop === 0) return;
    this.#queue.splice(0, drop);
    this.#lose("overflow", drop, "queue is full; the oldest messages are dropped");
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0) {
      if (this.#end.signal.aborted) {
        this.#lose(
          "gaveUp",
          this.#queue.length,
          "channel stops; messages in the queue are dropped",
        );
        this.#queue = [];
        break;
      }
      await this.#fill();
      await this.#deliver(this.#take());
    }
    // In the turn that found the queue empty: what is added from now on starts another.
    this.#worker = null;
  }

  /** Waits until a batch is full, for `max_wait` at most. */
  async #fill(): Promise<void> {
    const isFull = this.#queue.length >= this.#options.max_batch;
    if (this.#maxWaitMs === 0 || isFull || this.#closing) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#full = resolve;
    const timer = setTimeout(resolve, this.#maxWaitMs);
    await promise;
    clearTimeout(timer);
    this.#full = null;
  }

  #take(): string[] {
    const { max_batch: maxBatch, max_batch_bytes: maxBytes } = this.#options;
    let count = 0;
    // The brackets, and a comma after each message.
    let bytes = 2;
    while (count < this.#queue.length && count < maxBatch) {
      bytes += this.#queue[count]!.bytes + 1;
      if (count > 0 && bytes > maxBytes) break;
      count++;
    }
    const batch = this.#queue.splice(0, count);
    for (const message of batch) this.#queueBytes -= message.bytes;
    return batch.map((message) => message.json);
  }

  async #deliver(batch: readonly string[]): Promise<void> {
    const body = `[${batch.join(",")}]`;
    const id = randomUUID();
    const giveUpAt = performance.now() + this.#giveUpMs;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#post(id, body);
      if (outcome.is === "done") return this.#recover();
      if (outcome.is === "refused") {
        return this.#lose("refused", batch.length, `receiver refused: ${outcome.reason}`);
      }
      if (!this.#failing) {
        this.#failing = true;
        this.#log.warn(`can't deliver; trying again: ${outcome.reason}`, { url: this.#shown });
      }
      const waitMs = Math.max(backoffMs(attempt), outcome.retryAfterMs);
      if (this.#end.signal.aborted || performance.now() + waitMs > giveUpAt) {
        const why = this.#end.signal.aborted ? "channel stops" : "give_up_after is over";
        return this.#lose(
          "gaveUp",
          batch.length,
          `${why}; messages are dropped: ${outcome.reason}`,
        );
      }
      await sleep(waitMs, undefined, { signal: this.#end.signal }).catch(() => {});
    }
  }

  async #post(id: string, body: string): Promise<Outcome> {
    const limit = new AbortController();
    const abort = () => limit.abort();
    const timer = setTimeout(abort, this.#timeoutMs);
    this.#end.signal.addEventListener("abort", abort, { once: true });
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: merge(
          { "content-type": "application/json" },
          this.#options.headers,
          sign(this.#key, id, body),
        ),
        body,
        redirect: "manual",
        signal: limit.signal,
      });
      await response.body?.cancel();
      return judge(response);
    } catch (error) {
      const reason = limit.signal.aborted
        ? `no answer within ${this.#options.timeout}`
        : (error as Error).message;
      return { is: "failed", reason, retryAfterMs: 0 };
    } finally {
      clearTimeout(timer);
      this.#end.signal.removeEventListener("abort", abort);
    }
  }

  /** Counts lost messages; the first of each kind since all went well is logged. */
  #lose(kind: "overflow" | "refused" | "gaveUp", count: number, message: string): void {
    if (this.#lost[kind] === 0) this.#log.error(message, { url: this.#shown, count });
    this.#lost[kind] += count;
  }

  #recover(): void {
    if (this.#failing) this.#log.info("delivers again", { url: this.#shown });
    this.#failing = false;
    // While the queue still overflows, the episode goes on: a receiver that is too slow.
    if (this.#queue.length * 2 <= this.#options.queue) this.#sumUp("info");
  }

  #sumUp(level: "info" | "error"): void {
    const { overflow, refused, gaveUp } = this.#lost;
    const lost = overflow + refused + gaveUp;
    if (lost === 0) return;
    this.#log[level]("messages were lost", { url: this.#shown, lost, overflow, refused, gaveUp });
    Object.assign(this.#lost, { overflow: 0, refused: 0, gaveUp: 0 });
  }

  /** Without query and credentials, which may be secret. */
  get #shown(): string {
    return this.#url.origin + this.#url.pathname;
  }
}

/** 408, 429 and 5xx may pass; any other answer but 2xx would be the same again. */
function judge(response: Response): Outcome {
  const { status, headers, ok } = response;
  if (ok) return { is: "done" };
  const reason = `status ${status}`;
  if (status !== 408 && status !== 429 && status < 500) return { is: "refused", reason };
  return { is: "failed", reason, retryAfterMs: retryAfterMs(headers.get("retry-after")) };
}

/** Seconds or a date. @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 */
function retryAfterMs(value: string | null): number {
  if (value === null) return 0;
  const ms = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS);
}

/** Doubles with each attempt up to a cap; a random part keeps many senders from coming at once. */
function backoffMs(attempt: number): number {
  const ms = FIRST_BACKOFF_MS * 2 ** Math.min(attempt - 1, 30);
  return Math.min(MAX_BACKOFF_MS, ms) * (0.5 + Math.random() / 2);
}

function toJson(message: CommittedMessage): string {
  const { id, channel, time, event, key, data } = message;
  if (!(data instanceof Uint8Array)) return JSON.stringify({ id, channel, time, event, key, data });
  const text = Buffer.from(data).toString("base64");
  return JSON.stringify({ id, channel, time, event, key, data: text, encoding: "base64" });
}

/** Later ones win, whatever the case of their names. */
function merge(...groups: readonly Record<string, string>[]): Headers {
  const headers = new Headers();
  for (const group of groups) {
    for (const [name, value] of Object.entries(group)) headers.set(name, value);
  }
  return headers;
}

/** @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
function sign(key: Buffer | null, id: string, body: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const headers = { "webhook-id": id, "webhook-timestamp": timestamp };
  if (key === null) return headers;
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return { ...headers, "webhook-signature": `v1,${signature}` };
}

/** @throws {OptionError} For what HTTP does not let into a header (RFC 9110 §5.1, §5.5); the value stays out of it. */
function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    const option = `/headers/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw new OptionError(option, `${JSON.stringify(name)} is not the name of a header`);
    }
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value.trim())) {
      const message = `the header ${name} has a line end or another character that no header can have`;
      throw new OptionError(option, message);
    }
  }
}

function parseSecret(secret: string): Buffer {
  if (!secret.startsWith("whsec_")) return Buffer.from(secret);
  const text = secret.slice("whsec_".length);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) {
    throw new OptionError("secret", "secret starts with whsec_, but what follows is not base64");
  }
  return Buffer.from(text, "base64");
}

function parseUrl(text: string): URL {
  try {
    return new URL(text);
  } catch {
    throw new OptionError(
      "url",
      `url is "${text}"; write a URL such as "https://example.com/hook"`,
    );
  }
}
