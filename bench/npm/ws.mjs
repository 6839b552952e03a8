/** What one writes first: `ws`, and a loop over its clients. */
import { WebSocketServer } from "ws";
import { listen, publishServer } from "./http-publish.mjs";

const server = publishServer((data) => {
  for (const client of sockets.clients) client.send(data);
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
listen(server);
