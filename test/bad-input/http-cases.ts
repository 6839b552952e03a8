/** Generated HTTP/1.1 requests, each with something wrong in it. */
import { badBody, badControl, TYPES } from "./body-cases.ts";
import { CONTROL_PATHS, HOST, PATHS, request, type Case, type Generator } from "./case.ts";
import type { Random } from "./random.ts";

const METHODS = [
  "GET",
  "POST",
  "PUT",
  "DELETE",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "QUERY",
  "PURGE",
];

function path(random: Random): string {
  return random.pick(PATHS);
}

/** A character that has no place in what it is put into, but for the line ends. */
function control(random: Random): string {
  return String.fromCharCode(random.pick([0, 1, 7, 8, 9, 11, 12, 27, 127, 128, 255]));
}

const badRequestLine: Generator = (random) => {
  const line = random.pick([
    () => `${control(random)}GET ${path(random)} HTTP/1.1`,
    () => `GET  ${path(random)}  HTTP/1.1`,
    () => `GET\t${path(random)}\tHTTP/1.1`,
    () => `get ${path(random)} HTTP/1.1`,
    () => `G${control(random)}T ${path(random)} HTTP/1.1`,
    () => `GET ${path(random)}`,
    () => `GET ${path(random)} HTTP/${random.pick(["0.9", "1.2", "2.0", "9", "1.1.1", "x"])}`,
    () => `GET ${path(random)} HTTPS/1.1`,
    () =>
      `GET ${random.pick(["*", "foo", "?x", "#x", "", "http:", "http://", "://", "a:80"])} HTTP/1.1`,
    () => `CONNECT ${random.pick(["a:80", "a", "/x", "[::1]:1"])} HTTP/1.1`,
    () => `OPTIONS * HTTP/1.1`,
    () =>
      `GET http://${random.pick(["[", "a b", "evil:99999", "u:p@x", "/"])}${path(random)} HTTP/1.1`,
    () => `${random.text()} ${path(random)} HTTP/1.1`,
    () => `GET /${"x".repeat(random.pick([8000, 16_000, 70_000]))} HTTP/1.1`,
    () => `GET ${path(random)}${control(random)} HTTP/1.1`,
    () => `PRI * HTTP/2.0`,
    () => random.bytes(1 + random.below(60)).toString("latin1"),
  ])();
  // What the server takes for the beginning of a line may lack its end.
  return { kind: "request line", bytes: request([line, HOST]), then: "half" };
};

const badHeaders: Generator = (random) => {
  const { listener, target } = random.pick([
    { listener: "public" as const, target: `${path(random)}?wait=0` },
    { listener: "control" as const, target: random.pick(CONTROL_PATHS) },
  ]);
  const header = random.pick([
    () => `${control(random)}: x`,
    () => `X: a${control(random)}b`,
    () => `X : y`,
    () => `no colon`,
    () => `: empty`,
    () => `X: y\r\n folded`,
    () => `X: y\rZ: q`,
    () => `X: y\nZ: q`,
    () => `X: ${"y".repeat(random.pick([5000, 20_000, 100_000]))}`,
    () => `${"x".repeat(20_000)}: y`,
    () => Array.from({ length: random.pick([60, 150, 1000]) }, (_, i) => `X-${i}: y`).join("\r\n"),
    () => `Host: ${random.text()}`,
    () => `Host: a\r\nHost: b`,
    () => `Origin: ${random.text()}`,
    () => `Accept: ${random.text()}, text/event-stream;q=${random.text()}`,
    () => `Last-Event-ID: ${random.text() || "-"}`,
    () => `If-None-Match: ${random.text()}`,
    () => `Upgrade: ${random.pick(["h2c", "websocket", "WebSocket, h2c", "x", ""])}`,
    () => `Connection: ${random.pick(["close, keep-alive", "upgrade", "\x80", ",,,"])}`,
    () => `Expect: ${random.pick(["100-continue", "200-ok", ""])}`,
    () =>
      `Authorization: ${random.pick(["Bearer", "Bearer  ", "Basic x", `Bearer ${"x".repeat(5000)}`])}`,
    () => `Access-Control-Request-Headers: ${random.text()}`,
  ])();
  const method = random.pick(["GET", "GET", "OPTIONS", "HEAD"]);
  const encoded = Buffer.from(header).toString("latin1");
  return {
    kind: "headers",
    listener,
    bytes: request([`${method} ${target} HTTP/1.1`, HOST, encoded]),
    then: "half",
  };
};

/** Two readers must not find two different ends of a body: request smuggling (RFC 9112 §11.2). */
const badFraming: Generator = (random) => {
  const length = () =>
    `Content-Length: ${random.pick(["2", "3", "-2", "+2", "0x2", "2, 2", "2 2", "", "99999999999999999999", "1e3"])}`;
  const coding = () =>
    `Transfer-Encoding: ${random.pick(["chunked", "Chunked", "xchunked", "identity", "chunked, chunked", "gzip, chunked", "chunked, gzip", "\tchunked", ""])}`;
  const headers = random.pick([
    () => [length()],
    () => [length(), length()],
    () => [length(), coding()],
    () => [coding(), length()],
    () => [coding(), coding()],
  ])();
  const hidden = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
  const body = random.pick(["hi", "2\r\nhi\r\n0\r\n\r\n", `0\r\n\r\n${hidden}`, hidden, ""]);
  return {
    kind: "framing",
    bytes: request(
      ["POST /channels/check HTTP/1.1", HOST, "Content-Type: text/plain", ...headers],
      body,
    ),
    then: "half",
  };
};

const badChunks: Generator = (random) => {
  const body = random.pick([
    () => "zz\r\nhi\r\n0\r\n\r\n",
    () => "-1\r\nhi\r\n0\r\n\r\n",
    () => `${"f".repeat(1 + random.below(40))}\r\nhi\r\n`,
    () => "2\r\nhiXX0\r\n\r\n",
    () => "2\nhi\n0\n\n",
    () => `2;${"x".repeat(random.pick([10, 5000, 50_000]))}\r\nhi\r\n0\r\n\r\n`,
    () => "2\r\nhi\r\n0\r\nTrailer: x\r\n\r\n",
    () => "2\r\nhi\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    () => `${"1\r\nx\r\n".repeat(random.pick([10, 2000]))}0\r\n\r\n`,
    () => `${`1000\r\n${"x".repeat(4096)}\r\n`.repeat(10)}0\r\n\r\n`,
    () => random.bytes(100).toString("latin1"),
    () => "",
  ])();
  return {
    kind: "chunks",
    bytes: Buffer.concat([
      request([
        "POST /channels/check HTTP/1.1",
        HOST,
        "Content-Type: text/plain",
        "Transfer-Encoding: chunked",
      ]),
      Buffer.from(body, "latin1"),
    ]),
    then: "half",
  };
};

/** The client goes, or ends its side, before its request is whole. */
const cutOff: Generator = (random) => {
  const whole = request(
    [
      `POST ${path(random)} HTTP/1.1`,
      HOST,
      `Content-Type: ${random.pick(TYPES)}`,
      "Content-Length: 10000",
    ],
    "x".repeat(9999),
  );
  const then = random.chance(0.5) ? "vanish" : "half";
  return { kind: "cut off", bytes: whole.subarray(0, 1 + random.below(whole.length)), then };
};

const badPath: Generator = (random) => {
  const raw = random.pick([
    () => `/channels/room/${random.text()}`,
    () => `/channels/${random.text()}`,
    () => `/channels/check/messages/${random.text()}`,
    () => `/${random.text()}/messages`,
    () => `/channels/room/${"%".repeat(1 + random.below(300))}`,
    () => `/channels/room/${"%41".repeat(random.pick([10, 257, 3000]))}`,
    () => `/channels/${"room/".repeat(random.pick([5, 2000]))}`,
    () => `/${"messages/".repeat(1000)}`,
    () =>
      `/channels/room/${random
        .bytes(20)
        .toString("latin1")
        .replace(/[\s\0]/g, "x")}`,
  ])();
  const target = raw.replace(/ /g, "+");
  const method = random.pick(["GET", "GET", "POST", "DELETE"]);
  const head = [`${method} ${target}?wait=0 HTTP/1.1`, HOST, "Content-Type: text/plain"];
  return {
    kind: "path",
    bytes: request(head.map((line) => Buffer.from(line).toString("latin1"))),
    then: "half",
  };
};

const badQuery: Generator = (random) => {
  const name = () =>
    random.pick(["after", "last", "wait", "limit", "transport", "event", "key", "x"]);
  const pairs = Array.from({ length: 1 + random.below(3) }, () => `${name()}=${random.text()}`);
  // Never one that waits: the value is wrong, or it is 0.
  const query = encodeURI(pairs.join("&"))
    .replace(/%25/g, "%")
    .replace(/wait=\d[^&]*/g, "wait=x");
  const accept = random.pick(["*/*", "text/event-stream", "application/vnd.tidewire+json"]);
  const head = [
    `${random.pick(["GET", "POST"])} ${path(random)}?wait=0&${query} HTTP/1.1`,
    HOST,
    `Accept: ${accept}`,
    "Content-Length: 0",
  ];
  return { kind: "query", bytes: request(head), then: "half" };
};

const wrongMethod: Generator = (random) => {
  const head = [`${random.pick(METHODS)} ${path(random)}?wait=0 HTTP/1.1`, HOST];
  return { kind: "method", bytes: request(head), then: "half" };
};

const GENERATORS = [
  badRequestLine,
  badHeaders,
  badFraming,
  badChunks,
  cutOff,
  badPath,
  badQuery,
  badBody,
  wrongMethod,
  badControl,
];

export function httpCase(random: Random): Case {
  return { listener: "public", ...random.pick(GENERATORS)(random) };
}
