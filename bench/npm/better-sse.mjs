/** better-sse: a channel that every session is registered with. */
import { createChannel, createSession } from "better-sse";
import { listen, publishServer } from "./http-publish.mjs";

const channel = createChannel();
const server = publishServer(
  (data) => channel.broadcast(JSON.parse(data), "message"),
  async (request, response) => channel.register(await createSession(request, response)),
);
listen(server);
