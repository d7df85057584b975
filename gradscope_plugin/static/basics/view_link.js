/** What the user chose as text, for a link that restores it; pure. */

// TensorBoard keeps what follows its tab's name, under the name of a plugin.
const KEY = 'p.gradscope.view=';

/**
 * Returns the end of a link: what differs from the defaults.
 * @param {Object} view
 * @param {Object} defaults
 */
export function hashOf(view, defaults) {
  const changed = Object.entries(view).filter(([name, value]) =>
    Object.hasOwn(defaults, name)
    && JSON.stringify(value) !== JSON.stringify(defaults[name]));
  const text = JSON.stringify(Object.fromEntries(changed));
  return `#gradscope&${KEY}${encodeURIComponent(text)}`;
}

/**
 * Returns the view of a link, without settings that a link may not have.
 * @param {string} hash
 * @param {Object} defaults
 * @return {?Object} null where it says nothing
 */
export function viewOf(hash, defaults) {
  const part = hash.split('&').find((pair) => pair.startsWith(KEY));
  if (!part) return null;
  try {
    const linked = JSON.parse(decodeURIComponent(part.slice(KEY.length)));
    const isOk = ([name, value]) => Object.hasOwn(defaults, name)
      && (defaults[name] === null || (typeof value === typeof defaults[name]
        && Array.isArray(value) === Array.isArray(defaults[name])));
    return Object.fromEntries(Object.entries(linked).filter(isOk));
  } catch {
    return null;
  }
}
