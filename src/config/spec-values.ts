/** The values that stand in a config: durations, sizes, addresses, paths, origins, files. */
import { Type as t, type ObjectOptions, type TObject, type TProperties } from "@sinclair/typebox";
import { parsePath } from "../channel/directory.ts";
import { parseAddress, parseTcpAddress } from "./address.ts";
import { readDuration, readSize, type Bounds } from "./amount.ts";
import { refuseForeignParameter } from "./foreign-parameter.ts";
import { choice, MayBeEmpty, Noun, parsed } from "./kinds.ts";
import { Refusal } from "./refusal.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

interface AmountOptions extends Partial<Bounds> {
  readonly description: string;
  readonly default?: string;
  /** For messages and editors, where there is no default. */
  readonly example?: string;
}

/** A duration, decoded into milliseconds. */
export function duration({ min = "0ms", max = "3650d", example, ...options }: AmountOptions) {
  const shown = options.default ?? example ?? "10m";
  return parsed((text) => readDuration(text, { min, max }), {
    ...options,
    description: `${options.description} ${min} to ${max}.`,
    noun: `a duration such as "${shown}"`,
    code: "bad-duration",
    pattern: "^\\d+(\\.\\d+)?(ms|s|m|h|d)$",
    examples: [shown],
  });
}

/** A size, decoded into bytes. */
export function size({ min = "1B", max = "1GiB", example, ...options }: AmountOptions) {
  const shown = options.default ?? example ?? "64KiB";
  return parsed((text) => readSize(text, { min, max }), {
    ...options,
    description: `${options.description} ${min} to ${max}.`,
    noun: `a size such as "${shown}"`,
    code: "bad-size",
    pattern: "^\\d+(\\.\\d+)?(B|KiB|MiB|GiB)$",
    examples: [shown],
  });
}

const TCP_PATTERN = "(\\[[0-9A-Fa-f:.]+\\]|[^\\s:/\\[\\]]*):\\d{1,5}";

export function tcpAddress(options: { readonly description: string; readonly default?: string }) {
  return parsed(parseTcpAddress, {
    ...options,
    noun: `an address such as "127.0.0.1:8080"`,
    code: "bad-address",
    pattern: `^${TCP_PATTERN}$`,
    examples: ["127.0.0.1:8080", ":8080", "[::1]:8080"],
  });
}

export function address(options: { readonly description: string }) {
  return parsed(parseAddress, {
    ...options,
    noun: `an address such as "127.0.0.1:9090" or "unix:/run/tidewire.sock"`,
    code: "bad-address",
    pattern: `^(unix:/.+|${TCP_PATTERN})$`,
    examples: ["127.0.0.1:9090", "unix:/run/tidewire.sock"],
  });
}

// As `parsePattern` takes them: no control characters, spaces or ? # % \, and braces around whole segments.
// What other routers write as parameters, :room and *, is refused beside that.
const SEGMENT =
  "(\\{[A-Za-z_][A-Za-z0-9_]*\\}|(?!:|\\.{1,2}(/|$))[^*{}\\u0000-\\u0020\\u007f/?#%\\\\]+)";
/** What a channel's name looks like, as a regular expression for editors. */
export const NAME_PATTERN = `^${SEGMENT}(/${SEGMENT})*$`;

/** A URL path that a channel is served at, decoded into its pattern. */
export function path(options: { readonly description: string }) {
  return parsed((text) => parsePath(refuseForeignParameter(text)), {
    ...options,
    noun: `a path such as "/events"`,
    code: "bad-path",
    pattern: `^/(${SEGMENT}(/${SEGMENT})*)?$`,
    examples: ["/events", "/rooms/{room}"],
  });
}

/** An origin, as a browser's `Origin` header has it (RFC 6454 §6.2). */
export const Origin = parsed(
  (text) => {
    if (text === "*") throw new Refusal(`"*" stands alone, not in a list`, `write cors: "*"`);
    const url = URL.parse(text);
    if (text === "null" || (url && url.origin === text)) return text;
    if (!url || url.origin === "null") {
      throw new Refusal(`${quoteText(text)} is not an origin`, `write "https://example.org"`);
    }
    throw new Refusal(`${quoteText(text)} is not an origin`, `did you mean "${url.origin}"?`);
  },
  {
    noun: `an origin such as "https://example.org"`,
    code: "bad-origin",
    description: "A scheme, a host and, unless it is the usual one, a port.",
    pattern: "^([a-z][a-z0-9+.-]*://[^/?#\\s]+|null)$",
    examples: ["https://example.org"],
  },
);

/** A map of known keys. A key with a default may be left out. */
export function keys<T extends TProperties>(
  noun: string,
  properties: T,
  options: ObjectOptions & { readonly mayBeEmpty?: boolean } = {},
): TObject<T> {
  const { mayBeEmpty = false, ...rest } = options;
  const marks = { [Noun]: noun, [MayBeEmpty]: mayBeEmpty };
  return t.Object(properties, { additionalProperties: false, ...rest, ...marks });
}

export function file(description: string) {
  return t.String({ minLength: 1, description: `${description} Relative to this file.` });
}

/** `self-signed`, or two files. */
export function tls(description: string) {
  const certificate = choice(["self-signed"], {
    noun: `a certificate: "self-signed", or a map with cert and key`,
    description: "A certificate for development, made at each start.",
  });
  const files = keys(
    "tls",
    { cert: file("Certificate chain, PEM."), key: file("Private key, PEM.") },
    { description: "A certificate of yours." },
  );
  return t.Union([certificate, files], {
    description,
    [Noun]: `"self-signed", or a map with cert and key`,
  });
}
