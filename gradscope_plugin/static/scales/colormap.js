/** Colours are data: palettes of 256 entries, and marks for special cells. */

import {
  ABOVE, ABSENT, BELOW, DEAD, INFINITE, MISSING, NAN, ZERO,
} from '../data/cell_kinds.js';

// Viridis: perceptually even, readable in grey and by colour-blind eyes.
const VIRIDIS = [
  '440154', '482475', '414487', '355f8d', '2a788e', '21918c',
  '22a884', '44bf70', '7ad151', 'bddf26', 'fde725',
];

// Blue is too small, orange too large; red is kept for NaN.
const DIVERGING = [
  '08306b', '2166ac', '6baed6', 'c6dbef', 'f2f2ee',
  'fdd49e', 'f59a3c', 'c05a00', '662f00',
];

/** Sequential and diverging palette: 256 x RGB. */
export const SEQUENTIAL = interpolate(VIRIDIS);
export const TWO_SIDED = interpolate(DIVERGING);

/** RGB of each kind of special cell. */
export const MARKS = {
  light: {
    [ZERO]: [0, 0, 0],
    [DEAD]: [0, 0, 0],
    [NAN]: [214, 40, 40],
    [INFINITE]: [255, 0, 200],
    [MISSING]: [128, 131, 139],
    [ABSENT]: [190, 192, 198],
  },
  dark: {
    [ZERO]: [0, 0, 0],
    [DEAD]: [0, 0, 0],
    [NAN]: [214, 40, 40],
    [INFINITE]: [255, 0, 200],
    [MISSING]: [110, 113, 122],
    [ABSENT]: [66, 67, 72],
  },
};

/** RGB of the patterns on top, so that no kind is told by its colour alone. */
export const PATTERNS = {
  [NAN]: [255, 255, 255],
  [INFINITE]: [255, 255, 255],
  [MISSING]: [205, 207, 212],
  [BELOW]: [235, 205, 255],
  [ABOVE]: [60, 30, 0],
};

/**
 * Returns all that turns a cell into a colour. It is the one before if nothing
 * changed, so that pictures need not be drawn again.
 * @param {{kind: string, domain: number[],
 *     position: (value: number) => number}} scale
 * @param {{center?: number}} description
 * @param {string} theme
 * @return {{key: string, position: (value: number) => number,
 *     palette: Uint8Array, marks: Object, patterns: Object, table: Object}}
 */
export function lookOf(scale, {center}, theme, before = undefined) {
  const key = JSON.stringify([scale.kind, scale.domain, center, theme]);
  if (before?.key === key) return before;
  const palette = center === undefined ? SEQUENTIAL : TWO_SIDED;
  // On dark brown the dots of what is too large are light.
  const patterns = center === undefined ? PATTERNS
    : {...PATTERNS, [ABOVE]: [255, 214, 170]};
  const look = {palette, marks: MARKS[theme], patterns};
  return {key, position: scale.position, ...look, table: null};
}

/** Returns the entry of a position, clamped to 0..1. */
export function entryOf(position) {
  return Math.round(255 * Math.min(1, Math.max(0, position)));
}

/** @return {Uint8Array} 256 x RGB through evenly spaced hexadecimal stops */
function interpolate(stops) {
  const colors = stops.map((hex) =>
    [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Uint8Array.from({length: 3 * 256}, (_, index) => {
    const place = Math.floor(index / 3) / 255 * (colors.length - 1);
    const left = Math.min(Math.floor(place), colors.length - 2);
    const channel = index % 3;
    const [from, to] = [colors[left][channel], colors[left + 1][channel]];
    return Math.round(from + (place - left) * (to - from));
  });
}
