/** The version of Tidewire: fixed in an executable when it is built, read from package.json in source. */
import { readFileSync } from "node:fs";

/** Put in place by build.ts. */
declare const TIDEWIRE_VERSION: string | undefined;

export const VERSION: string =
  typeof TIDEWIRE_VERSION === "string" ? TIDEWIRE_VERSION : readVersion();

function readVersion(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
