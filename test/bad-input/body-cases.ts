/** Generated bodies, each with something wrong in it. */
import { CONTROL_PATHS, HOST, PATHS, request, type Generator } from "./case.ts";

export const TYPES = [
  "application/json",
  "text/plain",
  "application/octet-stream",
  "application/x-ndjson",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "APPLICATION/JSON; charset=latin1",
  "nonsense",
  ";;;",
];

export const badBody: Generator = (random) => {
  const body = random.pick([
    () => random.bytes(random.below(200)),
    () => Buffer.from([0x22, 0xff, 0xfe, 0x22]),
    () => '{"a":',
    () => "{'a':1}",
    () => `${"[".repeat(random.pick([100, 20_000]))}`,
    () => `${"[".repeat(8000)}${"]".repeat(8000)}`,
    () => `{"text":${JSON.stringify(random.text())},"n":1e999}`,
    () => '{"text":1}\n{"text":\n',
    () => "\n".repeat(random.pick([1, 50_000])),
    () => "x".repeat(random.pick([17_000, 200_000])),
    () => JSON.stringify(random.text()),
    () => "",
  ])();
  const buffer = typeof body === "string" ? Buffer.from(body) : body;
  const coding = random.chance(0.1)
    ? [`Content-Encoding: ${random.pick(["gzip", "br", "x"])}`]
    : [];
  const head = [
    `POST ${random.pick(PATHS)}${random.chance(0.3) ? `?event=${random.pick(["%00", "a%0Ab", "tidewire:x", "x".repeat(300)])}` : ""} HTTP/1.1`,
    HOST,
    `Content-Type: ${random.pick(TYPES)}`,
    `Content-Length: ${buffer.length}`,
    ...coding,
  ];
  return { kind: "body", bytes: request(head, buffer), then: "half" };
};

export const badControl: Generator = (random) => {
  const value = () =>
    random.pick<unknown>([
      random.text(),
      1,
      null,
      [],
      {},
      "check",
      "room/a",
      ["check"],
      "room/%zz",
      true,
    ]);
  const entry = () => {
    const names = ["channel", "channels", "data", "event", "key", "encoding", "__proto__", "x"];
    const members = Array.from(
      { length: random.below(5) },
      () => [random.pick(names), value()] as const,
    );
    return `{${members.map(([name, item]) => `${JSON.stringify(name)}:${JSON.stringify(item)}`).join(",")}}`;
  };
  const body = Buffer.from(
    random.pick([
      entry,
      () => `[${entry()},${entry()}]`,
      () => `${entry()}\n${entry()}`,
      () => random.text(),
      () => "[]",
    ])(),
  );
  const head = [
    `${random.pick(["POST", "POST", "PUT", "GET"])} ${random.pick(CONTROL_PATHS)}${random.chance(0.2) ? `?channel=${encodeURIComponent(random.text())}` : ""} HTTP/1.1`,
    random.chance(0.8) ? HOST : `Host: ${random.pick(["evil.example", "a b", "[::1", ""])}`,
    `Content-Type: ${random.pick(TYPES)}`,
    `Content-Length: ${body.length}`,
  ];
  return { kind: "control", listener: "control", bytes: request(head, body), then: "half" };
};
