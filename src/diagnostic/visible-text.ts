/** Makes text from a file safe to print: what a terminal would hide or obey is shown as a sign. */

/** Invisible, direction-changing and unpaired characters, which could make a line read otherwise. */
const TREACHEROUS =
  /[\u0080-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufdd0-\ufdef\ufeff\ufff0-\ufffc\ufffe\uffff]|\p{Surrogate}/gu;

/** Shows control characters as their pictures (␀ ␛ ␡) and other invisible ones as `<U+202E>`. */
export function visibleText(text: string): string {
  return text
    .replace(/[\u0000-\u001f]/g, (char) => String.fromCharCode(0x2400 + char.charCodeAt(0)))
    .replaceAll("\u007f", "\u2421")
    .replace(
      TREACHEROUS,
      (char) => `<U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}>`,
    );
}

/** Puts text in quotes for a message, visible and cut to 60 characters. */
export function quoteText(text: string): string {
  const characters = Array.from(text.slice(0, 122));
  const cut = characters.length > 60 ? `${characters.slice(0, 59).join("")}…` : text;
  return `"${visibleText(cut)}"`;
}
