/** The page's entry: TensorBoard calls `render` in a frame of our own. */

import {element} from './dom.js';
import {followLinks, followReloads, followTheme} from './host.js';
import {Page} from './page.js';

// A page asks for what is new so often, in ms. TensorBoard's own reloads are off
// unless somebody turns them on, and it reads its files every 5 s.
const EVERY = 5000;

export async function render() {
  await stylesheet();
  const page = new Page();
  document.body.append(page.node);
  followTheme(() => page.draw());
  followReloads(() => page.reload());
  followLinks(() => page.followLink());
  setInterval(() => page.drawCards(), 1000);
  setInterval(() => {
    // A hidden tab has no height.
    if (window.innerHeight > 0 && !document.hidden) page.reload();
  }, EVERY);
  await page.reload();
}

/** Waits for the style: the page must not appear without it first. */
function stylesheet() {
  return new Promise((resolve) => {
    const href = new URL('./style.css', import.meta.url).href;
    document.head.append(element('link',
      {rel: 'stylesheet', href, onload: resolve, onerror: resolve}));
  });
}
