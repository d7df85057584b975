/** Colours of runs, as TensorBoard's Time Series gives them; pure. */

// TensorBoard 2.21's palette: of each colour that of its light and dark theme.
const PALETTE = [
  ['#425066', '#8e98a3'], ['#12b5cb', '#12b5cb'], ['#e52592', '#e52592'],
  ['#f9ab00', '#f9ab00'], ['#9334e6', '#9334e6'], ['#7cb342', '#7cb342'],
  ['#e8710a', '#e8710a'],
];

/**
 * TensorBoard numbers runs in the order of its list, and later ones as they
 * come.
 * @return {{see: (names: string[]) => void,
 *     of: (name: string, theme: string) => string}}
 */
export function createColors() {
  const numbers = new Map();
  const see = (names) => names.forEach((name) => {
    if (!numbers.has(name)) numbers.set(name, numbers.size);
  });
  return {
    see,
    of(name, theme) {
      see([name]);
      const pair = PALETTE[numbers.get(name) % PALETTE.length];
      return pair[theme === 'dark' ? 1 : 0];
    },
  };
}
