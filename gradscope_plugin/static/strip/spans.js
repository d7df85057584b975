/** Findings as spans of steps, in as few rows as they need; pure. */

// More rows than these would take the curves' room: others share the last.
const MOST_ROWS = 3;

/**
 * Puts spans that overlap below each other, the worst first.
 * @param {any[]} spans each `from` a place `to` another
 * @return {{span: any, row: number}[]}
 */
export function packed(spans) {
  const ends = [];
  return spans.map((span) => {
    let row = ends.findIndex((end) => end <= span.from);
    if (row < 0) row = Math.min(ends.length, MOST_ROWS - 1);
    ends[row] = Math.max(ends[row] ?? 0, span.to);
    return {span, row};
  });
}
