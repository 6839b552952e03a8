import { expect, test } from "bun:test";
import type { CodingName } from "./accept-encoding.ts";
import { Codings } from "./codings.ts";

const accepting = (coding: string | null) =>
  new Request(
    "http://localhost/",
    coding === null ? {} : { headers: { "accept-encoding": coding } },
  );

const codings = new Codings({ http: ["zstd", "gzip"], websocket: false, minBytes: 1 });

test("Codings.body() is in the config's order", () => {
  expect(codings.body(accepting("gzip, zstd"))?.name).toBe("zstd");
  expect(codings.body(accepting("gzip"))?.name).toBe("gzip");
  expect(codings.body(accepting("br"))).toBeNull();
  expect(codings.body(accepting(null))).toBeNull();
});

test("Codings.stream() is gzip where the client likes zstd no better", () => {
  expect(codings.stream(accepting("gzip, deflate, br, zstd")).name).toBe("gzip");
  expect(codings.stream(accepting("zstd, gzip;q=0.9")).name).toBe("zstd");
  expect(codings.stream(accepting("zstd")).name).toBe("zstd");
  expect(codings.stream(accepting("br")).name).toBe("identity");
  expect(codings.stream(accepting(null)).name).toBe("identity");
});

test("Codings offer what the config has now, to one who asked before too", () => {
  const compression = { http: ["gzip"] as readonly CodingName[], websocket: false, minBytes: 1 };
  const changing = new Codings(compression);
  const names = () => {
    const request = accepting("gzip, zstd");
    return [changing.body(request)?.name, changing.stream(request).name];
  };
  expect(names()).toEqual(["gzip", "gzip"]);
  compression.http = ["zstd"];
  expect(names()).toEqual(["zstd", "zstd"]);
  compression.http = [];
  expect(names()).toEqual([undefined, "identity"]);
});

test("Codings.minFrameBytes is no frame's size where WebSockets are not compressed", () => {
  expect(codings.minFrameBytes).toBe(Infinity);
  expect(new Codings({ http: [], websocket: true, minBytes: 7 }).minFrameBytes).toBe(7);
});
