/** No coding: an event stream's text as it is. */
import type { StreamCoding } from "./coding.ts";

const encoder = new TextEncoder();

export const identity: StreamCoding = {
  name: "identity",
  open: (text) => encoder.encode(text),
  encode: (text) => encoder.encode(text),
  createTrailer: () => null,
};
