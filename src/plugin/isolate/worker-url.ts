/**
 * Where the worker's code is: a file of the source, or, in the executable, the entrypoint of the build
 * that it was made of, as build.ts names it.
 *
 * @see https://bun.sh/docs/bundler/executables
 */
export const WORKER_URL: string | URL = /\/(\$bunfs|~BUN)\//.test(import.meta.url)
  ? "./plugin/isolate/worker.ts"
  : new URL("./worker.ts", import.meta.url);
