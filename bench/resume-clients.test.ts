/** The clients of bench/resume.ts against real servers: they miss nothing that goes wrong. */
import { afterEach, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "../src/server/testing.ts";
import { formatMarker } from "./marker.ts";
import { ResumeClients } from "./resume-clients.ts";
import { RESUME_TRANSPORTS } from "./resume-spec.ts";

const path = "/channels/rush";
let server: TestServer;
afterEach(() => server.stop());

/** Publishes the messages with these numbers; the answer is the last one's position. */
async function publish(...numbers: number[]): Promise<string> {
  const body = numbers.map((number) => JSON.stringify({ t: formatMarker(number) })).join("\n");
  const headers = { "content-type": "application/x-ndjson" };
  const response = await fetch(new URL(path, server.urls.public), {
    method: "POST",
    headers,
    body,
  });
  return ((await response.json()) as { id: string }).id;
}

test.each(RESUME_TRANSPORTS)(
  "ResumeClients come back to their places over %s",
  async (transport) => {
    server = await startTestServer({ channels: { rush: { publish: "clients" } } });
    const clients = new ResumeClients(
      transport,
      { port: Number(new URL(server.urls.public).port), path },
      5,
    );
    await clients.open(5);
    await publish(0);
    await clients.reach(1);
    clients.cut();
    const epoch = (await publish(1, 2, 3)).split("-")[0]!;
    const rush = await clients.resume(epoch, 4, 5, (index) => 1 + (index % 3));
    expect(rush.levelMs).toBeGreaterThanOrEqual(rush.halfMs);
    // Live from there on.
    await publish(4);
    await clients.reach(5);
    expect([clients.wrong, clients.closed, clients.refusal]).toEqual([0, 0, null]);
    clients.cut();
  },
);

test.each([
  ["is missing", [1, 3, 2]],
  ["comes twice", [1, 1, 2]],
])("ResumeClients tell when a message %s", async (_, numbers) => {
  server = await startTestServer({ channels: { rush: { publish: "clients" } } });
  const clients = new ResumeClients(
    "sse",
    { port: Number(new URL(server.urls.public).port), path },
    2,
  );
  await clients.open(2);
  await publish(0, ...numbers);
  await clients.reach(3);
  expect(clients.wrong).toBe(2);
  clients.cut();
});

test("ResumeClients tell how they were refused", async () => {
  server = await startTestServer({ channels: { other: {} } });
  const clients = new ResumeClients(
    "sse",
    { port: Number(new URL(server.urls.public).port), path },
    1,
  );
  await clients.open(1);
  while (clients.refusal === null) await new Promise((resolve) => setImmediate(resolve));
  expect(clients.refusal).toContain("HTTP/1.1 404");
  clients.cut();
});
