/** Lets errors of the harness point at the author's line rather than into the harness. */
import { PluginError } from "../../plugin/errors.ts";

/**
 * Runs a call of the harness; an error that is its own gets the stack of whoever called it.
 *
 * @param call The function that the author called: it and what it calls are left out of the stack.
 */
export async function fromCaller<T>(call: Function, work: () => Promise<T>): Promise<T> {
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, call);
  try {
    return await work();
  } catch (error) {
    // The stack of a plugin's error is that of its author's code already.
    if (!(error instanceof Error) || error instanceof PluginError) throw error;
    const stack = site.stack ?? "";
    const at = stack.search(/^\s+at /m);
    if (at !== -1) error.stack = `${error.name}: ${error.message}\n${stack.slice(at)}`;
    throw error;
  }
}
