/** Answers to long-polls, made once for all polls that they are the same for. */
import type { CodedBody } from "./coding/coded-body.ts";

/** A response's parts, which any number of responses may be made of. */
export interface Answer {
  readonly body: CodedBody["content"];
  readonly headers: Headers;
}

export function answered(answer: Answer): Response {
  return new Response(answer.body, answer);
}

/** Gives what `make` gave for the same form before, or makes it. */
export type KeepBody = (form: string, make: () => CodedBody) => CodedBody;

/** What was made of one batch. Polls that go on at the same URL share an answer; others, its body. */
export class Made {
  readonly answers = new Map<string, Answer>();
  readonly #bodies = new Map<string, CodedBody>();

  readonly keepBody: KeepBody = (form, make) => {
    let body = this.#bodies.get(form);
    if (!body) this.#bodies.set(form, (body = make()));
    return body;
  };
}

/** For an answer that is one client's own. */
export const keepNothing: KeepBody = (_form, make) => make();
