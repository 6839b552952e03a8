/** A request or frame that can't be served. The server writes it as problem+json or as a close code. */

export class RequestError extends Error {
  /** HTTP status (RFC 9110 §15). */
  readonly status: number;
  /** Stable, kebab-case: the last part of the problem's `type`, and the `code` of an error frame. */
  readonly code: string;
  /** WebSocket close code where a raw socket has no other way to be told (RFC 6455 §7.4). */
  readonly closeCode: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Further members of the problem (RFC 9457 §3.2). */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    options: {
      closeCode?: number;
      headers?: Record<string, string>;
      extra?: Record<string, unknown>;
    } = {},
  ) {
    super(detail);
    this.name = "RequestError";
    this.status = status;
    this.code = code;
    this.closeCode = options.closeCode ?? 1008;
    this.headers = options.headers ?? {};
    this.extra = options.extra ?? {};
  }
}

/** WebSocket close codes that Tidewire sends (DESIGN §5), with what a client does about each. */
export const CLOSE = {
  /** The server stops: come back, here or at another node. */
  goingAway: 1001,
  /** The last frame was refused; the reason says why. */
  refused: 1008,
  /** The last frame was over `limits.message`. */
  tooBig: 1009,
  /** An error of the server's; come back later. */
  internal: 1011,
  /** More frames than the channel's plugins keep up with; come back later. */
  tryLater: 1013,
  /** The channel takes no messages from this client. */
  forbidden: 4003,
  /** The channel was taken out of the config: there is nothing to come back to. */
  gone: 4004,
  /** It publishes faster than a client may, or its address holds too many connections: come back later. */
  rateLimited: 4029,
  /** A raw socket showed a position after which messages are lost: come back with another start. */
  gap: 4010,
  /** The client read too slowly: come back with the last position, nothing is lost. */
  slowConsumer: 4008,
} as const;
