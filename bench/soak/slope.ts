/** Tells what grows from what goes up and down: least squares over a run's second half. */

export interface Sample {
  /** Seconds since the start. */
  readonly s: number;
  readonly value: number;
}

export interface Slope {
  /** Of the value, a minute. */
  readonly perMinute: number;
  /** Standard error of it. */
  readonly error: number;
}

/** Windows of the second half: enough for an error, few enough to be longer than a collector's cycle. */
const WINDOWS = 12;

/** So many standard errors off, growth is no chance: see bench/README.md. */
const SIGNIFICANT = 4;

/**
 * The slope of the least of each window: memory that is collected comes back to what is in use, and what
 * leaks does not.
 *
 * @param samples Of all of the run, in order.
 * @returns NaN for what too few samples say.
 */
export function slopeOfMinima(samples: readonly Sample[]): Slope {
  const half = secondHalf(samples);
  const from = half[0]?.s ?? 0;
  const width = ((half.at(-1)?.s ?? 0) - from) / WINDOWS;
  const minima: (Sample | undefined)[] = [];
  for (const sample of half) {
    const window = Math.min(WINDOWS - 1, Math.floor((sample.s - from) / width));
    const least = minima[window];
    if (!least || sample.value < least.value) minima[window] = sample;
  }
  const found = minima.filter((each) => each !== undefined);
  return fit(found.map(({ s, value }) => ({ s, beside: 0, value })));
}

/** A sample with what else it depends on, such as a number of clients. */
export interface Beside extends Sample {
  readonly beside: number;
}

/** The slope over time of what also goes with something else, that taken out. */
export function slopeBeside(samples: readonly Beside[]): Slope {
  return fit(secondHalf(samples));
}

/** Whether it grows by more than `threshold` a minute, and not by chance. */
export function grows({ perMinute, error }: Slope, threshold: number): boolean {
  return perMinute - SIGNIFICANT * error > threshold;
}

function secondHalf<T extends Sample>(samples: readonly T[]): readonly T[] {
  const middle = ((samples[0]?.s ?? 0) + (samples.at(-1)?.s ?? 0)) / 2;
  return samples.filter(({ s }) => s >= middle);
}

/** Ordinary least squares of `value` on time and on `beside`, where that changes at all. */
function fit(samples: readonly Beside[]): Slope {
  const { length } = samples;
  const mean = (of: (sample: Beside) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / length;
  const [meanS, meanBeside, meanValue] = [
    mean(({ s }) => s),
    mean(({ beside }) => beside),
    mean(({ value }) => value),
  ];
  let [ss, sb, bb, sv, bv] = [0, 0, 0, 0, 0];
  for (const sample of samples) {
    const [s, b, v] = [sample.s - meanS, sample.beside - meanBeside, sample.value - meanValue];
    ss += s * s;
    sb += s * b;
    bb += b * b;
    sv += s * v;
    bv += b * v;
  }
  const isBeside = bb > 0;
  const determinant = isBeside ? ss * bb - sb * sb : ss;
  const slope = isBeside ? (sv * bb - bv * sb) / determinant : sv / determinant;
  const other = isBeside ? (bv * ss - sv * sb) / determinant : 0;
  let residue = 0;
  for (const { s, beside, value } of samples) {
    residue += (value - meanValue - slope * (s - meanS) - other * (beside - meanBeside)) ** 2;
  }
  const free = length - (isBeside ? 3 : 2);
  const variance = free > 0 ? residue / free : NaN;
  const error = Math.sqrt((variance * (isBeside ? bb : 1)) / determinant);
  return { perMinute: slope * 60, error: error * 60 };
}
