/** Sends frames of history to one socket, in one write where they fit. */
import { isWorthDeflating, type SocketContext } from "./socket-group.ts";
import type { Socket } from "./transport.ts";

/**
 * Sends as long as at most half of the buffer is full; the first in any case.
 *
 * @param frames At least one frame.
 * @returns How many it sent.
 */
export function sendFrames(
  socket: Socket,
  frames: readonly (string | Uint8Array)[],
  context: SocketContext,
): number {
  let sent = 0;
  // Without it each frame is a write of its own wherever Bun has not corked the socket by itself.
  socket.cork(() => {
    do {
      const frame = frames[sent++]!;
      socket.send(frame, isWorthDeflating(context, frame));
    } while (sent < frames.length && hasRoomForHistory(socket, context));
  });
  return sent;
}

/** The other half of the buffer is for what is published when a client has just caught up. */
export function hasRoomForHistory(to: Socket, { options }: SocketContext): boolean {
  return to.getBufferedAmount() * 2 < options.bufferBytes;
}

/**
 * Whether no more may wait of what is for this client alone. Messages take three quarters of the buffer and one
 * more, which may be as large as the buffer: that alone must not end a socket that lags.
 */
export function isTooFull(to: Socket, { options }: SocketContext): boolean {
  return to.getBufferedAmount() > options.bufferBytes + options.messageBytes;
}
