/** Says what went wrong with messages while their server was ended again and again. */

export interface Kept {
  readonly id: string;
  /** `<publisher>:<number>`, both once in a run. */
  readonly text: string;
}

/** What one subscriber was given in all lives, in its order. */
export interface Followed {
  readonly name: string;
  readonly received: readonly Kept[];
  readonly gaps: readonly string[];
}

export interface Evidence {
  /** The channel's whole history at the end. */
  readonly history: readonly Kept[];
  /** Answers that publishers were given. */
  readonly acknowledged: readonly Kept[];
  /** Texts that were published as one: all or none. */
  readonly batches: readonly (readonly string[])[];
  readonly followed: readonly Followed[];
  /** Each publish that was taken has to be answered, too. */
  readonly mustAnswer: boolean;
}

/** One line for each fault; none when all is well. */
export function judge(evidence: Evidence): string[] {
  return [
    ...judgeHistory(evidence),
    ...judgeAnswers(evidence),
    ...judgeBatches(evidence),
    ...evidence.followed.flatMap((each) => [...judgeFollowed(each, evidence.history)]),
  ];
}

function* judgeHistory({ history }: Evidence): Generator<string> {
  const [epoch] = (history[0]?.id ?? "").split("-");
  const texts = new Set<string>();
  const newest = new Map<string, number>();
  for (const [index, { id, text }] of history.entries()) {
    if (id !== `${epoch}-${index + 1}`) yield `history: ${id} stands at place ${index + 1}`;
    if (texts.has(text)) yield `history: ${text} is there twice, again at ${id}`;
    texts.add(text);
    const [publisher = "", number] = text.split(":");
    if (Number(number) <= (newest.get(publisher) ?? 0)) yield `history: ${text} comes too late`;
    newest.set(publisher, Number(number));
  }
}

function* judgeAnswers({ history, acknowledged, mustAnswer }: Evidence): Generator<string> {
  const texts = new Map(history.map(({ id, text }) => [id, text]));
  const answered = new Set<string>();
  for (const { id, text } of acknowledged) {
    answered.add(text);
    const kept = texts.get(id);
    if (kept !== text) yield `${text} was acknowledged as ${id}, which is ${kept ?? "lost"}`;
  }
  if (!mustAnswer) return;
  for (const { text } of history) if (!answered.has(text)) yield `${text} was taken, not answered`;
}

function* judgeBatches({ history, batches }: Evidence): Generator<string> {
  const places = new Map(history.map(({ text }, index) => [text, index]));
  for (const batch of batches) {
    const found = batch.map((text) => places.get(text));
    if (found.every((place) => place === undefined)) continue;
    const [first] = found;
    const isWhole = found.every((place, i) => place === first! + i);
    if (!isWhole) yield `of the batch ${batch[0]} to ${batch.at(-1)} a part was kept, or apart`;
  }
}

function* judgeFollowed(
  { name, received, gaps }: Followed,
  history: readonly Kept[],
): Generator<string> {
  for (const gap of gaps) yield `${name} was told of a gap: ${gap}`;
  const length = Math.max(received.length, history.length);
  for (let i = 0; i < length; i++) {
    const [got, kept] = [received[i], history[i]];
    if (got?.id === kept?.id && got?.text === kept?.text) continue;
    const show = (each: Kept | undefined) => (each ? `${each.id} (${each.text})` : "nothing");
    // All that follows is wrong for the same reason.
    return yield `${name} got ${show(got)} as number ${i + 1}, not ${show(kept)}`;
  }
}
