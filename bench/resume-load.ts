/** The two load processes of bench/resume.ts: the clients that come back, and the ones that were never away. */
import { Publisher } from "./publisher.ts";
import { ResumeClients } from "./resume-clients.ts";
import { PAYLOAD_BYTES, RUSH, STEADY, type Level, type Order } from "./resume-spec.ts";
import type { Transport } from "./spec.ts";
import { Subscribers } from "./subscribers.ts";

let level: LevelLoad | null = null;
let clients: ResumeClients | null = null;
let atOnce = 0;

class LevelLoad {
  readonly rush: Subscribers;
  readonly steady: Subscribers;
  readonly publishers: [Publisher, Publisher];
  #timers: Timer[] = [];
  readonly #sentBefore: number;

  constructor(transport: Transport, port: number, sent: [number, number]) {
    this.rush = new Subscribers(transport, { port, path: RUSH });
    this.steady = new Subscribers(transport, { port, path: STEADY });
    this.publishers = [
      new Publisher({ port, path: RUSH }, PAYLOAD_BYTES, (number) => this.rush.sent(number)),
      new Publisher({ port, path: STEADY }, PAYLOAD_BYTES, (number) => this.steady.sent(number)),
    ];
    [this.publishers[0].sent, this.publishers[1].sent] = sent;
    [this.publishers[0].answered, this.publishers[1].answered] = sent;
    this.#sentBefore = sent[1];
  }

  /** @param connections That publish in turns, where an answer must be there before the next request. */
  async open(port: number, count: number, connections: number): Promise<void> {
    await this.rush.open(1);
    await this.steady.open(count);
    await this.publishers[0].open(port, 1);
    await this.publishers[1].open(port, connections);
  }

  /** Publishes at a steady rate, whatever became of what was published before. */
  pace(rates: readonly [number, number]): void {
    for (const [index, rate] of rates.entries()) {
      if (rate === 0) continue;
      let dueMs = performance.now();
      const publish = () => {
        for (; dueMs <= performance.now(); dueMs += 1000 / rate) this.publishers[index]!.publish();
      };
      this.#timers.push(setInterval(publish, 1));
    }
  }

  /** Latencies count from here. */
  count(): void {
    this.steady.latency.reset();
  }

  async rest(subscribers: number): Promise<Level> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    const [rush, steady] = this.publishers;
    const expected = (steady.sent - this.#sentBefore) * subscribers;
    const deadlineMs = performance.now() + 10_000;
    while (performance.now() < deadlineMs) {
      const isAnswered = this.publishers.every(({ sent, answered }) => answered >= sent);
      if (isAnswered && this.steady.deliveries >= expected) break;
      await Bun.sleep(5);
    }
    const { latency, deliveries, repeated } = this.steady;
    return {
      p50Ms: latency.quantile(0.5),
      p99Ms: latency.quantile(0.99),
      worstMs: latency.quantile(1),
      deliveries,
      lost: expected - deliveries,
      repeated: repeated + this.rush.repeated,
      sent: [rush.sent, steady.sent],
      error: rush.firstError ?? steady.firstError ?? this.rush.refusal ?? this.steady.refusal,
    };
  }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case "level":
      level = new LevelLoad(order.transport, order.port, order.sent);
      await level.open(order.port, order.clients, order.connections);
      subscribers = order.clients;
      return null;
    case "publish": {
      const [publisher] = level!.publishers;
      for (let i = 0; i < order.count; i++) {
        publisher.publish();
        while (publisher.answered < publisher.sent) await Bun.sleep(0);
      }
      return publisher.sent;
    }
    case "pace":
      level!.pace([order.live, order.rate]);
      return null;
    case "count":
      level!.count();
      return null;
    case "rest":
      return level!.rest(subscribers);
    case "clients":
      clients = new ResumeClients(order.transport, { port: order.port, path: RUSH }, order.count);
      ({ atOnce } = order);
      await clients.open(Math.min(atOnce, 200));
      return checked(null);
    case "reach":
      await clients!.reach(order.target);
      return checked(null);
    case "cut":
      clients!.cut();
      return null;
    case "resume": {
      const { epoch, target, from, spread } = order;
      const rush = await clients!.resume(epoch, target, atOnce, (index) => from - (index % spread));
      return checked(rush);
    }
  }
}

let subscribers = 0;

/** @throws {Error} When a client did not get exactly what it should. */
function checked<T>(value: T): T {
  const { wrong, closed, refusal } = clients!;
  if (wrong === 0 && closed === 0 && refusal === null) return value;
  throw new Error(
    `${wrong} messages were not the next one, ${closed} connections were closed, refused: ${refusal}`,
  );
}

process.on("message", (order: Order) => {
  obey(order).then(
    (value) => process.send!({ value }),
    (error: Error) => process.send!({ error: error.message }),
  );
});
process.send!({ value: "ready" });
