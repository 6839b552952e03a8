/** Socket.IO, WebSocket alone, to a room. */
import { Server } from "socket.io";
import { listen, publishServer } from "./http-publish.mjs";

const server = publishServer((data) => io.to("bench").emit("message", JSON.parse(data)));
const io = new Server(server, {
  transports: ["websocket"],
  // The load answers no pings: none may come while it measures.
  pingInterval: 3_600_000,
  pingTimeout: 3_600_000,
});
io.on("connection", (socket) => void socket.join("bench"));
listen(server);
