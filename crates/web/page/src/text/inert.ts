// What machines and people wrote elsewhere, made safe to read.
//
// Markup is no danger here: Preact writes text, never HTML, and nothing in this page uses innerHTML.
// What remains are characters that lie about what stands there: controls, and marks that turn the
// direction of what follows. They are shown by their code instead of taking effect.

/** Ranges of code points that are shown by their code. Tab and line break are decided apart. */
const LYING_RANGES =
  "\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e" +
  "\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb";
const LYING = new RegExp(`[${LYING_RANGES}]`, "g");
const LINE_BREAKS = /[\t\n]/g;

/** Text of several lines, such as a command's output: tabs and line breaks stay. */
export function inertLines(text: string): string {
  return text.replace(/\r\n/g, "\n").replace(LYING, shown);
}

/** Text of one line, such as a name. */
export function inert(text: string): string {
  return text.replace(LYING, shown).replace(LINE_BREAKS, shown);
}

function shown(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return `\u27e8${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}
