// The package `ws` by its path has no types of its own there.
declare module "*/ws/wrapper.mjs" {
  export { WebSocket } from "ws";
}
