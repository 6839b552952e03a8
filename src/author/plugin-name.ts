/** What a new plugin may be called: its name is a file's too, on every system. */

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const MAX_LENGTH = 64;
/** Devices of Windows, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)$/;

/** @returns What is wrong with a name and what would be right, or null. */
export function nameProblem(name: string): string | null {
  if (DEVICE.test(name)) return `"${name}" can't be a file on Windows`;
  if (name.length > MAX_LENGTH) return `the name has more than ${MAX_LENGTH} characters`;
  if (NAME.test(name)) return null;
  const better = repair(name);
  const hint = better === null ? "" : `; did you mean "${better}"?`;
  return `"${name}" is not a plugin's name: it has small letters, digits and "-", such as "spam-filter"${hint}`;
}

/** `plugins/SpamFilter.ts` was meant as `spam-filter`. */
function repair(name: string): string | null {
  const words = name
    .replace(/^.*[/\\]/, "")
    .replace(/(\.test)?\.[cm]?[jt]sx?$/, "")
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  const better = words.join("-").replace(/^[0-9-]+/, "");
  return better.length <= MAX_LENGTH && NAME.test(better) && !DEVICE.test(better) ? better : null;
}
