/** Whether a client may use a channel: asks the `authorize` hooks, and bounds how many wait for them. */
import type { MaybePromise } from "../channel/log.ts";
import type { Outcome } from "../plugin/authorize-chain.ts";
import type { AccessRequest } from "../plugin/sdk.ts";
import { CLOSE, RequestError } from "../transport/errors.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import type { Peer } from "./client.ts";
import type { ConnectionCount } from "./connection-count.ts";
import { unknownChannel } from "./problem.ts";
import type { LiveChannel } from "./live-channel.ts";

/** Who wants to do what. */
export interface Visit {
  readonly peer: Peer;
  readonly action: AccessRequest["action"];
  /** As an `authorize` hook is told of it: `history` and `post` beside the names of transports. */
  readonly transport: string;
  /** It is to hold a connection that is not counted yet: while it waits it counts as one. */
  readonly isNew: boolean;
}

export interface AdmissionOptions {
  readonly channels: Channels;
  readonly connections: ConnectionCount;
  /** Requests and frames that may wait for their verdicts at once. */
  readonly limit: number;
}

/** Channels whose verdicts on one WebSocket are remembered; the one asked for first is forgotten first. */
const MAX_REMEMBERED = 1000;
/** A channel that is let go of while a verdict is awaited is opened again, and asked again. */
const MAX_ROUNDS = 3;

export class Admission {
  readonly #options: AdmissionOptions;
  #waiting = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * The channel of a match, brought to life and open to this client. A channel that waits for a verdict
   * may be let go of like any that nobody uses: to be denied slowly holds no place of `limits.channels`.
   *
   * @throws {RequestError} 403 `forbidden`, or when the channel can't be opened or takes nothing from
   *   clients.
   */
  open(match: ChannelMatch, visit: Visit): MaybePromise<LiveChannel> {
    checkWritable(match, this.#options.channels);
    return this.#open(match, visit, 1);
  }

  /**
   * Asks for a client of a channel that it holds.
   *
   * @throws {RequestError} 403 `forbidden`, 503 when too many wait for a verdict.
   */
  ask(live: LiveChannel, visit: Visit): MaybePromise<void> {
    const { authorize } = live.plugins;
    if (authorize === null) return;
    const outcome = this.#outcome(live, visit);
    if (!(outcome instanceof Promise)) return refuseUnless(outcome, visit);
    return outcome.then((late) => {
      // The channel may be declared in another way by now.
      if (visit.action === "publish") live.checkPublish();
      // The plugins were reloaded meanwhile: these may have failed because they ended.
      const isOver = late !== "denied" && live.plugins.authorize !== authorize;
      return isOver ? this.ask(live, visit) : refuseUnless(late, visit);
    });
  }

  /** Nobody has to be asked: there is no hook, or it has said so already. */
  hasAllowed(live: LiveChannel, peer: Peer, action: Visit["action"]): boolean {
    const { authorize } = live.plugins;
    return authorize === null || peer.allowed?.get(`${action} ${live.name}`) === authorize;
  }

  #open(match: ChannelMatch, visit: Visit, round: number): MaybePromise<LiveChannel> {
    const live = this.#options.channels.open(match);
    return live instanceof Promise
      ? live.then((late) => this.#admit(late, match, visit, round))
      : this.#admit(live, match, visit, round);
  }

  #admit(
    live: LiveChannel,
    match: ChannelMatch,
    visit: Visit,
    round: number,
  ): MaybePromise<LiveChannel> {
    // Whom no verdict would let in need not be asked for.
    if (visit.action === "publish") live.checkPublish();
    const { authorize } = live.plugins;
    if (authorize === null) {
      live.letIn();
      return live;
    }
    const outcome = this.#outcome(live, visit);
    if (!(outcome instanceof Promise)) {
      refuseUnless(outcome, visit);
      live.letIn();
      return live;
    }
    return outcome.then((late) => {
      // Its plugins said so themselves; that they failed may be because they were ended meanwhile.
      if (late === "denied") throw forbidden(visit);
      const isSame =
        this.#options.channels.find(match) === live && live.plugins.authorize === authorize;
      if (isSame) {
        refuseUnless(late, visit);
        live.letIn();
        return live;
      }
      if (round < MAX_ROUNDS) return this.#open(match, visit, round + 1);
      throw overloaded("the channel was let go of while it was asked for");
    });
  }

  #outcome(live: LiveChannel, visit: Visit): MaybePromise<Outcome> {
    const { peer, action, transport, isNew } = visit;
    const { authorize } = live.plugins;
    const key = `${action} ${live.name}`;
    // By the hook itself: plugins that were reloaded, or of another life of the channel, are asked anew.
    if (peer.allowed?.get(key) === authorize) return "allowed";
    const { connections, limit } = this.#options;
    // Before the hook is called, which can't be taken back.
    if (this.#waiting >= limit) {
      throw overloaded(
        `${limit} clients wait for the plugins that decide who may use the channels`,
      );
    }
    const { headers, query, address } = peer;
    const outcome = authorize!({ action, transport, headers, query, address });
    if (!(outcome instanceof Promise)) {
      if (outcome === "allowed") remember(peer, key, authorize);
      return outcome;
    }
    // Until the hook has answered, also when the client has gone: it is the hook that is to be bounded.
    this.#waiting++;
    if (isNew) connections.add(1, address);
    return outcome.then((late) => {
      this.#waiting--;
      if (isNew) connections.add(-1, address);
      if (late === "allowed") remember(peer, key, authorize);
      return late;
    });
  }
}

/**
 * A frame can hold half of a surrogate pair, which UTF-8 can't write: on the wire such a name is the same
 * as that of other channels, and its subscribers would get what those are sent.
 *
 * @throws {RequestError} 404 when the channel's name has one.
 */
function checkWritable(match: ChannelMatch, channels: Channels): void {
  for (const name in match.params) {
    if (!match.params[name]!.isWellFormed()) throw unknownChannel(channels.nameOf(match));
  }
}

function remember(peer: Peer, key: string, hook: unknown): void {
  const allowed = (peer.allowed ??= new Map());
  if (allowed.size >= MAX_REMEMBERED) allowed.delete(allowed.keys().next().value!);
  allowed.set(key, hook);
}

function refuseUnless(outcome: Outcome, visit: Visit): void {
  if (outcome !== "allowed") throw forbidden(visit);
}

/** Why is for the log alone: it may tell who is a member, or what the plugin failed at. */
function forbidden({ action }: Visit): RequestError {
  const what = action === "subscribe" ? "subscribe to" : "publish to";
  return new RequestError(
    403,
    "forbidden",
    `you may not ${what} this channel; the server's log says why`,
    { closeCode: CLOSE.forbidden },
  );
}

function overloaded(detail: string): RequestError {
  return new RequestError(503, "overloaded", `${detail}; try again later`, {
    headers: { "retry-after": "1" },
    closeCode: CLOSE.tryLater,
  });
}
