/** Scales: numbers to positions 0..1, pure functions of their domain. */

const log10 = Math.log10;

/**
 * @param {{scale: string, domain: number[], center?: number}} description
 * @return {{kind: string, position: (value: number) => number,
 *     ticks: number[], domain: number[]}} `position` is below 0 or above 1
 *     outside the domain
 */
export function makeScale({scale, domain, center}) {
  return scale === 'log' ? logScale(domain, center) : linearScale(domain);
}

/**
 * A true log scale. A center between its ends comes to lie at 0.5.
 * @param {number[]} domain two positive numbers, the smaller one first
 * @param {number=} center
 */
export function logScale(domain, center) {
  const [low, high] = checked(domain, 'log').map(log10);
  const middle = log10(center);
  const position = middle > low && middle < high
    ? (value) => {
      const x = log10(value);
      return x < middle
        ? 0.5 * (x - low) / (middle - low)
        : 0.5 + 0.5 * (x - middle) / (high - middle);
    }
    : (value) => (log10(value) - low) / (high - low);
  return {kind: 'log', position, ticks: decades(low, high), domain};
}

/** @param {number[]} domain two numbers, the smaller one first */
export function linearScale(domain) {
  const [low, high] = checked(domain, 'linear');
  const position = (value) => (value - low) / (high - low);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((x) => low + x * (high - low));
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

/** Returns whether a scale of a kind can have these two ends. */
export function isDomain(domain, kind) {
  const [low, high] = domain ?? [];
  return low < high && Number.isFinite(high - low)
    && (kind !== 'log' || low > 0);
}

function checked(domain, kind) {
  if (isDomain(domain, kind)) return domain;
  const rule = kind === 'log' ? 'above 0, from less to more'
    : 'from less to more';
  throw new RangeError(`a ${kind} scale goes ${rule}; got ${domain}`);
}

/** Returns at most eight powers of ten within two exponents. */
function decades(low, high) {
  const first = Math.ceil(low - 1e-9);
  const last = Math.floor(high + 1e-9);
  const every = Math.max(1, Math.ceil((last - first) / 7));
  const ticks = [];
  for (let exponent = first; exponent <= last; exponent += every) {
    ticks.push(Number(`1e${exponent}`));
  }
  return ticks;
}
