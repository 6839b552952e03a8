/** A real nginx, where one is installed. */
import { expect } from "bun:test";
import { WrittenLog, type Folder } from "./executable.ts";

/**
 * Starts nginx in the foreground when `nginx -t` finds nothing wrong.
 *
 * @param site What stands in the `http` block of its config.
 */
export async function startNginx(folder: Folder, site: string): Promise<AsyncDisposable> {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  folder.write(
    "nginx.conf",
    `daemon off; pid nginx.pid; error_log stderr notice; events {}
http {
access_log off;
${temporary.map((name) => `${name}_temp_path ${name};`).join(" ")}
${site}}
`,
  );
  const command = ["nginx", "-p", folder.path, "-e", "stderr", "-c", "nginx.conf"];
  const check = Bun.spawnSync([...command, "-t"], { stderr: "pipe" });
  expect(check.stderr.toString()).toContain("test is successful");
  const nginx = Bun.spawn(command, { stdout: "ignore", stderr: "pipe" });
  await new WrittenLog(nginx.stderr).line((line) => line.includes("start worker process "));
  return {
    [Symbol.asyncDispose]: async () => {
      nginx.kill();
      await nginx.exited;
    },
  };
}
