/**
 * What a plugin's test imports: `import { start } from "tidewire/testing"`.
 *
 * The public entry of the harness: the declarations of "tidewire/testing" are made from this file, and
 * preload.ts gives it to tests.
 */
export { start, startChannel, use } from "./start.ts";
export type { ChannelOptions, Given, StartOptions, Use } from "./start.ts";
export type { AuthorizeOptions, TestChannel, TestClock } from "./test-channel.ts";
export type { Answer, ClientOptions, TestClient } from "./test-client.ts";
export type { LogLine } from "./recorded-log.ts";
export type { Sent } from "./sent.ts";
