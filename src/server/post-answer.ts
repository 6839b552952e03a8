/** What a POST is answered with, now and when the same one is sent again. */
import { joinPositions, formatPosition } from "../channel/position.ts";
import { textOf } from "../transport/text.ts";

/** What a hook sent, as it is kept: text, bytes in base64, or JSON. */
type Kept = { readonly text: string } | { readonly base64: string } | { readonly json: unknown };

/** Where a publish went to in its channel's log: one offset after the other. */
export interface Committed {
  readonly epoch: string;
  readonly first: number;
  /** `first - 1` where nothing was committed. */
  readonly last: number;
}

const JSON_TYPE = { "content-type": "application/json;charset=utf-8" };

export class PostAnswer {
  readonly #base: string;
  readonly #isMany: boolean;
  /** What `receive` hooks sent. */
  readonly #sent: unknown[] = [];
  /** It was committed, with a note of the answer: what hooks send from here on is not in it. */
  #isNoted = false;

  /**
   * @param pathname The channel's path.
   * @param isMany The answer lists all ids.
   */
  constructor(pathname: string, isMany: boolean) {
    this.#base = pathname === "/" ? "" : pathname;
    this.#isMany = isMany;
  }

  /**
   * A hook sends something to the client.
   *
   * @throws {TypeError} When it is neither text nor bytes nor JSON.
   */
  add(data: unknown): void {
    if (this.#isNoted) return;
    // Written now: what is no JSON is its sender's error, and must not fail the commit or the answer.
    this.#sent.push(isPlain(data) ? data : JSON.parse(textOf(data)));
  }

  /** All that is needed to answer again, beside the ids and the request; empty where that is nothing. */
  note(): string {
    this.#isNoted = true;
    return this.#sent.length === 0 ? "" : JSON.stringify(this.#sent.map(keep));
  }

  write({ epoch, first, last }: Committed): Response {
    if (this.#sent.length > 0) return sent(this.#sent);
    const hasIds = this.#isMany || last > first;
    if (last < first) {
      return new Response(hasIds ? '{"id":null,"ids":[]}' : '{"id":null}', {
        status: 202,
        headers: JSON_TYPE,
      });
    }
    // A position has no character that JSON escapes, and a hundred of them are most of an answer's cost.
    const id = formatPosition(epoch, last);
    const ids = hasIds ? `,"ids":["${joinPositions(epoch, first, last, '","')}"]` : "";
    return new Response(`{"id":"${id}"${ids}}`, {
      status: 201,
      headers: { ...JSON_TYPE, location: `${this.#base}/messages/${id}` },
    });
  }

  /** The answer that was given before. */
  again(committed: Committed, note: string): Response {
    if (note !== "") this.#sent.push(...(JSON.parse(note) as Kept[]).map(restore));
    const response = this.write(committed);
    response.headers.set("idempotent-replayed", "true");
    return response;
  }
}

/** What `receive` hooks sent to a client that POSTed: one answer as it is, several as an array. */
function sent(answers: readonly unknown[]): Response {
  const [first] = answers;
  if (answers.length > 1) return Response.json(answers);
  if (first instanceof Uint8Array) return new Response(first as Uint8Array<ArrayBuffer>);
  if (typeof first === "string") return new Response(textOf(first));
  return Response.json(first);
}

/** It is sent as it is. */
function isPlain(data: unknown): boolean {
  return typeof data === "string" || data instanceof Uint8Array;
}

function keep(data: unknown): Kept {
  if (typeof data === "string") return { text: data };
  return data instanceof Uint8Array ? { base64: data.toBase64() } : { json: data };
}

function restore(kept: Kept): unknown {
  if ("text" in kept) return kept.text;
  return "base64" in kept ? Uint8Array.fromBase64(kept.base64) : kept.json;
}
