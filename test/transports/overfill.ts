/** What fills the buffer of a client that does not read. */

/** `limits.buffer` of the servers that are filled. */
export const BUFFER = 256 * 1024;
/** Bytes of a message that few fill it with. */
export const BIG = "x".repeat(100_000);
/** More of them than any kernel buffers for one connection. */
export const MOST = 400;
