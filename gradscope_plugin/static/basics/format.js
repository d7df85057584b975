/** Numbers and names as text; pure. */

/** Returns the shortest text that names exactly this float32. */
export function exact(value) {
  if (!Number.isFinite(value)) return String(value);
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return tidy(Number(text));
  }
  // Nine digits tell all float32 apart.
  return tidy(Number(value.toPrecision(9)));
}

/** Returns a number for a scale: `1e-8`, `0.25`, `10`. */
export function tidy(value) {
  const size = Math.abs(value);
  return value === 0 || (size >= 1e-3 && size < 1e6)
    ? String(value)
    : value.toExponential().replace('e+', 'e');
}

/** Returns a number with so many digits as help; what is none in words. */
export function short(value, digits = 3) {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? tidy(Number(value.toPrecision(digits)))
    : value > 0 ? 'infinite' : '−infinite';
}

/** Shortens a name in its middle: both of its ends tell rows apart. */
export function shorten(name, most = 22) {
  const letters = Array.from(name);
  if (letters.length <= most) return name;
  const head = Math.ceil((most - 1) / 2);
  const tail = most - 1 - head;
  return [...letters.slice(0, head), '…', ...letters.slice(-tail)].join('');
}

/** Returns a duration as `5 s`, `3 min`, `2 h`, `4 d`. */
export function duration(seconds) {
  /** @type {[number, string][]} */
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min']];
  for (const [size, unit] of units) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

/** Returns a share as `<1 %`, `37 %`, `>99 %`. */
export function percent(share) {
  if (share > 0 && share < 0.01) return '<1 %';
  if (share < 1 && share > 0.99) return '>99 %';
  return `${Math.round(100 * share)} %`;
}

let directory = '.';

/** Notes the name of TensorBoard's log directory. */
export function nameDirectory(name) {
  directory = name || '.';
}

/** Returns the name that the user gave: gradscope adds a directory to it, and
 * to an earlier training in that directory its schemas. */
export function runLabel(name) {
  const [, run, schema] = /^(.*?)(?:@([0-9a-f]{4})[0-9a-f+]*)?$/s.exec(name);
  // The log directory itself is a run.
  const label = run === 'gradscope' || run === '.' ? directory
    : run.replace(/\/gradscope$/, '');
  return schema ? `${label} (earlier training ${schema})` : label;
}
