/** Puts the page into a frame of TensorBoard, and keeps it up to date. */

import {followLinks, followReloads, followTheme} from '../basics/tensorboard.js';
import {Page} from './page.js';
import {declareAll} from '../statistics/statistics.js';

// A page asks for what is new so often, in ms. TensorBoard's own reloads are
// off unless somebody turns them on, and it reads its files every 5 s.
const EVERY = 5000;

// While there is nothing to show: TensorBoard is still reading.
const AT_FIRST = 1000;

/**
 * @param {{runs: Promise<Response>, names: Promise<Response>}} first
 *     replies to what is asked for first, see `Page`
 */
export async function start(first) {
  // TensorBoard's frame has neither; a screen reader says both.
  document.title = 'Gradscope';
  document.documentElement.lang = 'en';
  const [all] = await Promise.all([statistics(), stylesheet()]);
  declareAll(all);
  const page = new Page(first);
  document.body.append(page.node);
  followTheme(() => page.draw());
  followReloads(() => page.reload());
  followLinks(() => page.followLink());
  // Cards say how many seconds ago a run made its last step.
  setInterval(() => page.drawCards(), 1000);
  let asked = Date.now();
  setInterval(() => {
    if (!page.isEmpty && Date.now() - asked < EVERY) return;
    asked = Date.now();
    // A hidden tab has no height.
    if (window.innerHeight > 0 && !document.hidden) page.reload();
  }, AT_FIRST);
  await page.reload();
}

/** Asks what is declared of the statistics. */
async function statistics() {
  return (await fetch(new URL('../statistics.json', import.meta.url))).json();
}

/** Waits for the style: the page must not appear without it first. */
function stylesheet() {
  const node = document.createElement('link');
  node.rel = 'stylesheet';
  node.href = new URL('../style.css', import.meta.url).href;
  document.head.append(node);
  return new Promise((resolve) => {
    node.onload = node.onerror = resolve;
  });
}
