/** The page's entry: TensorBoard calls `render` in a frame of our own. */

import {element} from './dom.js';
import {followReloads, followTheme} from './host.js';
import {Page} from './page.js';

export async function render() {
  await stylesheet();
  const page = new Page();
  document.body.append(page.node);
  followTheme(() => page.draw());
  followReloads(() => page.reload());
  setInterval(() => page.drawRunList(), 1000);
  setInterval(() => {
    // TensorBoard reloads only on request, and reads for seconds at first.
    if (page.isEmpty && window.innerHeight > 0) page.reload();
  }, 3000);
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
