/** Which parts of the page are in sight: only those are asked for. */

// So far beyond the edge a part is asked for, before it is scrolled there.
const AHEAD = '150px';

/**
 * @param {() => void} onChange something came into sight
 * @return {{observe: (node: Element, name: string) => void,
 *     has: (name: string) => boolean}}
 */
export function createSight(onChange) {
  const names = new WeakMap();
  const namesInSight = new Set();
  const observer = new IntersectionObserver((entries) => {
    let isNew = false;
    for (const {target, isIntersecting} of entries) {
      const name = names.get(target);
      if (isIntersecting && !namesInSight.has(name)) isNew = true;
      if (isIntersecting) namesInSight.add(name);
      else namesInSight.delete(name);
    }
    if (isNew) onChange();
  }, {rootMargin: AHEAD});
  return {
    observe(node, name) {
      names.set(node, name);
      observer.observe(node);
    },
    has: (name) => namesInSight.has(name),
  };
}
