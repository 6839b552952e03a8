import { expect, test } from "bun:test";
import { ConnectionCount } from "./connection-count.ts";

function holderAt(address: string) {
  let asked = 0;
  const holder = {
    get address() {
      asked++;
      return address;
    },
  };
  return { holder, asked: () => asked };
}

test("ConnectionCount asks nobody for an address where none is limited", () => {
  const connections = new ConnectionCount(10);
  const { holder, asked } = holderAt("192.0.2.1");
  connections.check(holder);
  connections.hold(holder);
  connections.release(holder);
  expect([connections.count, asked()]).toEqual([0, 0]);
});

test("ConnectionCount counts those by their addresses who held one before that was limited", () => {
  const connections = new ConnectionCount(10);
  const [one, two] = [holderAt("192.0.2.1").holder, holderAt("192.0.2.1").holder];
  connections.hold(one);
  connections.hold(two);
  expect(connections.most).toBe(2);
  connections.release(one);
  expect(connections.most).toBe(1);
  connections.hold(one);
  connections.update(10, 2);
  expect(() => connections.check(one)).toThrow("your address holds 2 connections");
  connections.release(two);
  connections.check(one);
  connections.release(one);
  expect([connections.count, connections.most]).toEqual([0, 0]);
});

test("ConnectionCount looks for those who have left before it refuses anybody, or says how many there are", () => {
  for (const [limit, perAddress] of [
    [1, null],
    [10, 1],
  ] as const) {
    let hasLeft = false;
    const { holder } = holderAt("192.0.2.1");
    const connections: ConnectionCount = new ConnectionCount(limit, perAddress, () => {
      if (hasLeft) connections.release(holder);
      hasLeft = false;
    });
    connections.hold(holder);
    expect(() => connections.check(holder)).toThrow("try again later");
    hasLeft = true;
    connections.check(holder);
    connections.hold(holder);
    hasLeft = true;
    expect(connections.count).toBe(0);
    connections.hold(holder);
    hasLeft = true;
    expect(connections.most).toBe(0);
  }
});
