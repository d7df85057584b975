/** Helpers that build the document; text never becomes HTML. */

/**
 * @param {string} tag
 * @param {Object} properties set on the element; `aria-…`, `role`, `for` and
 *     `data-…` as attributes
 * @param {...(Node|string)} children
 * @return {any} the element
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(aria-|data-|role$|for$)/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/**
 * Returns `update(items)`, which keeps one child per key, in order. Nodes that
 * stay are not touched, so neither focus nor picture flickers; one that moves
 * keeps the focus, or a key that is pressed just then would be lost.
 * @param {Element} parent
 * @param {(item: any) => string} keyOf
 * @param {(item: any) => any} create anything with a `node`
 * @return {(items: any[]) => any[]}
 */
export function keyed(parent, keyOf, create) {
  const parts = new Map();
  return (items) => {
    const keys = new Set(items.map(keyOf));
    for (const [key, part] of parts) {
      if (keys.has(key)) continue;
      part.node.remove();
      parts.delete(key);
    }
    const focused = /** @type {?HTMLElement} */ (document.activeElement);
    const shown = items.map((item, index) => {
      const key = keyOf(item);
      if (!parts.has(key)) parts.set(key, create(item));
      const part = parts.get(key);
      const current = parent.children[index] ?? null;
      if (current !== part.node) parent.insertBefore(part.node, current);
      return part;
    });
    if (focused !== document.activeElement && parent.contains(focused)) {
      focused.focus({preventScroll: true});
    }
    return shown;
  };
}

/**
 * Returns `fold(isFolded)` for a `details` whose state is remembered. It is
 * noted right behind the click, not at the browser's own event a task later: a
 * reload would forget it until then. What is drawn even before does not know of
 * the click, and must not undo it.
 * @param {HTMLDetailsElement} details
 * @param {(isFolded: boolean) => void} onFold called when a reader did it
 * @return {(isFolded: boolean) => void}
 */
export function foldable(details, onFold) {
  let remembered = !details.open;
  new MutationObserver(() => {
    if (details.open !== remembered) return;
    remembered = !details.open;
    onFold(remembered);
  }).observe(details, {attributeFilter: ['open']});
  return (isFolded) => {
    if (isFolded === remembered) return;
    remembered = isFolded;
    details.open = !isFolded;
  };
}
