/** One thing that a test expects and that is not so. */
import type { Place } from "../../diagnostic/diagnostic.ts";
import type { DiffLine } from "./diff.ts";

export interface Failure {
  /** Where the test says what is not so. */
  readonly place: Place;
  readonly message: string;
  readonly diff: readonly DiffLine[];
}
