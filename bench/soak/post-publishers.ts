/** Publishers by POST, for as long as the soak lasts; some requests are cut off, or sent again though they were answered. */
import { HttpClient, type Answer } from "./clients/http.ts";
import { ANSWER_MS, Publisher, type Load } from "./publisher.ts";
import { around, pause, type World } from "./world.ts";

/** Times that a publish is sent again before that is a fault. */
const TRIES = 20;
/** POSTs, to a channel or to the control listener, one request at a time. */
abstract class PostPublisher extends Publisher {
  readonly #url: string;
  #client: HttpClient | null = null;

  constructor(world: World, name: string, url: string) {
    super(world, name);
    this.#url = url;
  }

  protected abstract once(): Promise<void>;
  protected abstract readonly everyMs: number;

  async run(): Promise<void> {
    while (!this.world.isOver) {
      await this.once();
      await pause(this.world, around(this.random, this.everyMs));
    }
    this.#client?.socket.destroy();
  }

  /** Sends it until it is answered; some are cut off on their way, or sent again though they were answered. */
  protected async post(path: string, type: string, body: string): Promise<Answer | null> {
    const { random, world } = this;
    const hasKey = random(3) === 0;
    const fields = `Content-Type: ${type}\r\n${hasKey ? `Idempotency-Key: "${this.key()}"\r\n` : ""}`;
    if (!hasKey) return this.#send(path, fields, body);
    if (random(2) === 0) {
      const cut = this.#open();
      void cut.request("POST", path, fields, body);
      await Bun.sleep(random(4));
      cut.socket.destroy();
    }
    world.figures.retries++;
    const answer = await this.#send(path, fields, body);
    if (answer?.headers.has("idempotent-replayed")) world.figures.replayed++;
    if (answer?.status !== 201 || random(3) !== 0) return answer;
    world.figures.retries++;
    const again = await this.#send(path, fields, body);
    if (again?.headers.has("idempotent-replayed")) world.figures.replayed++;
    else this.fault(`sent again, it was not answered as before: ${again?.status} ${again?.body}`);
    return answer;
  }

  async #send(path: string, fields: string, body: string): Promise<Answer | null> {
    for (let tries = 0; tries < TRIES; tries++) {
      const limit = Bun.sleep(ANSWER_MS).then(() => "late" as const);
      const answer = await Promise.race([this.#open().request("POST", path, fields, body), limit]);
      if (answer === "late") {
        this.fault(`no answer within ${ANSWER_MS} ms to ${path}`);
        this.#client?.socket.destroy();
        return null;
      }
      if (answer === null) {
        // Without a key nobody knows whether it was taken: the server has no reason to end a connection.
        this.fault(`the connection ended before the answer to ${path}`);
        return null;
      }
      // The first, which was cut off, is not done.
      const isUnderWay = answer.status === 409 && answer.body.includes("idempotency-outstanding");
      if (!isUnderWay) return answer;
      await Bun.sleep(50);
    }
    this.fault(`still under way after ${TRIES} tries: ${path}`);
    return null;
  }

  #open(): HttpClient {
    if (!this.#client || this.#client.isClosed || this.#client.socket.destroyed) {
      this.#client = new HttpClient(this.#url);
    }
    return this.#client;
  }
}

/** POSTs to a channel: one message, or several as NDJSON. */
export class ChannelPublisher extends PostPublisher {
  readonly #load: Load;
  readonly #isMany: boolean;

  constructor(world: World, name: string, load: Load, isMany: boolean) {
    super(world, name, world.publicUrl);
    this.#load = load;
    this.#isMany = isMany;
  }

  protected get everyMs(): number {
    return this.#load.everyMs * (this.#isMany ? 3 : 1);
  }

  protected async once(): Promise<void> {
    const { ledger } = this.#load;
    // Large ones are few: a batch has to fit into a client's buffer beside what waits there.
    const most = this.#load.padBytes > 0 ? 2 : 6;
    const count = this.#isMany ? 1 + this.random(most) : 1;
    const all = Array.from({ length: count }, () => this.data(this.#load));
    const body = all.map((data) => JSON.stringify(data)).join("\n");
    const type = this.#isMany ? "application/x-ndjson" : "application/json";
    const answer = await this.post(`/channels/${ledger.name}`, type, body);
    if (answer === null) return;
    if (answer.status !== 201) return this.fault(`${ledger.name}: ${answer.status} ${answer.body}`);
    const { id, ids = [id] } = JSON.parse(answer.body) as { id: string; ids?: string[] };
    if (ids.length !== count) return this.fault(`${ledger.name}: ${ids.length} ids for ${count}`);
    for (const [index, data] of all.entries()) this.took(ledger, ids[index]!, data.n);
  }
}

/** Publishes to several channels at once, through the control listener. */
export class ControlPublisher extends PostPublisher {
  readonly #loads: readonly Load[];

  constructor(world: World, name: string, loads: readonly Load[]) {
    super(world, name, world.controlUrl);
    this.#loads = loads;
  }

  protected get everyMs(): number {
    return this.#loads[0]!.everyMs;
  }

  protected async once(): Promise<void> {
    const loads = this.#loads.filter(() => this.random(2) === 0);
    if (loads.length === 0) return;
    const entries = loads.map((load) => ({ load, data: this.data(load) }));
    const body = JSON.stringify(
      entries.map(({ load, data }) => ({ channel: load.ledger.name, data })),
    );
    const answer = await this.post("/publish", "application/json", body);
    if (answer === null) return;
    if (answer.status !== 201) return this.fault(`control: ${answer.status} ${answer.body}`);
    const { results } = JSON.parse(answer.body) as { results: { id: string }[] };
    for (const [index, { load, data }] of entries.entries()) {
      this.took(load.ledger, results[index]!.id, data.n);
    }
  }
}
