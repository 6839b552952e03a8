/** Encodes the body of an answer to one client, which is there as a whole (RFC 9110 §8.4). */
import { codingHeaders, encodeBodyAside, weakTag } from "../transport/coding/coded-body.ts";
import type { Codings } from "../transport/coding/codings.ts";

/**
 * @returns The answer, encoded where the request allows it and it is smaller so; one that could be says that
 *   it depends on `Accept-Encoding`.
 */
export async function encodeResponse(
  response: Response,
  request: Request,
  codings: Codings,
): Promise<Response> {
  const { headers } = response;
  // Bytes are mostly of a format that is compressed already.
  if (headers.get("content-type") === "application/octet-stream") return response;
  headers.append("vary", "Accept-Encoding");
  const coding = codings.body(request);
  if (coding === null) return response;
  const body = await encodeBodyAside(await response.bytes(), coding, codings.minBytes);
  for (const [name, value] of Object.entries(codingHeaders(body))) headers.set(name, value);
  const tag = headers.get("etag");
  if (tag !== null && body.coding !== null) headers.set("etag", weakTag(tag));
  return new Response(body.content, response);
}
