/** Entries of the tables of statistics; `statistics.js` says what is in one. */

export const log = (label, domain, help, more = {}) =>
  ({label, scale: 'log', domain, help, ends: ['small', 'large'], ...more});

export const linear = (label, domain, help, more = {}) =>
  ({label, scale: 'linear', domain, help, ends: ['', ''], ...more});

/** A share: its scale goes from nothing to everything. */
export const share = (label, help, more = {}) =>
  linear(label, [0, 1], help, {ends: ['none', 'all'], ...more});
