/** The page's entry: TensorBoard calls `render` in a frame of our own. */

// Asked for while the page is on its way: its runs, and TensorBoard's.
const first = {runs: fetch('runs?soon=1'), names: fetch('../../runs')};
Object.values(first).forEach((reply) => reply.catch(() => {}));
const page = import('./page/start.js');

export async function render() {
  const {start} = await page;
  await start(first);
}
