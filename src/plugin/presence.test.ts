import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createFakeClient } from "./fake-client.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { Presence } from "./presence.ts";
import { Reports } from "./reports.ts";
import type { Client, Hooks } from "./sdk.ts";

function create(hooks: Pick<Hooks, "joined" | "left">) {
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  const reports = new Reports({ plugin: "p", channel: "chat", log, clock });
  const presence = new Presence(hooks as ConstructorParameters<typeof Presence>[0], reports, clock);
  return { presence, reports, clock, lines };
}

/** Hooks whose calls end when the test says so. */
function controlled() {
  const calls: string[] = [];
  const ends: (() => void)[] = [];
  const hook = (name: string) => (client: Client) => {
    calls.push(`${name} ${client.id}`);
    return new Promise<void>((resolve) => ends.push(resolve));
  };
  const end = async () => {
    ends.shift()!();
    await settled();
  };
  return { calls, ends, end, hooks: { joined: hook("joined"), left: hook("left") } };
}

const alice = createFakeClient("alice");

describe("Presence", () => {
  test("keeps no more than two calls of a client waiting, however often it comes and goes", async () => {
    const { calls, ends, end, hooks } = controlled();
    const { presence } = create(hooks);
    presence.notify("joined", alice);
    for (let i = 0; i < 10_000; i++) {
      presence.notify("left", alice);
      presence.notify("joined", alice);
    }
    expect(presence.waiting).toBe(2);
    await end();
    await end();
    expect(calls).toEqual(["joined alice", "left alice", "joined alice"]);
    presence.notify("left", alice);
    await end();
    await end();
    await presence.idle();
    expect(calls.slice(3)).toEqual(["left alice"]);
    expect(ends).toEqual([]);
  });

  test("tells of the client that is there now, not of one that came and went meanwhile", async () => {
    const clients: Client[] = [];
    let finish = () => {};
    const { presence } = create({
      joined(client) {
        clients.push(client);
        return clients.length === 1 ? new Promise((resolve) => (finish = resolve)) : undefined;
      },
    });
    const [first, second, third] = [1, 2, 3].map(() => createFakeClient("alice"));
    presence.notify("joined", first!);
    presence.notify("left", first!);
    presence.notify("joined", second!);
    presence.notify("left", second!);
    presence.notify("joined", third!);
    finish();
    await presence.idle();
    expect(clients).toEqual([first!, third!]);
    expect(clients[1]).toBe(third!);
  });

  test.each(["joined", "left"] as const)(
    "bounds what waits for a plugin that has %s alone",
    (only) => {
      const { hooks } = controlled();
      const { presence } = create({ [only]: hooks[only] });
      for (let i = 0; i < 1000; i++) {
        presence.notify("joined", alice);
        presence.notify("left", alice);
      }
      expect(presence.waiting).toBeLessThanOrEqual(2);
    },
  );

  test("goes on after a call that has not ended within 10 s, counts and logs it", async () => {
    const calls: string[] = [];
    const { presence, reports, clock, lines } = create({
      joined: () => new Promise(() => {}),
      left: ({ id }) => void calls.push(`left ${id}`),
    });
    presence.notify("joined", alice);
    presence.notify("left", alice);
    await clock.pass(9_999);
    expect(calls).toEqual([]);
    await clock.pass(1);
    await presence.idle();
    expect(calls).toEqual(["left alice"]);
    expect(reports.stats().hooks).toEqual({ joined: { errors: 1, dropped: 0 } });
    expect(lines[0]!.fields["error"]).toMatchObject({ code: "timeout", hook: "joined" });
  });

  test("calls left after a joined that ended its own client and takes its time", async () => {
    const calls: string[] = [];
    const { presence } = create({
      async joined(client) {
        client.close();
        await settled();
        calls.push("joined ends");
      },
      left: () => void calls.push("left"),
    });
    const close = () => presence.notify("left", client);
    const client: Client = { ...alice, close };
    presence.notify("joined", client);
    await presence.idle();
    expect(calls).toEqual(["joined ends", "left"]);
  });

  test("makes no promise and keeps nothing of hooks that make none", () => {
    const calls: string[] = [];
    const { presence, clock } = create({
      joined: (client) => (calls.push("joined"), client.close()),
      left: () => void calls.push("left"),
    });
    const client: Client = { ...alice, close: () => presence.notify("left", client) };
    presence.notify("joined", client);
    expect(calls).toEqual(["joined", "left"]);
    expect(presence.waiting).toBe(0);
    expect(clock.asked).toEqual([]);
  });

  test("stop() lets no call begin any more", async () => {
    const { calls, end, hooks } = controlled();
    const { presence } = create(hooks);
    presence.notify("joined", alice);
    presence.notify("left", alice);
    presence.stop();
    presence.notify("joined", createFakeClient("bob"));
    await end();
    await presence.idle();
    expect(calls).toEqual(["joined alice"]);
  });

  test("each client's calls alternate and end as it ended, whatever the hooks wait for", async () => {
    // Of each step: which client comes or goes, and how many turns go by after it.
    const step = fc.record({ client: fc.nat(2), turns: fc.nat(2) });
    const takes = fc.array(fc.integer({ min: -1, max: 3 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), takes, async (steps, takes) => {
        const calls: [string, string][] = [];
        const busy = new Set<string>();
        const hook = (name: string) => (client: Client) => {
          expect(busy.has(client.id)).toBe(false);
          const turns = takes[calls.push([client.id, name]) % takes.length]!;
          if (turns < 0) return;
          busy.add(client.id);
          return turnsLater(turns).then(() => void busy.delete(client.id));
        };
        const { presence } = create({ joined: hook("joined"), left: hook("left") });
        const here = new Set<number>();
        for (const { client, turns } of steps) {
          const isHere = here.delete(client);
          if (!isHere) here.add(client);
          presence.notify(isHere ? "left" : "joined", createFakeClient(`${client}`));
          await turnsLater(turns);
        }
        await presence.idle();
        for (const client of [0, 1, 2]) {
          const own = calls.filter(([id]) => id === `${client}`).map(([, name]) => name);
          expect(own).toEqual(own.map((_, i) => (i % 2 === 0 ? "joined" : "left")));
          expect(own.length % 2 === 1).toBe(here.has(client));
        }
      }),
      { numRuns: 100 },
    );
  });
});

async function turnsLater(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
