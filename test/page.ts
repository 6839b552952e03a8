/** Runs scripts in pages of a real browser. */
import type { Browser, ConsoleMessage } from "playwright-core";

const LIMIT_MS = 10_000;

/**
 * Runs a module in a page and gives what it logs: the arguments of each `console.log`, as values.
 *
 * @param url The page, whose origin the module has.
 * @param lines How many to wait for; the page is closed then, so the module may run for ever.
 * @throws {Error} When the module throws, or logs too little in 10 s.
 */
export async function logOf(
  browser: Browser,
  url: string,
  module: string,
  lines: number,
): Promise<unknown[][]> {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(url);
  const logged: ConsoleMessage[] = [];
  const enough = Promise.withResolvers<void>();
  page.on("pageerror", enough.reject);
  page.on("console", (line) => {
    // The browser has lines of its own there: the page has no icon.
    if (line.type() === "log" && logged.push(line) === lines) enough.resolve();
  });
  void page.addScriptTag({ type: "module", content: module }).catch(() => {});
  // Before the test's own limit: Bun kills all child processes when a test takes too long.
  const tooLate = () =>
    enough.reject(
      new Error(`the script logs ${logged.length} of ${lines} lines in ${LIMIT_MS / 1000} s`),
    );
  const late = setTimeout(tooLate, LIMIT_MS);
  try {
    await enough.promise;
    const values = logged
      .slice(0, lines)
      .map((line) => Promise.all(line.args().map((value) => value.jsonValue())));
    return await Promise.all(values);
  } finally {
    clearTimeout(late);
    await context.close();
  }
}
