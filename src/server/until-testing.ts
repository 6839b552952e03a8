/**
 * Waits until `test` holds, where there is no event to wait for.
 *
 * @throws {Error} When it does not within `ms` milliseconds.
 */
export async function until(test: () => boolean, ms = 25_000): Promise<void> {
  const end = Date.now() + ms;
  while (!test()) {
    if (Date.now() > end) throw new Error(`it did not come to hold in ${ms} ms: ${test}`);
    await Bun.sleep(2);
  }
}
