/** What is known of one channel: what was sent, what was acknowledged, and what stands at which offset. */
import { parsePosition, type Numbered } from "./data.ts";
import type { Flaw, Trail } from "./trail.ts";

/** Offsets whose content is remembered: more than any history of the soak. */
const REMEMBERED = 4096;
/** Messages of a source that may be under way: nobody here sends them. */
const SOURCE_SLACK = 8;

export interface ChannelRules {
  readonly name: string;
  /** Messages that its history keeps. */
  readonly history: number;
  readonly hasSource?: boolean;
}

/** What a subscriber that was level some time ago has to have by now. */
interface Mark {
  readonly ms: number;
  readonly top: number;
  readonly acknowledged: ReadonlyMap<string, number>;
}

export class Ledger {
  readonly name: string;
  readonly history: number;
  readonly #hasSource: boolean;
  /** The newest number that each publisher sent. */
  readonly sent = new Map<string, number>();
  readonly #acknowledged = new Map<string, number>();
  /** The highest offset that anybody was told of. */
  top = 0;
  #epoch: string | null = null;
  readonly #contents: string[] = new Array<string>(REMEMBERED).fill("");
  readonly #offsets = new Float64Array(REMEMBERED);
  readonly #marks: Mark[] = [];
  #isForgotten = false;

  constructor({ name, history, hasSource = false }: ChannelRules) {
    this.name = name;
    this.history = history;
    this.#hasSource = hasSource;
  }

  /** The publisher's next number, which counts as sent from here on. */
  next(publisher: string): number {
    const n = (this.sent.get(publisher) ?? 0) + 1;
    this.sent.set(publisher, n);
    return n;
  }

  /** A publish was answered. */
  acknowledge(id: string, publisher: string, n: number): Flaw | null {
    const before = this.#acknowledged.get(publisher) ?? 0;
    if (n !== before + 1) {
      return { kind: "other", text: `${publisher}:${n} was acknowledged after number ${before}` };
    }
    this.#acknowledged.set(publisher, n);
    return this.agree(id, { p: publisher, n, t: 0 });
  }

  /** All who are told what stands at an offset have to be told the same. */
  agree(id: string, { p, n, life = "" }: Numbered): Flaw | null {
    const { epoch, offset } = parsePosition(id);
    if (epoch !== this.#epoch) {
      const before = this.#epoch;
      this.#epoch = epoch;
      if (before !== null) return { kind: "gap", text: `${id} is of another epoch than ${before}` };
    }
    if (offset > this.top) this.top = offset;
    const content = `${p}:${n}${life}`;
    const slot = offset % REMEMBERED;
    if (this.#offsets[slot] === offset && this.#contents[slot] !== content) {
      const text = `${id} is ${content}, and was ${this.#contents[slot]} to others`;
      return { kind: "disorder", text };
    }
    this.#offsets[slot] = offset;
    this.#contents[slot] = content;
    return null;
  }

  /** The highest offset that the server may have reached by now. */
  get highest(): number {
    let underWay = this.#hasSource ? SOURCE_SLACK : 0;
    for (const [publisher, n] of this.sent)
      underWay += n - (this.#acknowledged.get(publisher) ?? 0);
    return this.top + underWay;
  }

  /** Nobody used the channel for longer than it keeps anything: its log may begin anew, and all may be gone. */
  forget(): void {
    this.#isForgotten = true;
    this.#epoch = null;
    this.top = 0;
    this.#offsets.fill(0);
  }

  /** Whether everything up to this offset may be gone from the history by now. */
  mayBeGone(offset: number): boolean {
    return this.#isForgotten || offset <= this.highest - this.history;
  }

  /** Whether what follows this offset is gone for sure: who resumes there has to be told of a gap. */
  isGone(offset: number): boolean {
    return offset < this.top - this.history;
  }

  /** Notes where the channel stands now; what is older than `keepMs` is forgotten but for the newest of it. */
  mark(ms: number, keepMs: number): void {
    this.#marks.push({ ms, top: this.top, acknowledged: new Map(this.#acknowledged) });
    while (this.#marks.length > 1 && this.#marks[1]!.ms <= ms - keepMs) this.#marks.shift();
  }

  /** What the trail lacks of that which was acknowledged `agoMs` before `ms`; null when nothing. */
  lacks(trail: Trail, ms: number, agoMs: number): string | null {
    const mark = this.#marks.findLast((each) => each.ms <= ms - agoMs);
    return mark ? trail.lacks(mark.top, mark.acknowledged) : null;
  }

  /** What the trail lacks of all that was acknowledged until now. */
  lacksNow(trail: Trail): string | null {
    return trail.lacks(this.top, this.#acknowledged);
  }
}
