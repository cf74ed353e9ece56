// Numbers as people read them.

const WHOLE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const STEP = 1024;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A whole number with its thousands apart. */
export function count(value: number): string {
  return WHOLE.format(value);
}

/** `one` or `many`, with the number before it. */
export function counted(value: number, one: string, many: string = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A number in about three digits. */
export function brief(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)} G`;
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  if (size >= 1e4) return `${digits(value / 1e3)} k`;
  return digits(value);
}

/** Bytes in binary units. */
export function bytes(value: number): string {
  let rest = Math.abs(value);
  let unit = 0;
  while (rest >= STEP && unit < UNITS.length - 1) {
    rest /= STEP;
    unit += 1;
  }
  const text = unit === 0 ? String(Math.round(rest)) : digits(rest);
  return `${value < 0 ? "-" : ""}${text} ${UNITS[unit]}`;
}

/** Percent with a decimal where it tells something. */
export function percent(value: number): string {
  return `${value >= 99.95 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return WHOLE.format(value);
  if (size >= 10) return value.toFixed(1);
  return size < 0.01 && size > 0 ? value.toPrecision(1) : value.toFixed(2);
}
