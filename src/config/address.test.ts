import { describe, expect, test } from "bun:test";
import { clash, isLoopback, parseAddress, parseTcpAddress } from "./address.ts";

describe("parseTcpAddress()", () => {
  test.each([
    ["127.0.0.1:8080", "127.0.0.1", 8080],
    [":8080", "0.0.0.0", 8080],
    ["[::1]:0", "::1", 0],
    ["localhost:65535", "localhost", 65535],
    ["my-host.example.org:1", "my-host.example.org", 1],
  ])("reads %p", (text, hostname, port) => {
    expect(parseTcpAddress(text)).toEqual({ hostname, port });
  });

  test.each([
    ["", "is not an address"],
    ["localhost", "is not an address"],
    ["8080", "is not an address"],
    ["::1", "is not an address"],
    ["::1:8080", "is not an address"],
    ["localhost:http", "is not an address"],
    ["localhost:", "is not an address"],
    ["localhost:80 ", "is not an address"],
    ["localhost:65536", "a port is at most 65535"],
    ["256.0.0.1:80", "is not a host name"],
    ["1.2.3:80", "is not a host name"],
    ["-a:80", "is not a host name"],
    ["a b:80", "is not a host name"],
    ["[127.0.0.1]:80", "is not an IPv6 address"],
    ["unix:/run/x", "for the control listener alone"],
  ])("refuses %p", (text, message) => {
    expect(() => parseTcpAddress(text)).toThrow(message);
  });
});

describe("parseAddress()", () => {
  test("reads a unix socket with an absolute path", () => {
    expect(parseAddress("unix:/run/tidewire.sock")).toEqual({ unix: "/run/tidewire.sock" });
  });

  test("refuses a relative path and one that the kernel would cut", () => {
    expect(() => parseAddress("unix:tidewire.sock")).toThrow("absolute path");
    expect(() => parseAddress(`unix:/${"x".repeat(107)}`)).toThrow("at most 107 bytes");
    expect(parseAddress(`unix:/${"x".repeat(106)}`)).toHaveProperty("unix");
  });
});

test("isLoopback() knows this machine by each of its names", () => {
  const is = (text: string) => isLoopback(parseAddress(text));
  for (const text of [
    "127.0.0.1:1",
    "127.8.8.8:1",
    "[::1]:1",
    "[0:0:0:0:0:0:0:1]:1",
    "LocalHost:1",
  ]) {
    expect(is(text)).toBe(true);
  }
  for (const text of [
    ":1",
    "[::]:1",
    "10.0.0.1:1",
    "127.example.org:1",
    "localhost.example.org:1",
  ]) {
    expect(is(text)).toBe(false);
  }
});

test("clash() sees what can't listen at once", () => {
  const clashes = (a: string, b: string) => clash(parseAddress(a), parseAddress(b));
  expect(clashes("127.0.0.1:80", "127.0.0.1:80")).toBe(true);
  expect(clashes(":80", "127.0.0.1:80")).toBe(true);
  expect(clashes("127.0.0.1:80", "127.0.0.2:80")).toBe(false);
  expect(clashes("127.0.0.1:80", "127.0.0.1:81")).toBe(false);
  expect(clashes("127.0.0.1:0", "127.0.0.1:0")).toBe(false);
  expect(clashes("127.0.0.1:80", "LocalHost:80")).toBe(true);
  expect(clashes("[0:0::1]:80", "localhost:80")).toBe(true);
  expect(clashes("[::1]:80", "127.0.0.1:80")).toBe(false);
  expect(clashes("localhost:80", "127.0.0.1:81")).toBe(false);
  expect(clashes("unix:/a", "unix:/a")).toBe(true);
  expect(clashes("unix:/a", "127.0.0.1:80")).toBe(false);
});
