/** What the npm servers share: a plain Node server on which POST publishes, as on all the others. */
import { createServer } from "node:http";

/**
 * @param {(data: string) => void} publish Called with each body.
 * @param {(request: import("node:http").IncomingMessage, response: import("node:http").ServerResponse) => void} [subscribe]
 */
export function publishServer(publish, subscribe) {
  return createServer((request, response) => {
    if (request.method !== "POST") {
      if (subscribe) return subscribe(request, response);
      return response.writeHead(404).end();
    }
    let data = "";
    request.setEncoding("utf8");
    request.on("data", (chunk) => (data += chunk));
    request.on("end", () => {
      publish(data);
      response.writeHead(204).end();
    });
  });
}

/** @param {import("node:http").Server} server */
export function listen(server) {
  server.requestTimeout = 0;
  server.listen(Number(process.argv[2]), "127.0.0.1", 4096);
}
