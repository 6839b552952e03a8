/**
 * The executable with the sqlite broker, ended again and again under load: what is acknowledged stays, and
 * whoever resumes gets everything once, in order.
 *
 * TIDEWIRE_KILLS=500 makes it last longer, TIDEWIRE_SEED repeats a run's choices.
 */
import { afterAll, expect, test } from "bun:test";
import { executable, Folder } from "./executable.ts";
import { Fleet, listeners, randomFrom } from "./kill/fleet.ts";
import { Follower } from "./kill/follower.ts";
import { judge } from "./kill/judge.ts";
import {
  batchPublisher,
  Notes,
  postPublisher,
  socketPublisher,
  type Publisher,
} from "./kill/publishers.ts";
import { http2Push } from "./transports/clients/http2-push.ts";
import { envelopePoll, rawPoll } from "./transports/clients/long-poll.ts";
import { eventSource, eventSourceClient } from "./transports/clients/sse.ts";
import { frameWebSocket, manyWebSocket } from "./transports/clients/websocket.ts";

/** All ways that carry a position; a raw WebSocket, which does not, can't resume by itself. */
const WAYS = [
  frameWebSocket,
  manyWebSocket,
  eventSource,
  eventSourceClient,
  rawPoll,
  envelopePoll,
  http2Push,
];
const KILLS = Number(process.env["TIDEWIRE_KILLS"] ?? 50);
const SEED = Number(process.env["TIDEWIRE_SEED"] ?? Date.now() % 1e6);
/** One that lives only while it is asked for, and one that is always there. */
const CHANNELS = ["news", "chat/lobby"];

const config = (durability: string) => `${listeners()}
broker: { use: sqlite, path: ./tidewire.db, durability: ${durability} }
shutdown: { drain: 500ms }
sse: { retry: 100ms }
limits: { publishes: { per_second: 1000000, burst: 1000000 } }
defaults:
  transports: [websocket, sse, long-poll, http2-push]
  publish: clients
  history: { size: 1000000, ttl: 1d, bytes: 1GiB }
channels:
  news: {}
  chat/{room}: {}
`;

interface Plan {
  readonly signal: "SIGKILL" | "SIGTERM";
  readonly durability: "full" | "normal";
  readonly rounds: number;
}

/** Publishes that are sent off in one life, at most. */
const SENT = 30;
/** Milliseconds, many times what is needed, after which something does not come any more. */
const LIMIT_MS = 60_000;
/** One life in so many lasts until each subscriber has come back and got something; others end in the middle. */
const LONG = 5;

/** Waits for what has to come; where it does not, what is missing is found to be so. */
async function atMost(work: readonly Promise<void>[]): Promise<void> {
  let late: Timer | null = null;
  const limit = new Promise<void>((resolve) => (late = setTimeout(resolve, LIMIT_MS)));
  await Promise.race([Promise.all(work), limit]);
  clearTimeout(late!);
}

/** Ends the server again and again while all are at work, then asks for all that was kept. */
async function run({ signal, durability, rounds }: Plan) {
  const random = randomFrom(SEED);
  using folder = new Folder({ "tidewire.yaml": config(durability) });
  await using fleet = new Fleet(folder);
  const followers = CHANNELS.map((channel) => WAYS.map((way) => new Follower(way, channel)));
  const notes = CHANNELS.map(() => new Notes());
  let isOver = false;
  const work: Promise<void>[] = [];
  for (const [i, channel] of CHANNELS.entries()) {
    for (const follower of followers[i]!) work.push(follower.follow(fleet, "last:1"));
    const publishers: Publisher[] = [
      postPublisher("post"),
      batchPublisher("batch", random),
      socketPublisher("socket"),
    ];
    for (const publish of publishers) work.push(publish(fleet, channel, notes[i]!, () => isOver));
  }
  const codes = new Set<number | null>();
  for (let round = 0; round < rounds; round++) {
    await fleet.start();
    await notes[random(2)]!.untilSent(1 + random(SENT));
    if (round % LONG === 0) await atMost(followers.flat().map((each) => each.receives()));
    codes.add(await fleet.end(signal));
  }
  const server = await fleet.start();
  isOver = true;
  const faults: string[] = [];
  for (const [i, channel] of CHANNELS.entries()) {
    const response = await fetch(`${server.publicUrl}/channels/${channel}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '"last:1"',
    });
    const { id } = (await response.json()) as { id: string };
    notes[i]!.acknowledged.push({ id, text: "last:1" });
  }
  await atMost(work);
  let kept = 0;
  for (const [i, channel] of CHANNELS.entries()) {
    const history = new Follower(envelopePoll, channel);
    await atMost([history.follow(fleet, "last:1")]);
    kept += history.received.length;
    const { acknowledged, batches, strange } = notes[i]!;
    const evidence = { history: history.received, acknowledged, batches };
    const mustAnswer = signal === "SIGTERM";
    faults.push(...strange.map((each) => `${channel}: a strange answer: ${each}`));
    faults.push(
      ...judge({ ...evidence, followed: followers[i]!, mustAnswer }).map(
        (fault) => `${channel}: ${fault}`,
      ),
    );
  }
  const acknowledged = notes.reduce((sum, each) => sum + each.acknowledged.length, 0);
  return { faults, codes: [...codes], kept, acknowledged };
}

/** Built before a test's time begins. */
const built = executable();
afterAll(() => built);

test(`${KILLS} times SIGKILL: nothing acknowledged is lost, nothing comes twice, out of order, or after a silent gap`, async () => {
  const { faults, codes, kept, acknowledged } = await run({
    signal: "SIGKILL",
    durability: "full",
    rounds: KILLS,
  });
  expect(faults.slice(0, 10), `TIDEWIRE_SEED=${SEED}`).toEqual([]);
  expect(codes).toEqual([null]);
  expect(acknowledged).toBeGreaterThan(KILLS);
  expect(kept).toBeGreaterThanOrEqual(acknowledged);
}, 600_000);

test("10 times SIGTERM: each publish that was accepted is answered, and nothing is lost", async () => {
  const { faults, codes } = await run({ signal: "SIGTERM", durability: "normal", rounds: 10 });
  expect(faults.slice(0, 10), `TIDEWIRE_SEED=${SEED}`).toEqual([]);
  expect(codes).toEqual([0]);
}, 600_000);
