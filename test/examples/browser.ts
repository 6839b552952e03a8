/** The real Chromium, headless, for pages that have to work in one. */
import { chromium, type Browser } from "playwright-core";

/**
 * Starts Chromium with an empty profile. It ends with this process at the latest.
 *
 * @param hosts Where it goes in place of a host and port of a URL, which stay as they are for the page:
 *   `{ "localhost:8080": "127.0.0.1:41234" }`.
 */
export function startBrowser(hosts: Readonly<Record<string, string>>): Promise<Browser> {
  const rules = Object.entries(hosts).map(([from, to]) => `MAP ${from} ${to}`);
  return chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--host-resolver-rules=${rules.join(", ")}`,
    ],
  });
}
