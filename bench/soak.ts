/** `bun bench/soak.ts`: a server under churn for minutes or hours; fails on any loss, and on growth. */
import {
  CHANNELS,
  configOf,
  PLUGINS,
  versionOf,
  type FileOptions,
  type State,
} from "./soak/files.ts";
import { Faults } from "./soak/faults.ts";
import { Figures } from "./soak/figures.ts";
import { Follower, LATE_MS } from "./soak/follower.ts";
import { Gauges } from "./soak/gauges.ts";
import { Ledger } from "./soak/ledger.ts";
import { parseOptions, USAGE, type Options } from "./soak/options.ts";
import { ChannelPublisher, ControlPublisher } from "./soak/post-publishers.ts";
import type { Load } from "./soak/publisher.ts";
import { SocketPublisher } from "./soak/socket-publisher.ts";
import { Reloads } from "./soak/reloads.ts";
import { formatOutcome, outcomeJson, progressLine, trendsOf, type Outcome } from "./soak/report.ts";
import { openRooms } from "./soak/rooms.ts";
import { SoakServer } from "./soak/server.ts";
import type { World } from "./soak/world.ts";
import { randomFrom } from "../test/kill/fleet.ts";

const LINE_MS = 10_000;
/** In which all have to be level when the publishers have stopped, and descriptors closed when all left. */
const END_MS = 60_000;
/** Descriptors that the server may have more at the end than at the start: what a broker opened meanwhile. */
const MORE_DESCRIPTORS = 5;

function publishersOf(world: World): { run(): Promise<void> }[] {
  const loads: Load[] = CHANNELS.map(({ everyMs, padBytes }, index) => ({
    ledger: world.ledgers[index]!,
    everyMs,
    padBytes,
  }));
  return [
    ...loads.map((load) => new ChannelPublisher(world, "post", load, false)),
    ...loads.map((load) => new ChannelPublisher(world, "lines", load, true)),
    new ControlPublisher(world, "control", loads),
    new SocketPublisher(world, "socket", loads),
    new SocketPublisher(world, "other", loads),
  ];
}

/** Waits until it holds. @returns Whether it did, in time. */
async function until(test: () => boolean, limitMs: number): Promise<boolean> {
  for (const limit = performance.now() + limitMs; !test(); await Bun.sleep(50)) {
    if (performance.now() > limit) return false;
  }
  return true;
}

async function soak(options: Options): Promise<Outcome> {
  const { seconds, seed, broker, leak } = options;
  const gaugeMs = Math.round(Math.min(10_000, Math.max(1000, (seconds * 1000) / 100)));
  const files: FileOptions = { broker, gaugeMs, leak };
  const state: State = { version: 1, sourceMs: 100, retryMs: 1000, hasExtra: false };
  const faults = new Faults(({ kind, s, who, text }) =>
    console.error(`FAULT ${kind} at ${s} s (seed ${seed}): ${who}: ${text}`),
  );
  let reloads: Reloads | null = null;
  const { server, urls } = await SoakServer.start(
    {
      ...PLUGINS,
      "tidewire.yaml": configOf(files, state),
      "plugins/lib/version.ts": versionOf(state),
    },
    options.executable,
    (line, text) => {
      if (line ? line.level !== "error" : text.trim() === "") return;
      if (!reloads?.isRefused) faults.add("other", "the server's log", text);
    },
  );
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const figures = new Figures();
  const world: World = {
    publicUrl: urls.public,
    pushUrl: urls.http2Push,
    controlUrl: urls.control,
    faults,
    figures,
    random: randomFrom(seed),
    ledgers: CHANNELS.map((channel) => new Ledger(channel)),
    versions: { least: state.version, most: state.version },
    isOver: false,
    over,
  };
  const finish = () => {
    world.isOver = true;
    end();
  };
  const gauges = new Gauges(server.pid, urls.public, () => figures.sum(({ open }) => open));
  await Bun.sleep(500);
  const before = gauges.open;
  void server.ended.then(() => {
    if (!world.isOver) faults.add("other", "the server", `ended: ${server.last.join("\n")}`);
    finish();
  });
  reloads = new Reloads(world, server, files, state);
  const followers = Array.from({ length: options.clients }, (_, i) => new Follower(world, `#${i}`));
  const looks = setInterval(() => {
    const nowMs = performance.now();
    for (const ledger of world.ledgers) ledger.mark(nowMs, LATE_MS);
    for (const follower of followers) follower.checkLate(nowMs);
  }, 1000);
  const lines = setInterval(
    () => console.error(progressLine(gauges.seconds, figures, gauges, faults)),
    LINE_MS,
  );
  const timer = setTimeout(finish, seconds * 1000);
  const following = followers.map((follower) => follower.run());
  const publishing = publishersOf(world).map((publisher) => publisher.run());
  await Promise.all([openRooms(world), reloads.run(), ...following, ...publishing]);
  const took = gauges.seconds;
  for (const interval of [looks, lines, timer]) clearInterval(interval);
  const trends = trendsOf(gauges, took);
  await until(() => followers.every((follower) => follower.lacks() === null), END_MS);
  for (const follower of followers) follower.finish(follower.lacks());
  let after = NaN;
  const isClosed = () => (after = gauges.open) <= before + MORE_DESCRIPTORS;
  try {
    if (!(await until(isClosed, END_MS))) {
      const text = `${after} are open when all have left, ${before} before: ${gauges.targets.join()}`;
      faults.add("other", "descriptors", text);
    }
  } catch {
    // The server has ended, which is a fault already.
  }
  gauges.stop();
  const code = await server.stop(END_MS);
  if (code !== 0) faults.add("other", "the server", `ended with ${code} on SIGTERM`);
  const ownBytes = process.memoryUsage.rss();
  const descriptors = { before, after };
  return { options, seconds: took, figures, gauges, faults, trends, descriptors, ownBytes };
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error(`soak: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  if (process.platform !== "linux") {
    console.error("soak: memory and descriptors are read from /proc, which only Linux has");
    return 1;
  }
  console.error(`soak: ${options.seconds} s, ${options.broker}, --seed ${options.seed}`);
  const outcome = await soak(options);
  console.log(options.json ? outcomeJson(outcome) : formatOutcome(outcome));
  const isFine = outcome.faults.total === 0 && outcome.trends.every(({ isFailed }) => !isFailed);
  console.error(isFine ? "soak: passed" : "soak: FAILED");
  return isFine ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
