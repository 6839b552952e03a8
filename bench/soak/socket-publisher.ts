/** Publishers by WebSocket, which break off in the middle and send the same again. */
// By its path: Bun puts its own client in the place of the package's name.
import { WebSocket } from "../../node_modules/ws/wrapper.mjs";
import type { Numbered } from "./data.ts";
import { ANSWER_MS, Publisher, type Load } from "./publisher.ts";
import { around, pause, pick, type World } from "./world.ts";

/** A frame that is not acknowledged yet; its key makes it safe to send again on another socket. */
interface UnderWay {
  readonly ref: number;
  readonly load: Load;
  readonly data: Numbered;
  readonly idempotency: string;
}

interface Reply {
  readonly type: string;
  readonly ref: number;
  readonly id: string;
  readonly replayed?: boolean;
  readonly code?: string;
}

/** Publishes frames over a WebSocket of `tidewire.v1`, several at a time; now and then it breaks off. */
export class SocketPublisher extends Publisher {
  readonly #loads: readonly Load[];
  /** In the order they were sent. */
  readonly #underWay = new Map<number, UnderWay>();
  #ref = 0;
  #socket: InstanceType<typeof WebSocket> | null = null;

  constructor(world: World, name: string, loads: readonly Load[]) {
    super(world, name);
    this.#loads = loads;
  }

  async run(): Promise<void> {
    const { world, random } = this;
    while (!world.isOver) {
      await this.#connect();
      const count = 1 + random(100);
      for (let sent = 0; sent < count && !world.isOver; sent++) {
        if (this.#underWay.size < 8) this.#publish();
        await pause(world, around(random, this.#loads[0]!.everyMs / 2));
      }
      if (world.isOver) break;
      if (random(2) === 0) await this.#idle();
      this.#socket!.terminate();
    }
    await this.#idle();
    this.#socket!.close();
  }

  #publish(): void {
    const load = pick(this.random, this.#loads);
    const data = this.data(load);
    const frame = { ref: ++this.#ref, load, data, idempotency: this.key() };
    this.#underWay.set(frame.ref, frame);
    this.#send(frame);
  }

  #send({ ref, load, data, idempotency }: UnderWay): void {
    const socket = this.#socket!;
    if (socket.readyState !== WebSocket.OPEN) return;
    const channel = load.ledger.name;
    socket.send(JSON.stringify({ type: "publish", channel, data, ref, idempotency }));
  }

  async #connect(): Promise<void> {
    const { publicUrl } = this.world;
    const socket = new WebSocket(`${publicUrl.replace("http", "ws")}/channels`, ["tidewire.v1"]);
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.on("error", (error: Error) => {
      this.fault(`its socket failed: ${error.message}`);
      resolve();
    });
    socket.on("message", (text: Buffer) => {
      if (socket === this.#socket) this.#answered(JSON.parse(text.toString()) as Reply);
    });
    socket.on("close", (code: number) => {
      // 1005 and 1006 are its own doing, and of a socket that it has left.
      if (code > 1006) this.fault(`its socket was closed with code ${code}`);
    });
    socket.on("open", resolve);
    await promise;
    // What was cut off before its answer, one after the other: they have to be answered in order.
    for (const frame of this.#underWay.values()) {
      this.world.figures.retries++;
      this.#send(frame);
      await this.#idle(() => !this.#underWay.has(frame.ref));
    }
  }

  #answered(reply: Reply): void {
    const frame = this.#underWay.get(reply.ref);
    if (reply.type === "ack" && frame) {
      if (reply.replayed) this.world.figures.replayed++;
      this.#underWay.delete(reply.ref);
      return this.took(frame.load.ledger, reply.id, frame.data.n);
    }
    if (reply.code === "idempotency-outstanding" && frame) {
      setTimeout(() => this.#send(frame), 50);
    } else this.fault(`answered with ${JSON.stringify(reply)}`);
  }

  /** Resolves when all is answered, or what is asked for. */
  async #idle(isDone = () => this.#underWay.size === 0): Promise<void> {
    const limitMs = performance.now() + ANSWER_MS;
    while (!isDone()) {
      if (performance.now() > limitMs) {
        return this.fault(`${this.#underWay.size} frames have no answer within ${ANSWER_MS} ms`);
      }
      await Bun.sleep(2);
    }
  }
}
