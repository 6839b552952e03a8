/** Publishes the time at whole intervals: with `every: 1s` each second on the second. */
import { setTimeout as sleep } from "node:timers/promises";
import { definePlugin, duration, OptionError, parseDuration, t } from "tidewire";

const MIN_MS = 10;
/** The longest single wait, so that a clock that was set or a machine that slept is noticed. */
const MAX_WAIT_MS = 60_000;

export default definePlugin({
  name: "clock",
  options: t.Object({
    every: duration({
      default: "1s",
      description: "Time between two ticks, at least 10ms; ticks are at multiples of it in UTC.",
    }),
    format: t.Union([t.Literal("time"), t.Literal("iso"), t.Literal("unix"), t.Literal("locale")], {
      default: "time",
      description:
        'time: "14:03:07"; iso: "2026-01-31T14:03:07.000Z", always UTC; unix: seconds since 1970 ' +
        "as a number; locale: date and time as `locale` writes them.",
    }),
    time_zone: t.Optional(
      t.String({
        description: "IANA name of a time zone; default: the server's own. Not for iso and unix.",
        examples: ["UTC", "Europe/Berlin", "America/New_York"],
      }),
    ),
    locale: t.String({
      default: "en",
      description: "BCP 47 tag of the language that `format: locale` writes in.",
      examples: ["en-GB", "de"],
    }),
  }),
  check: read,
  setup({ options, signal }) {
    const { everyMs, format } = read(options);
    return {
      async *source() {
        let last = Math.floor(Date.now() / everyMs);
        while (!signal.aborted) {
          // Counted from the clock each time: no drift, and one tick after a sleep, not a burst.
          const waitMs = everyMs - (Date.now() % everyMs);
          await sleep(Math.min(waitMs, MAX_WAIT_MS), undefined, { signal }).catch(() => {});
          const tick = Math.floor(Date.now() / everyMs);
          // A timer may fire a little early.
          if (tick === last || signal.aborted) continue;
          last = tick;
          yield { data: format(tick * everyMs) };
        }
      },
    };
  },
});

interface ClockOptions {
  readonly every: string;
  readonly format: "time" | "iso" | "unix" | "locale";
  readonly time_zone?: string;
  readonly locale: string;
}

interface Reading {
  readonly everyMs: number;
  readonly format: (timeMs: number) => string | number;
}

/** @throws {OptionError} When `every` is too short, or the time zone or the locale is not known. */
function read(options: ClockOptions): Reading {
  const everyMs = parseDuration(options.every);
  if (everyMs < MIN_MS) {
    const message = `every is "${options.every}"; it must be at least ${MIN_MS}ms`;
    throw new OptionError("every", message);
  }
  checkNames(options);
  return { everyMs, format: createFormat(options) };
}

function checkNames({ locale, time_zone: timeZone }: ClockOptions): void {
  if (!isFormat(locale)) {
    const message = `locale is "${locale}", which is no BCP 47 tag; write one such as "en-GB"`;
    throw new OptionError("locale", message);
  }
  if (timeZone !== undefined && !isFormat("en", { timeZone })) {
    const message = `time_zone is "${timeZone}", which is not known; write an IANA name such as "Europe/Berlin"`;
    throw new OptionError("time_zone", message);
  }
}

function isFormat(locale: string, style?: Intl.DateTimeFormatOptions): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat(locale, style));
  } catch {
    return false;
  }
}

function createFormat(options: ClockOptions): (timeMs: number) => string | number {
  const { format, locale, time_zone: timeZone } = options;
  if (format === "iso") return (timeMs) => new Date(timeMs).toISOString();
  if (format === "unix") return (timeMs) => timeMs / 1000;
  const style: Intl.DateTimeFormatOptions =
    format === "time"
      ? { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }
      : { dateStyle: "medium", timeStyle: "medium" };
  if (timeZone !== undefined) style.timeZone = timeZone;
  const formatter = new Intl.DateTimeFormat(format === "time" ? "en-GB" : locale, style);
  return (timeMs) => formatter.format(timeMs);
}
