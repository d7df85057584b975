/** TensorBoard, in whose iframe the page lives: its reloads and its theme. */

import {viewOf} from './view_link.js';

const RELOADED = 'experimental.DataReloaded';

/**
 * Calls `reload` whenever TensorBoard has reloaded its data. A hidden tab,
 * whose height is 0, waits until it is seen.
 */
export function followReloads(reload) {
  let due = false;
  const reloadIfSeen = () => {
    due = window.innerHeight === 0;
    if (!due) reload();
  };
  window.addEventListener('resize', () => {
    if (due) reloadIfSeen();
  });
  if (window.parent === window) return;
  const {port1, port2} = new MessageChannel();
  port1.onmessage = (event) => {
    const {type, id, isReply} = JSON.parse(event.data);
    if (isReply) return;
    // TensorBoard's side waits for an answer to each of its messages.
    port1.postMessage(JSON.stringify(
      {type, id, payload: null, error: null, isReply: true}));
    if (type === RELOADED) reloadIfSeen();
  };
  window.parent.postMessage('experimental.bootstrap', '*', [port2]);
}

/**
 * Keeps `data-theme` of the document at `light` or `dark`, as in TensorBoard,
 * which does not tell its iframes; calls `onChange` after each change.
 */
export function followTheme(onChange) {
  const root = document.documentElement;
  const apply = (dark) => {
    root.dataset.theme = dark ? 'dark' : 'light';
    onChange();
  };
  try {
    const {classList} = window.parent.document.body;
    const read = () => apply(classList.contains('dark-mode'));
    new MutationObserver(read).observe(
      window.parent.document.body, {attributeFilter: ['class']});
    read();
  } catch {
    // A host of another origin: what the browser prefers is the best guess.
    const query = window.matchMedia('(prefers-color-scheme: dark)');
    query.addEventListener('change', () => apply(query.matches));
    apply(query.matches);
  }
}

/** Returns `light` or `dark`. */
export function theme() {
  return document.documentElement.dataset.theme;
}

/**
 * Returns the view of the link that led here, null without one.
 * @param {Object} defaults
 */
export function linkedView(defaults) {
  const viewHere = viewOf(window.location.hash, defaults);
  try {
    return viewOf(window.parent.location.hash, defaults) ?? viewHere;
  } catch {
    return viewHere;
  }
}

/** Calls `onChange` when a link is followed that leads to another view. */
export function followLinks(onChange) {
  const follow = (of) => of.addEventListener('hashchange', onChange);
  follow(window);
  try {
    if (window.parent !== window) follow(window.parent);
  } catch {
    // A host of another origin, whose links are not ours.
  }
}
