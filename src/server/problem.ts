/** Errors as `application/problem+json` (RFC 9457). */
import { ChannelError, PositionError, SchemaError, StateFullError } from "../channel/errors.ts";
import type { Log } from "../log.ts";
import { PluginError } from "../plugin/errors.ts";
import { WorkerDownError } from "../plugin/isolate/worker-errors.ts";
import { RefusedError } from "../plugin/refused-error.ts";
import { CLOSE, RequestError } from "../transport/errors.ts";

/** Writes an error as a response; `type` is stable, `detail` is for a person. */
export function problem(error: RequestError): Response {
  const body = {
    type: `urn:tidewire:problem:${error.code}`,
    title: error.code.replaceAll("-", " "),
    status: error.status,
    detail: error.message,
    ...error.extra,
  };
  return new Response(JSON.stringify(body), {
    status: error.status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      ...error.headers,
    },
  });
}

/** What went wrong, as what the client is told: an unknown error tells it nothing of the inside. */
export function toRequestError(error: unknown, log: Log): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof SchemaError) {
    return new RequestError(422, "schema", error.message, { extra: { errors: error.errors } });
  }
  if (error instanceof PositionError) {
    const { code, message, expected, position } = error;
    return new RequestError(409, code, message, { extra: { expected, position } });
  }
  if (error instanceof StateFullError) {
    const { code, message, keys, bytes } = error;
    return new RequestError(409, code, message, { extra: { keys, bytes } });
  }
  if (error instanceof ChannelError) {
    const retry = { headers: { "retry-after": "1" }, closeCode: CLOSE.tryLater };
    switch (error.code) {
      case "too-large":
        return new RequestError(413, "too-large", error.message, { closeCode: CLOSE.tooBig });
      case "overloaded":
        return new RequestError(503, "overloaded", error.message, retry);
      case "closed":
        return new RequestError(503, "closed", error.message, retry);
      case "storage":
        return new RequestError(503, "storage-failed", error.message, {
          ...retry,
          headers: { "retry-after": "5" },
        });
      default:
        return new RequestError(400, error.code, error.message);
    }
  }
  if (error instanceof RefusedError) {
    return new RequestError(403, "refused", error.message, { closeCode: CLOSE.forbidden });
  }
  if (error instanceof PluginError && error.cause instanceof WorkerDownError) {
    const detail = "a plugin of the channel has failed and is started again; try again later";
    return new RequestError(503, "plugin-unavailable", detail, {
      headers: { "retry-after": "1" },
      closeCode: CLOSE.tryLater,
    });
  }
  if (error instanceof PluginError) {
    // Counted and logged where it happened. What it says is of the inside.
    const detail = "a plugin of the channel failed at this message; the server's log says why";
    return new RequestError(500, "plugin-failed", detail, { closeCode: CLOSE.internal });
  }
  log.error("a request failed", { error });
  return new RequestError(500, "internal", "the server failed at this request; its log says why", {
    closeCode: CLOSE.internal,
  });
}

export function methodNotAllowed(method: string, allowed: readonly string[]): RequestError {
  return new RequestError(
    405,
    "method-not-allowed",
    `${method} is not allowed here; allowed are ${allowed.join(", ")}`,
    { headers: { allow: allowed.join(", ") } },
  );
}

/** A name may have kilobytes: the answer quotes its beginning. */
export function unknownChannel(name: string, extra: Record<string, unknown> = {}): RequestError {
  const quoted = JSON.stringify(name.slice(0, 200));
  return new RequestError(404, "unknown-channel", `there is no channel ${quoted}`, { extra });
}

export function notReady(): RequestError {
  return new RequestError(503, "not-ready", "the server starts or stops; try again", {
    headers: { "retry-after": "1" },
    closeCode: CLOSE.tryLater,
  });
}
