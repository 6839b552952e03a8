/** A plugin that a user writes to guard chat rooms, run by the executable: cookie, header, room, reason. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Folder, start, tidewire, type RunningServer } from "./executable.ts";

const GUARD = `import { definePlugin, t } from "tidewire";
import { timingSafeEqual } from "node:crypto";

/** Who has which key, and the rooms that each is a member of. */
const Member = t.Object({ key: t.String({ minLength: 8 }), rooms: t.Array(t.String()) });

export default definePlugin({
  name: "members",
  options: t.Object({ members: t.Record(t.String(), Member) }),
  setup({ options, channel }) {
    const room = channel.params.room ?? "";
    const find = (key: string) =>
      Object.entries(options.members).find(([, member]) => isSame(member.key, key));
    return {
      async authorize({ action, headers, cookies, params }) {
        const bearer = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1];
        const key = bearer ?? cookies.get("session");
        if (key === undefined) return { deny: "neither a token nor a session" };
        const found = find(key);
        if (!found) return { deny: "a key that nobody has" };
        const [name, { rooms }] = found;
        if (params.room !== room) throw new Error("asked for another room");
        if (!rooms.includes(room)) return { deny: name + " is no member of " + room };
        if (action === "publish" && room === "news") return { deny: "news is read-only" };
        return "allow";
      },
    };
  },
});

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
`;

const CONFIG = `server: { listen: 127.0.0.1:0 }
log: { format: json }
channels:
  chat/{room}:
    publish: authorized
    plugins:
      - use: ./members.ts
        with:
          members:
            ada: { key: ada-s-key-1, rooms: [lobby, news] }
            bob: { key: "bob's key 2", rooms: [lobby] }
`;

const ADA = { authorization: "Bearer ada-s-key-1" };
const BOB = { cookie: `theme=dark; session=${encodeURIComponent("bob's key 2")}` };

describe("a plugin with authorize, in the executable", () => {
  let folder: Folder;
  let server: RunningServer;

  beforeAll(async () => {
    folder = new Folder({ "tidewire.yaml": CONFIG, "members.ts": GUARD });
    server = await start(folder);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const url = (room: string) => `${server.publicUrl}/channels/chat/${room}`;
  const read = async (room: string, headers: Record<string, string> = {}) =>
    (await fetch(`${url(room)}?wait=0`, { headers })).status;
  const say = (room: string, headers: Record<string, string> = {}) =>
    fetch(url(room), {
      method: "POST",
      body: '{"text":"hi"}',
      headers: { "content-type": "application/json", ...headers },
    });

  test("is fine to check", async () => {
    expect(await tidewire(folder, ["check"])).toMatchObject({ code: 0 });
  });

  test("lets in by a token in a header and by a session in a cookie, room by room", async () => {
    expect([await read("lobby", ADA), await read("news", ADA)]).toEqual([204, 204]);
    expect([await read("lobby", BOB), await read("news", BOB)]).toEqual([204, 403]);
    expect([await read("lobby"), await read("lobby", { cookie: "session=%zz" })]).toEqual([
      403, 403,
    ]);
  });

  test("tells the client nothing but that it is denied, and the log why", async () => {
    const denied = await say("news", ADA);
    expect([denied.status, denied.headers.get("content-type")]).toEqual([
      403,
      "application/problem+json",
    ]);
    expect(await denied.json()).toEqual({
      type: "urn:tidewire:problem:forbidden",
      title: "forbidden",
      status: 403,
      detail: "you may not publish to this channel; the server's log says why",
    });
    const line = await server.log.line((text) => text.includes("news is read-only"));
    expect(JSON.parse(line)).toMatchObject({
      level: "info",
      message: "access denied",
      plugin: "members",
      channel: "chat/news",
      action: "publish",
      transport: "post",
      address: "127.0.0.1",
    });
    expect(server.log.lines.join("\n")).not.toMatch(/ada-s-key|bob's|bob%27s/);
  });

  test("lets a member publish, by POST and on a WebSocket that it was let into", async () => {
    expect((await say("lobby", BOB)).status).toBe(201);
    // Bun's own client may set headers, as one outside of browsers can.
    const socket = new WebSocket(url("lobby").replace("http", "ws"), { headers: BOB } as never);
    const heard = new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
    socket.onopen = () => socket.send("from the socket");
    expect(await heard).toBe("from the socket");
    socket.close();
  });
});

test("`publish: authorized` where no plugin has the hook ends the start with the reason", async () => {
  using folder = new Folder({
    "tidewire.yaml": `server: { listen: 127.0.0.1:0 }
channels:
  orders:
    publish: authorized
    plugins: [{ use: echo }]
`,
  });
  expect((await tidewire(folder, ["check"])).code).toBe(0);
  const { code, stderr } = await tidewire(folder, ["run"]);
  expect(code).toBe(1);
  expect(stderr).toContain("no plugin of this channel has the hook authorize");
});
