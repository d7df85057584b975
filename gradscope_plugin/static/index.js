/** The page's entry: TensorBoard calls `render` in a frame of our own. */

// A page asks for what is new so often, in ms. TensorBoard's own reloads are
// off unless somebody turns them on, and it reads its files every 5 s.
const EVERY = 5000;

// While there is nothing to show: TensorBoard is still reading.
const AT_FIRST = 1000;

export async function render() {
  // TensorBoard's frame has neither; a screen reader says both.
  document.title = 'Gradscope';
  document.documentElement.lang = 'en';
  // Asked for while the page is built.
  const runs = fetch('runs?soon=1');
  runs.catch(() => {});
  preload();
  const [{followLinks, followReloads, followTheme}, {Page}, {declareAll}, all] =
    await Promise.all([
      import('./basics/tensorboard.js'), import('./page/page.js'),
      import('./statistics/statistics.js'), statistics(), stylesheet()]);
  declareAll(all);
  const page = new Page(runs);
  document.body.append(page.node);
  followTheme(() => page.draw());
  followReloads(() => page.reload());
  followLinks(() => page.followLink());
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

/** Asks for all modules at once: one after the other, as they import each
 * other, they would take six round trips. What fails is asked for again. */
async function preload() {
  const list = await fetch(new URL('./modules.json', import.meta.url));
  if (!list.ok) return;
  for (const path of await list.json()) link('modulepreload', `./${path}`);
}

/** Asks what is declared of the statistics, beside the modules. */
async function statistics() {
  return (await fetch(new URL('./statistics.json', import.meta.url))).json();
}

/** Waits for the style: the page must not appear without it first. */
function stylesheet() {
  return new Promise((resolve) => {
    const node = link('stylesheet', './style.css');
    node.onload = node.onerror = resolve;
  });
}

function link(rel, path) {
  const node = document.createElement('link');
  node.rel = rel;
  node.href = new URL(path, import.meta.url).href;
  document.head.append(node);
  return node;
}
