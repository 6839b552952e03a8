import { describe, expect, test } from "bun:test";
import { chooseCoding, type CodingName } from "./accept-encoding.ts";

const BOTH: readonly CodingName[] = ["zstd", "gzip"];

describe("chooseCoding()", () => {
  const cases: readonly [why: string, header: string | null, coding: CodingName | null][] = [
    ["no field", null, null],
    ["an empty field", "", null],
    [
      "browsers: of what is liked as much, the first that is offered",
      "gzip, deflate, br, zstd",
      "zstd",
    ],
    ["one that is offered", "deflate, gzip", "gzip"],
    ["none that is offered", "br, deflate", null],
    ["the higher weight, whatever is offered first", "zstd;q=0.5, gzip;q=0.501", "gzip"],
    ["a weight of 0 is a no", "zstd;q=0, gzip", "gzip"],
    ["zeros behind the point are a no too", "zstd;q=0.000", null],
    ["any is all that are not named", "*", "zstd"],
    ["any but one", "*, zstd;q=0", "gzip"],
    ["any is a no", "gzip, *;q=0", "gzip"],
    ["nothing but as it is", "*;q=0", null],
    ["as it is, rather than a coding", "gzip;q=0.5, identity", null],
    ["a coding as well as as it is", "identity, gzip", "gzip"],
    ["as it is not at all, and nothing else that is offered", "identity;q=0, br", null],
    ["upper case and spaces", " GZip ;\tQ=0.9 , ZSTD; q=0.8", "gzip"],
    ["the old name of gzip", "x-gzip", "gzip"],
    ["empty items", ",, gzip,", "gzip"],
    ["a weight that is none takes its item away", "zstd;q=2, gzip;q=0.1", "gzip"],
    ["a weight with four digits is none", "zstd;q=0.0001, gzip;q=0.1", "gzip"],
    ["another parameter is none that a coding has", "zstd;level=3, gzip;q=0.1", "gzip"],
    ["words that only look like it", "zstdx, gzip2, notgzip", null],
    ["the first of two", "gzip;q=0, gzip", null],
  ];
  test.each(cases)("%s: %p", (_why, header, coding) => {
    expect(chooseCoding(header, BOTH)).toBe(coding);
  });

  test("offers in the config's order", () => {
    expect(chooseCoding("gzip, zstd", ["gzip", "zstd"])).toBe("gzip");
    expect(chooseCoding("gzip, zstd", ["gzip"])).toBe("gzip");
    expect(chooseCoding("gzip, zstd", [])).toBeNull();
  });

  test("takes no longer than the field is long", () => {
    const long = `${";q=0.1 ".repeat(2000)},${"gzip;".repeat(2000)},gzip;q=1`;
    expect(chooseCoding(long, BOTH)).toBe("gzip");
  });
});
