/** JSON as applications send it: the same keys in every message, numbers and words that differ. */
const WORDS =
  "order filled partially market limit customer account session opened closed price update delivery warehouse pending review alpha omega north south".split(
    " ",
  );
const SYMBOLS = ["ACME", "INIT", "GLOBEX", "UMBRELLA", "HOOLI"];

/** @returns A message of exactly so many bytes, at least 110; another one each time. */
export function message(bytes: number): string {
  const data = {
    symbol: pick(SYMBOLS),
    price: Math.round(Math.random() * 100_000) / 100,
    volume: Math.floor(Math.random() * 1e6),
    time: Date.now() + Math.floor(Math.random() * 1000),
    side: pick(["buy", "sell"]),
    note: "",
  };
  const missing = bytes - JSON.stringify(data).length;
  while (data.note.length < missing) data.note += `${pick(WORDS)} `;
  data.note = data.note.slice(0, Math.max(0, missing));
  return JSON.stringify(data);
}

function pick<T>(values: readonly T[]): T {
  return values[Math.floor(Math.random() * values.length)]!;
}
