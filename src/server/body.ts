/** Reads a request's body, never more of it than is allowed. */
import { RequestError } from "../transport/errors.ts";

/** @throws {RequestError} 413 when the body has more than `limit` bytes, 400 when it breaks off. */
export async function readBody(request: Request, limit: number): Promise<Uint8Array> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > limit) throw tooLarge(limit);
  try {
    if (request.headers.has("content-length")) return new Uint8Array(await request.arrayBuffer());
    return await readChunks(request.body, limit);
  } catch (error) {
    if (error instanceof RequestError) throw error;
    // Reading fails for one reason: the client left. It is nothing that an operator could act on.
    throw new RequestError(400, "incomplete-body", "the connection ended before the body did");
  }
}

async function readChunks(
  body: ReadableStream<Uint8Array> | null,
  limit: number,
): Promise<Uint8Array> {
  if (body === null) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : new Uint8Array(Buffer.concat(chunks));
}

function tooLarge(limit: number): RequestError {
  // What is left of the body is not read: the connection can't be used again.
  return new RequestError(413, "too-large", `the body has more than ${limit} bytes`, {
    headers: { connection: "close" },
  });
}
