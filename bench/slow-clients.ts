/** The process of the clients that stall, of the bench of slow subscribers: opens them, and later reads on. */
import { openingRequest, SETTINGS_ACK } from "./requests.ts";
import { TRANSPORT_OF, type SlowKind, type SlowSpec } from "./slow-spec.ts";
import { StalledClient } from "./stalled.ts";
import {
  toldByFrames,
  toldByPoll,
  toldByPushes,
  toldByRaw,
  toldBySse,
  type Told,
} from "./slow-told.ts";

/** Nothing comes for so long: all was read. */
const QUIET_MS = 700;

const TOLD: Record<SlowKind, (bytes: Buffer) => Told> = {
  sse: toldBySse,
  "tidewire.v1": toldByFrames,
  raw: toldByRaw,
  "http2-push": toldByPushes,
  "long-poll": toldByPoll,
};

const spec = JSON.parse(process.argv[2]!) as SlowSpec & { path: string };
const clients = await openStalled(spec);
let isGoingOn = true;
let reading: Promise<void> = Promise.resolve();
process.on("message", (order: "read" | "told") => {
  if (order === "read") return void (reading = readAll(clients, () => isGoingOn));
  isGoingOn = false;
  void reading.then(() => process.send!(clients.map((client) => TOLD[spec.kind](client.bytes()))));
});
process.on("disconnect", () => process.exit());
process.send!("open");

async function openStalled({
  kind,
  port,
  path,
  stalled,
}: SlowSpec & { path: string }): Promise<StalledClient[]> {
  let request = openingRequest(TRANSPORT_OF[kind], { port, path });
  const text = () => Buffer.from(request).toString("latin1");
  if (kind === "tidewire.v1") {
    request = Buffer.from(
      text().replace(/\r\n\r\n$/, "\r\nSec-WebSocket-Protocol: tidewire.v1\r\n\r\n"),
    );
  }
  if (kind === "long-poll") {
    const accept = "Accept: application/vnd.tidewire+json";
    request = Buffer.from(
      text()
        .replace(path, `${path}?after=earliest`)
        .replace(/\r\n\r\n$/, `\r\n${accept}\r\n\r\n`),
    );
  }
  const clients: StalledClient[] = [];
  for (let i = 0; i < stalled; i++) {
    const client = new StalledClient(port);
    client.send(request);
    clients.push(client);
    if (i % 50 === 49) await Bun.sleep(5);
  }
  for (const client of clients) {
    // The beginning, in which the server says that it stands.
    while (client.read(2048) === 0 && !client.isEnded) await Bun.sleep(1);
    if (kind === "http2-push") client.send(SETTINGS_ACK);
  }
  return clients;
}

/** Reads what comes to all of them, for as long as `goesOn`, and then until nothing comes any more. */
async function readAll(clients: readonly StalledClient[], goesOn: () => boolean): Promise<void> {
  for (let lastMs = performance.now(); goesOn() || performance.now() - lastMs < QUIET_MS;) {
    for (const client of clients) {
      if (client.read() > 0) lastMs = performance.now();
    }
    await Bun.sleep(1);
  }
}
