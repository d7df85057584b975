/** Scales: numbers to positions 0..1, pure functions of their domain. */

const log10 = Math.log10;

/**
 * @param {{scale: string, domain: number[], center?: number}} description
 * @return {{kind: string, position: (value: number) => number,
 *     ticks: number[], domain: number[], center?: number}} `position` is
 *     below 0 or above 1
 *     outside the domain
 */
export function makeScale({scale, domain, center}) {
  const make = scale === 'log' ? logScale : linearScale;
  return make(domain, center);
}

/**
 * A true log scale. A center between its ends comes to lie at 0.5.
 * @param {number[]} domain two positive numbers, the smaller one first
 * @param {number=} center
 */
export function logScale(domain, center) {
  const [low, high] = checked(domain, 'log').map(log10);
  const place = between(low, high, log10(center));
  const position = (value) => place(log10(value));
  return {kind: 'log', position, ticks: decades(low, high), domain, center};
}

/**
 * A linear scale. A center between its ends comes to lie at 0.5.
 * @param {number[]} domain two numbers, the smaller one first
 * @param {number=} center
 */
export function linearScale(domain, center) {
  const [low, high] = checked(domain, 'linear');
  const position = between(low, high, center);
  // 3 * 0.05 is 0.15000000000000002.
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(
    (x) => Number((low + x * (high - low)).toPrecision(6)));
  return {kind: 'linear', position, ticks, domain};
}

/**
 * Returns the domain that holds all finite numbers; whole decades in log.
 * @param {Iterable<Float32Array>} arrays
 * @param {string} scale `log` or `linear`
 * @return {number[]|null} null if there is no such number
 */
export function fitDomain(arrays, scale) {
  let low = Infinity;
  let high = -Infinity;
  for (const values of arrays) {
    for (const value of values) {
      if (!Number.isFinite(value) || (scale === 'log' && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return null;
  if (scale !== 'log') return low < high ? [low, high] : [low, low + 1];
  const ends = [Math.floor(log10(low)), Math.ceil(log10(high))];
  if (ends[0] === ends[1]) ends[1] += 1;
  return ends.map((exponent) => Number(`1e${exponent}`));
}

// Of a log scale's length: on less than this, all is of one colour.
const FLAT = 0.15;

/**
 * Returns whether all numbers have nearly the same place on a log scale, whose
 * colours have no middle. Linear ones are of shares, which mean something as
 * they are.
 * @param {Float32Array[]} ranges
 * @param {{kind: string, position: (value: number) => number,
 *     center?: number}} scale
 */
export function isFlat(ranges, {kind, position, center}) {
  const ends = ranges.flatMap((range) => [...range])
    .filter((value) => Number.isFinite(value) && value > 0).map(position);
  if (kind !== 'log' || center !== undefined || !ends.length) return false;
  return Math.max(...ends) - Math.min(...ends) < FLAT;
}

/** Returns whether a scale of a kind can have these two ends. */
export function isDomain(domain, kind) {
  const [low, high] = domain ?? [];
  return low < high && Number.isFinite(high - low)
    && (kind !== 'log' || low > 0);
}

/** Returns where a number lies between two, with 0.5 in their middle. */
function between(low, high, middle) {
  if (!(middle > low && middle < high)) {
    return (x) => (x - low) / (high - low);
  }
  return (x) => x < middle
    ? 0.5 * (x - low) / (middle - low)
    : 0.5 + 0.5 * (x - middle) / (high - middle);
}

function checked(domain, kind) {
  if (isDomain(domain, kind)) return domain;
  const which = kind === 'log' ? 'numbers above 0' : 'numbers';
  throw new RangeError(`a ${kind} scale needs two ${which}, the smaller one `
    + `first; got ${domain}`);
}

/** Returns at most eight powers of ten within two exponents. */
function decades(low, high) {
  // A logarithm may be a rounding error beside the integer that it should be.
  const first = Math.ceil(low - 1e-9);
  const last = Math.floor(high + 1e-9);
  const stride = Math.max(1, Math.ceil((last - first) / 7));
  const ticks = [];
  for (let exponent = first; exponent <= last; exponent += stride) {
    ticks.push(Number(`1e${exponent}`));
  }
  return ticks;
}
