"""The page in a real Chromium, for `benchmarks.plugin`: clocked and counted."""

from __future__ import annotations

import contextlib
import dataclasses
import time

import numpy as np
from playwright.sync_api import sync_playwright

from tools import chromium

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
_ARGUMENTS += ["--disable-background-networking", "--disable-sync"]

# Runs in each frame before its own code. A picture is there when the axis
# below it is drawn, right after it; the clock is that of the frame before
# which the browser shows it.
_WATCH = """
performance.setResourceTimingBufferSize(10000);
if (location.href.includes('plugin_entry')) {
  window.pictures = {};
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    const drawn = document.querySelector('.heatmap:not(.loading) .axis span');
    if (drawn) {
      window.pictures.first ??= now;
      const note = document.querySelector('.heatmap .axis em');
      const some = !note.hidden && note.textContent.includes('being loaded');
      if (!some) window.pictures.whole ??= now;
    }
    if (!window.pictures.whole) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""

# Real wheel events come by way of Playwright only every second frame or so.
# These are made within the page, one in each frame, and more is not drawn.
_GESTURE = """
(cells, name) => new Promise((resolve) => {
  const box = cells.getBoundingClientRect();
  const at = (x) => ({bubbles: true, cancelable: true, pointerId: 1,
    clientX: box.left + x, clientY: box.top + 60});
  const wheel = (deltaY) => cells.dispatchEvent(new WheelEvent('wheel',
    {...at(box.width / 3), deltaY, ctrlKey: true}));
  const point = (type, x) => cells.dispatchEvent(new PointerEvent(type,
    {...at(x), buttons: 1}));
  const middle = box.width / 2;
  if (name === 'pan') {
    for (let i = 0; i < 6; i++) wheel(-100);
    cells.setPointerCapture = () => {};
    point('pointerdown', middle);
  }
  const deltas = [];
  let before = null;
  let frame = 0;
  const tick = (now) => {
    if (before !== null) deltas.push(now - before);
    before = now;
    if (frame++ >= 180) {
      if (name === 'pan') point('pointerup', middle);
      resolve(deltas);
      return;
    }
    if (name === 'zoom') wheel(frame % 40 < 20 ? -100 : 100);
    else point('pointermove', middle - 9 * Math.abs(frame % 60 - 30));
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
})
"""

# Calls of a page: of each its route, its time in ms, and the bytes of it.
_CALLS = """
() => performance.getEntriesByType('resource')
  .filter((one) => one.name.includes('/data/plugin/gradscope/')
    && !one.name.includes('/static/'))
  .map((one) => [
    one.name.split('/data/plugin/gradscope/')[1],
    one.responseEnd - one.requestStart, one.decodedBodySize])
"""

_PATIENCE = 120_000

# Of more runs TensorBoard's own tabs tick none.
_TICKED = 40


@dataclasses.dataclass
class Opened:
    """How the page was opened.

    Attributes:
        first, whole: Seconds until there was a picture, and until there was
            one of all steps.
        asked: Paths and queries of the requests until the first picture.
    """

    first: float
    whole: float
    asked: list[str]


@contextlib.contextmanager
def browsing():
    """Yield a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.path(), args=_ARGUMENTS
        )
        yield browser
        browser.close()


class Tab:
    """TensorBoard in a tab of its own, with nothing in the browser's cache.

    Args:
        browser: From `browsing`.
        address: Of TensorBoard.
    """

    def __init__(self, browser, address: str):
        self._page = browser.new_page(viewport={"width": 1400, "height": 900})
        self._page.set_default_timeout(_PATIENCE)
        self._page.add_init_script(_WATCH)
        self._address = address
        self._asked = []
        self._page.on("request", self._note)

    def _note(self, request) -> None:
        _, ours, rest = request.url.partition("/data/plugin/gradscope/")
        if ours and not rest.startswith("static/"):
            self._asked.append((time.time(), rest))

    def open_tensorboard(self) -> None:
        """Open TensorBoard at a tab that has nothing to show."""
        self._page.goto(f"{self._address}#text")
        self._page.wait_for_selector("tf-text-dashboard", state="attached")
        self._page.wait_for_load_state("networkidle")

    def open_gradscope(self, since: float | None = None) -> Opened:
        """Open the plugin's tab; wait until all of the first heatmap is
        there.

        Args:
            since: When the clock started; with None, now.
        """
        if since is None:
            since = self._page.evaluate("Date.now()") / 1000
            self._page.evaluate("location.hash = 'gradscope'")
        else:
            self._page.goto(f"{self._address}#gradscope")
        frame = self.frame()
        frame.wait_for_function("window.pictures?.whole", timeout=_PATIENCE)
        at = frame.evaluate("window.pictures")
        first = at["first"] / 1000
        return Opened(
            first - since,
            at["whole"] / 1000 - since,
            [rest for when, rest in self._asked if when <= first],
        )

    def frame(self):
        """Return the plugin's frame."""
        self._page.wait_for_selector(
            "iframe[src*='plugin_entry']", state="attached"
        )
        while True:
            for frame in self._page.frames:
                if "plugin_entry" in frame.url:
                    return frame
            self._page.wait_for_timeout(10)

    def rest(self, seconds: float = 60) -> None:
        """Wait until the page has all that it asks for by itself, but no
        longer than so many seconds."""
        end = time.monotonic() + seconds
        done = -1
        while time.monotonic() < end and done != len(self._asked):
            done = len(self._asked)
            self._page.wait_for_timeout(1500)

    def calls(self) -> dict[str, list[tuple[float, int]]]:
        """Returns of each route the calls so far: seconds, bytes."""
        found = {}
        for name, duration, size in self.frame().evaluate(_CALLS):
            route = name.partition("?")[0]
            if "preview=" in name:
                route += " (preview)"
            found.setdefault(route, []).append((duration / 1000, size))
        return found

    def open_layer(self) -> None:
        """Open the layer at the cursor, with its histograms."""
        self._cells().press("Enter")
        self.frame().wait_for_selector(".detail .charts *", state="attached")
        self.rest(10)

    def unfold(self) -> None:
        """Show each row of its own, where there are blocks of them."""
        button = self.frame().locator(".heatmap .tools button").first
        if button.is_visible():
            button.click()
            self._page.wait_for_timeout(500)

    def zoom(self) -> np.ndarray:
        """Return milliseconds between frames while the wheel zooms in and
        out, a notch a frame."""
        return np.array(self._cells().evaluate(_GESTURE, "zoom"))

    def pan(self) -> np.ndarray:
        """Return milliseconds between frames while the pointer drags, some
        pixels a frame."""
        return np.array(self._cells().evaluate(_GESTURE, "pan"))

    def steps(self) -> int:
        """Return the last step of the first heatmap's axis."""
        label = self.frame().locator(".heatmap .axis span").last
        return int(label.inner_text().split()[-1])

    def traced(self, code: str, argument) -> tuple[object, bytes]:
        """Run code in the page; return its value, and what the browser did
        meanwhile, as JSON."""
        browser = self._page.context.browser
        browser.start_tracing(page=self._page, categories=["toplevel"])
        value = self.frame().evaluate(code, argument)
        return value, browser.stop_tracing()

    def histograms(self, runs: int) -> float:
        """Return the seconds until TensorBoard's own tab of histograms shows
        its first chart.

        Args:
            runs: How many there are: of more than 40 it ticks none, so all are
                ticked then, and the clock starts there.
        """
        since = self._page.evaluate(
            "() => {location.hash = 'histograms'; return Date.now();}"
        )
        if runs > _TICKED:
            buttons = self._page.get_by_text("Toggle All Runs")
            button = buttons.locator("visible=true").first
            button.wait_for()
            since = self._page.evaluate("Date.now()")
            button.click()
        self._page.wait_for_selector(
            "vz-histogram-timeseries .histogram path", state="attached"
        )
        return (self._page.evaluate("Date.now()") - since) / 1000

    def close(self) -> None:
        """Close the tab."""
        self._page.close()

    def _cells(self):
        cells = self.frame().locator(".heatmap .cells").first
        cells.scroll_into_view_if_needed()
        return cells
