/** Which parts of the page are in sight: only those are asked for. */

// So far beyond the edge a part is asked for, before it is scrolled there. (In
// TensorBoard's frame the browser takes it for 0.)
const AHEAD = '150px';

/**
 * @param {() => void} onChange something came into sight
 * @return {{observe: (node: Element, name: string) => void,
 *     look: () => void, has: (name: string) => boolean}}
 */
export function createSight(onChange) {
  const names = new WeakMap();
  const namesInSight = new Set();
  // Of which the observer has said nothing yet.
  const newNodes = new Set();
  const observer = new IntersectionObserver((entries) => {
    let isNew = false;
    for (const {target, isIntersecting} of entries) {
      const name = names.get(target);
      newNodes.delete(target);
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
      newNodes.add(node);
    },
    /** Looks at new parts. The observer answers after the next frame, and the
     * first picture should not wait for it. */
    look() {
      // A hidden tab has no height, and nothing is in sight.
      if (window.innerHeight === 0) return;
      for (const node of newNodes) {
        const {top, bottom} = node.getBoundingClientRect();
        if (node.isConnected && bottom > 0 && top < window.innerHeight) {
          namesInSight.add(names.get(node));
        }
      }
      newNodes.clear();
    },
    has: (name) => namesInSight.has(name),
  };
}
