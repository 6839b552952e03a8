/** Publishers that go on however often their server ends, and note what they were answered. */
// By its path: Bun puts its own client in the place of the package's name.
import { WebSocket } from "../../node_modules/ws/wrapper.mjs";
import type { Fleet, Life } from "./fleet.ts";
import type { Kept } from "./judge.ts";

/** What publishers share: answers, batches, and how much was sent. */
export class Notes {
  readonly acknowledged: Kept[] = [];
  readonly batches: string[][] = [];
  /** Answers that no publish should be given. */
  readonly strange: string[] = [];
  #sent = 0;
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  /** One more publish was sent off. */
  sent(): void {
    this.#sent++;
    const due = this.#waiting.filter(({ count }) => count <= this.#sent);
    this.#waiting = this.#waiting.filter(({ count }) => count > this.#sent);
    for (const { resolve } of due) resolve();
  }

  /** Resolves when so many more were sent off. */
  untilSent(more: number): Promise<void> {
    const count = this.#sent + more;
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }
}

/** A publisher's loop: it ends when `isOver` says so, after its last answer. */
export type Publisher = (
  fleet: Fleet,
  channel: string,
  notes: Notes,
  isOver: () => boolean,
) => Promise<void>;

interface Answer {
  readonly id: string;
  readonly ids?: readonly string[];
}

async function post(
  { publicUrl, over }: Life,
  channel: string,
  texts: readonly string[],
  type: string,
  notes: Notes,
): Promise<void> {
  // A connection of its own: on one that is kept, Bun would send a POST again that got no answer.
  const answer = fetch(`${publicUrl}/channels/${channel}`, {
    method: "POST",
    headers: { "content-type": type },
    body: texts.map((text) => JSON.stringify(text)).join("\n"),
    keepalive: false,
  }).then(async (response) => ({ status: response.status, body: await response.text() }));
  notes.sent();
  const got = await answer.catch(() => null);
  // Nobody knows whether it was taken.
  if (!got) return void (await Promise.race([over, Bun.sleep(20)]));
  if (got.status === 201) {
    const { id, ids = [id] } = JSON.parse(got.body) as Answer;
    for (const [i, text] of texts.entries()) notes.acknowledged.push({ id: ids[i]!, text });
  } else if (got.status !== 503) notes.strange.push(`${got.status}: ${got.body}`);
}

/** POSTs one message after the other. */
export function postPublisher(name: string): Publisher {
  return async (fleet, channel, notes, isOver) => {
    for (let number = 1; !isOver(); number++) {
      await post(await fleet.up(), channel, [`${name}:${number}`], "application/json", notes);
    }
  };
}

/** POSTs batches of NDJSON, of 1 to 20 messages. */
export function batchPublisher(name: string, random: (below: number) => number): Publisher {
  return async (fleet, channel, notes, isOver) => {
    for (let number = 1; !isOver();) {
      const batch = Array.from({ length: 1 + random(20) }, () => `${name}:${number++}`);
      notes.batches.push(batch);
      await post(await fleet.up(), channel, batch, "application/x-ndjson", notes);
    }
  };
}

/** Frames that a WebSocket publisher has under way. */
const WINDOW = 8;
/** Frames of one life: they are so fast that followers would be busy with them alone. */
const FRAMES = 400;

/** Publishes over a WebSocket of `tidewire.v1`, several at a time. */
export function socketPublisher(name: string): Publisher {
  return async (fleet, channel, notes, isOver) => {
    let number = 0;
    while (!isOver()) {
      const life = await fleet.up();
      const url = `${life.publicUrl.replace("http", "ws")}/channels`;
      const socket = new WebSocket(url, ["tidewire.v1"]);
      const closed = Promise.withResolvers<void>();
      let underWay = 0;
      let left = FRAMES;
      const send = () => {
        if (socket.readyState !== WebSocket.OPEN) return;
        // Who leaves before its last answer can't tell what became of the frames under way.
        if (isOver() || left === 0) return underWay === 0 ? socket.close() : undefined;
        const ref = ++number;
        underWay++;
        left--;
        socket.send(JSON.stringify({ type: "publish", channel, data: `${name}:${ref}`, ref }));
        notes.sent();
      };
      socket.on("open", () => {
        for (let i = 0; i < WINDOW; i++) send();
      });
      socket.on("message", (text: Buffer) => {
        const frame = JSON.parse(text.toString()) as { type: string; ref: number; id: string };
        underWay--;
        if (frame.type === "ack") {
          notes.acknowledged.push({ id: frame.id, text: `${name}:${frame.ref}` });
        } else {
          // A server that stops takes no more: one that is refused does not go on at once.
          left = 0;
          if (!text.toString().includes("try again")) notes.strange.push(text.toString());
        }
        send();
      });
      socket.on("error", () => {});
      socket.on("close", () => closed.resolve());
      await closed.promise;
      let isPast = false;
      void life.over.then(() => (isPast = true));
      do await Promise.race([life.over, Bun.sleep(20)]);
      while (left === 0 && !isPast && !isOver());
    }
  };
}
