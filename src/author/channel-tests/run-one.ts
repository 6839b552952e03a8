/** Runs one test of a channel: feeds it, lets time pass, and compares what came out. */
import type { ChannelTest, PublishStep, ReceiveStep, Step } from "../../config/tests.ts";
import type { Config } from "../../config/config.ts";
import type { LoadedPlugin } from "../../plugin/load.ts";
import type { LiveChannel } from "../../server/live-channel.ts";
import { toRequestError } from "../../server/problem.ts";
import { watchFetches } from "../harness/fetches.ts";
import { Progress } from "../harness/progress.ts";
import { createRecordedLog, type LogLine } from "../harness/recorded-log.ts";
import { FIRST_DAY, holdTime } from "../harness/time.ts";
import { compareMessages } from "./compare.ts";
import { diff } from "./diff.ts";
import type { Failure } from "./failure.ts";
import { matches } from "./match.ts";
import { Trial } from "./trial.ts";

export interface Outcome {
  readonly test: ChannelTest;
  /** In the order of what happened; none when the test passed. */
  readonly failures: readonly Failure[];
  /** Warnings and errors that were logged meanwhile. */
  readonly logged: readonly LogLine[];
}

export interface RunOptions {
  readonly config: Config;
  /** Every plugin that the config uses, by its `use`. */
  readonly plugins: ReadonlyMap<string, LoadedPlugin>;
}

/** Real milliseconds that one thing is waited for. */
const LIMIT_MS = 5000;

/** Runs a test on channels of its own; time is held meanwhile, for the whole process. */
export async function runTest(test: ChannelTest, options: RunOptions): Promise<Outcome> {
  const lines: LogLine[] = [];
  const failures: Failure[] = [];
  const log = createRecordedLog(lines);
  const stray = (error: unknown) => log.error("a promise of a plugin failed, unawaited", { error });
  process.on("unhandledRejection", stray);
  const time = holdTime(test.nowMs ?? FIRST_DAY);
  const unwatch = watchFetches();
  const progress = new Progress(time, LIMIT_MS);
  const trial = new Trial({ ...options, test, log, time, progress });
  try {
    const live = await trial.open(test.channel);
    for (const step of test.feed)
      failures.push(...(await runStep(step, { trial, live, progress })));
    const channels = new Set([live.name, ...test.expect.map(({ channel }) => channel)]);
    const named = { ...test, channel: live.name };
    const seen = trial.seen.filter(({ channel }) => channels.has(channel));
    failures.push(...compareMessages(named, seen));
  } catch (error) {
    failures.push({ place: test.place, message: (error as Error).message, diff: [] });
  } finally {
    await trial.close();
    unwatch();
    time.release();
    process.off("unhandledRejection", stray);
  }
  const logged = lines.filter(({ level }) => level === "warn" || level === "error");
  return { test, failures, logged };
}

interface Running {
  readonly trial: Trial;
  readonly live: LiveChannel;
  readonly progress: Progress;
}

async function runStep(step: Step, { trial, live, progress }: Running): Promise<Failure[]> {
  if (step.kind === "wait") {
    await progress.advance(step.ms);
    return [];
  }
  const answers: unknown[] = [];
  const work =
    step.kind === "receive"
      ? () => receive(step, trial, live, answers)
      : async () => void (await live.publish([draftOf(step)]));
  const failures: Failure[] = [];
  try {
    await trial.of(work, "a hook does not end");
    if (step.refused !== null) {
      const message = `this was taken, and not refused with "${step.refused}"`;
      failures.push({ place: step.place, message, diff: [] });
    }
  } catch (error) {
    const told = refusalOf(error);
    if (step.refused !== told.code) {
      const other = step.refused === null ? "" : `, not with "${step.refused}"`;
      const message = `this was refused with "${told.code}"${other}: ${told.message}`;
      failures.push({ place: step.place, message, diff: [] });
    }
  }
  if (step.kind === "receive" && step.answers) {
    const { expected, place } = step.answers;
    const list = { kind: "list", items: expected } as const;
    if (!matches(list, answers)) {
      failures.push({
        place,
        message: "the client was sent something else",
        diff: diff(list, answers),
      });
    }
  }
  return failures;
}

async function receive(
  step: ReceiveStep,
  trial: Trial,
  live: LiveChannel,
  answers: unknown[],
): Promise<void> {
  const client = trial.client(live, step.from);
  // What a hook sends later, such as after a `wait`, still belongs to the step that made it do so.
  client.answerBy({ send: (data) => void answers.push(data), close: () => {} });
  await client.submit(draftOf(step));
}

/** As it would come over the wire: each step has data of its own. */
function draftOf({ data, event, key }: PublishStep | ReceiveStep) {
  const isJson = typeof data !== "string" && !(data instanceof Uint8Array);
  const raw = isJson ? JSON.stringify(data) : undefined;
  return {
    data: raw === undefined ? data : (JSON.parse(raw) as unknown),
    event,
    key,
    ...(raw !== undefined && { raw, format: "json" as const }),
  };
}

const SILENT = createRecordedLog([]);

/** @throws What is no refusal: a hook that does not end. */
function refusalOf(error: unknown): ReturnType<typeof toRequestError> {
  const told = toRequestError(error, SILENT);
  if (told.code === "internal") throw error;
  return told;
}
