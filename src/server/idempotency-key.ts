/** The `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header-07), and what it is unique in. */
import { RequestError } from "../transport/errors.ts";

const MAX_LENGTH = 255;
/** A String of RFC 8941 §3.3.3; parameters behind it (§3.1.2) have no meaning here. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"(?: *;.*)?$/;
/** What many clients send in its place, such as a UUID as it is. */
const BARE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]+$/;

/**
 * @returns null where the request has none.
 * @throws {RequestError} 400 when it is not a string, empty or too long.
 */
export function readIdempotencyKey(headers: Headers): string | null {
  const text = headers.get("idempotency-key");
  if (text === null) return null;
  const quoted = QUOTED.exec(text)?.[1];
  const key = quoted === undefined ? BARE.exec(text)?.[0] : quoted.replace(/\\(["\\])/g, "$1");
  return checkIdempotencyKey(key ?? "", `Idempotency-Key is ${JSON.stringify(text.slice(0, 80))}`);
}

/** @param what What it is, for the error. */
export function checkIdempotencyKey(key: string, what: string): string {
  if (key.length > 0 && key.length <= MAX_LENGTH) return key;
  throw new RequestError(
    400,
    "bad-idempotency-key",
    `${what}; it must be a string of 1 to ${MAX_LENGTH} characters, one of a kind for each publish, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"`,
  );
}

/**
 * A client's key as it is kept: by the credentials that it came with, so that nobody is answered what
 * another published. Who has none shares them with all others that have none.
 */
export function keyOfClient(headers: Headers, key: string): string {
  const credentials = headers.get("authorization");
  return `client/${credentials === null ? "" : hash([credentials]).slice(0, 22)}/${key}`;
}

/** A key of the control listener; the messages of one request are told apart by their place in it. */
export function keyOfControl(key: string, index: number): string {
  return `control/${index}/${key}`;
}

/** Tells one publish from another with the same key. */
export function fingerprintOf(
  kind: string,
  names: { readonly event?: string | undefined; readonly key?: string | undefined },
  body: string | Uint8Array,
): string {
  return hash([kind, names.event ?? "", names.key ?? "", body]);
}

function hash(parts: readonly (string | Uint8Array)[]): string {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const part of parts) {
    // With its length before it: two parts must not pass for one that is as long as both.
    const length = typeof part === "string" ? Buffer.byteLength(part) : part.byteLength;
    hasher.update(`${length}:`).update(part);
  }
  return hasher.digest("base64url");
}
