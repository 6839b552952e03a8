import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AUTHORIZE_MS, AuthorizeChain, type Outcome } from "./authorize-chain.ts";
import { DenialLog } from "./authorize-log.ts";
import type { Asker } from "./authorize-request.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { RefusedError } from "./refused-error.ts";
import { Reports } from "./reports.ts";
import type { AccessRequest, Hooks, Verdict } from "./sdk.ts";

type Authorize = NonNullable<Hooks["authorize"]>;

const asker: Asker = {
  action: "subscribe",
  transport: "sse",
  headers: new Headers({
    cookie: "sid=s%20ecret",
    authorization: "Bearer hidden",
    origin: "https://a.example",
  }),
  query: new URLSearchParams("token=x"),
  address: "192.0.2.7",
};

function chain(...hooks: Authorize[]) {
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  const authorizers = hooks.map((authorize, index) => ({
    authorize: authorize as (request: AccessRequest) => unknown,
    reports: new Reports({ plugin: `p${index}`, channel: "chat/a", log, clock }),
  }));
  const channel = { name: "chat/a", params: Object.freeze({ room: "a" }) };
  const denials = new DenialLog(log, clock);
  const under = new AuthorizeChain(authorizers, { channel, clock, denials });
  const denied = () => lines.filter(({ message }) => message === "access denied");
  return { under, clock, lines, denied, authorizers, ask: (by = asker) => under.ask(by) };
}

describe("AuthorizeChain.ask()", () => {
  test("lets the first that allows or denies decide, and asks no further", async () => {
    const verdicts: Verdict[] = ["allow", "deny", { deny: "why" }, null, undefined];
    const isLate = fc.boolean();
    const said = fc.record({ verdict: fc.constantFrom(...verdicts), isLate });
    await fc.assert(
      fc.asyncProperty(fc.array(said, { minLength: 1, maxLength: 5 }), async (plan) => {
        const asked: number[] = [];
        const hooks = plan.map(({ verdict, isLate }, index): Authorize => () => {
          asked.push(index);
          return isLate ? Promise.resolve(verdict) : verdict;
        });
        const decisive = plan.findIndex(({ verdict }) => verdict != null);
        const expected: Outcome = plan[decisive]?.verdict === "allow" ? "allowed" : "denied";
        expect(await chain(...hooks).ask()).toBe(expected);
        const count = decisive < 0 ? plan.length : decisive + 1;
        expect(asked).toEqual(Array.from({ length: count }, (_, index) => index));
      }),
    );
  });

  test("makes no promise when no hook does", () => {
    expect(
      chain(
        () => null,
        () => "allow",
      ).ask(),
    ).toBe("allowed");
    expect(
      chain(
        () => {},
        () => "deny",
      ).ask(),
    ).toBe("denied");
  });

  test("logs who denied whom and why, and neither cookies nor headers nor the query", async () => {
    const { ask, denied, lines } = chain(() => ({ deny: "not a member" }));
    expect(ask()).toBe("denied");
    expect(denied()).toEqual([
      {
        level: "info",
        message: "access denied",
        fields: {
          plugin: "p0",
          channel: "chat/a",
          action: "subscribe",
          transport: "sse",
          address: "192.0.2.7",
          reason: "not a member",
        },
      },
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/ecret|hidden|token/);
  });

  test("says that nobody allowed it where all left it open", () => {
    const { ask, denied } = chain(
      () => null,
      () => {},
    );
    expect(ask()).toBe("denied");
    expect(denied()[0]!.fields).toMatchObject({
      plugin: null,
      reason: "none of the plugins that were asked allowed it: p0, p1",
    });
  });

  test.each<[string, Authorize]>([
    [
      "throws",
      () => {
        throw new Error("no database");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no database"))],
    [
      "rejects with a promise of another make",
      () =>
        ({
          then: (_: unknown, no: (error: Error) => void) => no(new Error("no database")),
        }) as never,
    ],
  ])("denies when a hook %s, counts it, and asks no other", async (_what, hook) => {
    const { ask, denied, lines, authorizers } = chain(hook, () => "allow");
    expect(await ask()).toBe("failed");
    expect(denied()[0]!.fields).toMatchObject({ reason: "authorize failed: no database" });
    expect(authorizers[0]!.reports.stats().hooks.authorize).toEqual({ errors: 1, dropped: 0 });
    expect(lines.filter(({ level }) => level === "error")).toHaveLength(1);
  });

  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy as Error;
  };
  const withGetter = (name: string) =>
    Object.defineProperty(new Error("odd"), name, {
      get() {
        throw new Error("looked at");
      },
    });
  test.each<[string, () => unknown]>([
    ["a revoked proxy", revoked],
    ["an error whose message throws", () => withGetter("message")],
    ["an error whose stack throws", () => withGetter("stack")],
    [
      "a refusal whose message is no text",
      () => Object.assign(new RefusedError(""), { message: 5 }),
    ],
  ])("denies when a hook throws %s, or rejects with it", async (_what, thrown) => {
    for (const hook of [
      () => {
        throw thrown();
      },
      // oxlint-disable-next-line prefer-promise-reject-errors
      () => Promise.reject(thrown()),
    ]) {
      const { ask, denied, authorizers } = chain(hook, () => "allow");
      expect(await ask()).toBe("failed");
      expect(denied().length).toBeGreaterThan(0);
      expect(authorizers[0]!.reports.stats().hooks.authorize).toEqual({ errors: 1, dropped: 0 });
    }
  });

  test("takes a RefusedError for a denial and not for a failure", () => {
    const { ask, denied, authorizers } = chain(() => {
      throw new RefusedError("banned");
    });
    expect(ask()).toBe("denied");
    expect(denied()[0]!.fields).toMatchObject({ reason: "banned" });
    expect(authorizers[0]!.reports.stats().hooks).toEqual({});
  });

  test("denies what takes longer than five seconds, and does not take its late answer", async () => {
    const late = Promise.withResolvers<Verdict>();
    const { ask, clock, denied } = chain(() => late.promise);
    let outcome: Outcome | null = null;
    void (async () => (outcome = await ask()))();
    await clock.pass(AUTHORIZE_MS - 1);
    expect(outcome).toBeNull();
    await clock.pass(1);
    expect(outcome as Outcome | null).toBe("failed");
    late.resolve("allow");
    await settled();
    expect(denied().map(({ fields }) => fields["reason"])).toEqual([
      "authorize failed: authorize did not end within 5 s",
    ]);
  });

  test("leaves no timer behind once a hook has answered", async () => {
    const { ask, clock } = chain(() => Promise.resolve("allow"));
    expect(await ask()).toBe("allowed");
    expect(clock.pending).toBe(0);
  });

  test.each([
    [true, 'true, which is no verdict (write "allow")'],
    [false, 'false, which is no verdict (write "deny")'],
    ["ALLOW", '"ALLOW"'],
    ["", '""'],
    [1, "1"],
    [{}, 'an object without "deny"'],
    [{ allow: true }, 'an object without "deny"'],
    [{ deny: 7 }, 'an object whose "deny" is a number, not a text'],
    [["allow"], "an array"],
    [() => "allow", "a function"],
  ])("denies when a hook returns %p, and says what would be right", async (returned, shown) => {
    for (const hook of [() => returned, async () => returned]) {
      const { ask, lines } = chain(hook as Authorize, () => "allow");
      expect(await ask()).toBe("failed");
      const error = lines.find(({ level }) => level === "error")!.fields["error"] as Error;
      expect(error).toMatchObject({ code: "bad-result", hook: "authorize", plugin: "p0" });
      expect(error.message).toEndWith(
        `authorize returned ${shown}; return "allow", "deny", { deny: "why" }, or nothing to leave it to the next plugin`,
      );
    }
  });
});

describe("the request", () => {
  test("has all that there is to know of who asks", () => {
    let seen: AccessRequest | null = null;
    chain((request) => {
      seen = request;
    }).ask();
    const request = seen! as AccessRequest;
    expect({ ...request }).toMatchObject({
      action: "subscribe",
      channel: "chat/a",
      params: { room: "a" },
      transport: "sse",
      address: "192.0.2.7",
      claims: null,
      origin: "https://a.example",
    });
    expect(request.cookies.get("sid")).toBe("s ecret");
    expect(request.headers.get("authorization")).toBe("Bearer hidden");
    expect(request.query.get("token")).toBe("x");
    expect(request.cookies).toBe(request.cookies);
  });

  test("is each plugin's own: what one changes no other sees, nor does the server", () => {
    const seen: unknown[] = [];
    chain(
      ({ headers, query, cookies, params }) => {
        headers.set("authorization", "forged");
        query.set("token", "forged");
        (cookies as Map<string, string>).set("sid", "forged");
        expect(() => ((params as Record<string, string>)["room"] = "b")).toThrow(TypeError);
      },
      ({ headers, query, cookies, params }) => {
        seen.push(headers.get("authorization"), query.get("token"), cookies.get("sid"), params);
      },
    ).ask();
    expect(seen).toEqual(["Bearer hidden", "x", "s ecret", { room: "a" }]);
    expect(asker.headers.get("authorization")).toBe("Bearer hidden");
    expect(asker.query.get("token")).toBe("x");
  });

  test("reads cookies and copies headers only for a plugin that looks at them", () => {
    const read: string[] = [];
    const watched = new Proxy(asker, {
      get: (target, name) => (read.push(String(name)), Reflect.get(target, name)),
    });
    chain(() => "allow").ask(watched);
    expect(read).toEqual(["action", "transport", "address"]);
  });
});
