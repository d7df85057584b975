/** Wheel, drag and keys over a heatmap, as zoom and pan. */

// A pointer that moves less was a click.
const SLOP = 4;

// A notch of a mouse wheel is 100 or 120, which zooms by a fifth.
const PER_PIXEL = 1 / 550;

/**
 * @param {HTMLElement} node
 * @param {{zoomSteps: (at: number, factor: number) => void,
 *     zoomRows: (at: number, factor: number) => void,
 *     pan: (x: number, y: number) => boolean, reset: () => void,
 *     click: (event: PointerEvent) => void, hint: () => void}} actions places
 *     and distances are shares of the node's size; `pan` returns whether
 *     anything moved
 */
export function listen(node, actions) {
  node.addEventListener('wheel', (event) => {
    const box = node.getBoundingClientRect();
    // Firefox counts a mouse wheel in lines, three a notch.
    const notch = event.deltaMode === 1 ? 30 : 1;
    const [dx, dy] = [event.deltaX * notch, event.deltaY * notch];
    const isZoom = event.ctrlKey || event.metaKey;
    if (isZoom || event.altKey) {
      event.preventDefault();
      const factor = Math.exp((dy || dx) * PER_PIXEL * 1.1);
      if (isZoom) actions.zoomSteps((event.clientX - box.left) / box.width,
        factor);
      else actions.zoomRows((event.clientY - box.top) / box.height, factor);
      return;
    }
    const sideways = event.shiftKey ? dx || dy : dx;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : dy)) {
      if (actions.pan(sideways / box.width, 0)) event.preventDefault();
    } else {
      // The page scrolls, or it would be caught by each heatmap on its way.
      actions.hint();
    }
  }, {passive: false});
  listenDrag(node, actions);
  node.addEventListener('dblclick', () => actions.reset());
}

function listenDrag(node, actions) {
  let from = null;
  node.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    from = {x: event.clientX, y: event.clientY, moved: false};
  });
  node.addEventListener('pointermove', (event) => {
    if (!from || !(event.buttons & 1)) return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    if (!from.moved && Math.hypot(dx, dy) < SLOP) return;
    if (!from.moved) node.setPointerCapture(event.pointerId);
    const box = node.getBoundingClientRect();
    actions.pan(-dx / box.width, -dy / box.height);
    from = {x: event.clientX, y: event.clientY, moved: true};
  });
  node.addEventListener('pointerup', (event) => {
    if (from && !from.moved) actions.click(event);
    from = null;
  });
  node.addEventListener('pointercancel', () => {
    from = null;
  });
}

/**
 * Returns the command of a key: to zoom, pan, open or fold; null for others.
 * @param {KeyboardEvent} event
 * @return {?{name: string, value: (number|undefined)}}
 */
export function commandOf({key, shiftKey}) {
  if (shiftKey && key.startsWith('Arrow')) {
    const [name, value] = {ArrowLeft: ['panSteps', -0.2],
      ArrowRight: ['panSteps', 0.2], ArrowUp: ['panRows', -0.2],
      ArrowDown: ['panRows', 0.2]}[key];
    return {name: String(name), value: Number(value)};
  }
  const command = {
    // The same keys without and with shift; each pair undoes the other.
    '+': ['zoomSteps', 0.6], '=': ['zoomSteps', 0.6],
    '-': ['zoomSteps', 1 / 0.6], '_': ['zoomSteps', 1 / 0.6],
    'r': ['zoomRows', 0.6], 'R': ['zoomRows', 1 / 0.6], '0': ['reset'],
    'Enter': ['open'], ' ': ['fold'],
  }[key];
  return command ? {name: String(command[0]),
    value: /** @type {any} */ (command[1])} : null;
}
