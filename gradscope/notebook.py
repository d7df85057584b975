"""`show`: the page in the cell of a notebook, live if a training is running."""

from __future__ import annotations

import html
import os
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from gradscope.errors import GradscopeWarning
from gradscope.reading import growth, read
from gradscope.terminal import counted

#: Pixels of the page in a cell.
HEIGHT = 820

#: Megabytes of the page in a cell, which the notebook stores.
MEGABYTES = 4.0

# Seconds between two looks whether a run has grown; and how many times as long
# as it took to draw the page it rests, so that a training is not slowed down
# by more than a twentieth.
_EVERY = 5.0
_REST = 20

# The pages that follow a directory; a cell that runs again replaces its own.
_followed: dict[str, Following] = {}


def show(
    logdir: str | os.PathLike[str],
    *,
    follow: bool = False,
    height: int = HEIGHT,
    max_mb: float = MEGABYTES,
) -> Following | None:
    """Show the runs below a directory in the cell of a notebook.

    The cell shows the same page as TensorBoard's tab, without a server: all of
    it is in the output, so it is there when the notebook is opened again.

    Args:
        logdir: The directory given to `gradscope.wrap`, or one above it.
        follow: Whether to draw the page again while the runs grow. Call `show`
            before the training begins, in its cell or in one above.
        height: Height of the page in pixels.
        max_mb: Largest size of the output in megabytes; see `gradscope report`.

    Returns:
        With `follow`, an object with a method `stop()`. It stops by itself ten
        minutes after the last step.

    Raises:
        FileNotFoundError: If no run is there yet, without `follow`.
        RuntimeError: If this is no notebook.

    Examples:
        >>> import gradscope
        >>> gradscope.show("logs/run")
        Traceback (most recent call last):
            ...
        RuntimeError: `gradscope.show` shows the page in a notebook, and this
        is none. In a terminal, run `gradscope show LOGDIR`, or write the page
        to a file with `gradscope report LOGDIR`.
    """
    display = _display()
    logdir = os.fspath(logdir)
    if not follow:
        read.flush_recordings()
        display(_bundle(logdir, height, max_mb), raw=True)
        return None
    key = os.path.abspath(logdir)
    if key in _followed:
        _followed.pop(key).stop()
    _followed[key] = Following(logdir, display, height, max_mb)
    return _followed[key]


class Following:
    """A page that is drawn again while its runs grow.

    Args:
        logdir: The directory of the runs.
        display: IPython's `display`.
        height, max_mb: As of `show`.
    """

    def __init__(
        self,
        logdir: str,
        display: Callable[..., Any],
        height: int,
        max_mb: float,
    ):
        self._logdir = logdir
        self._look = height, max_mb
        self._sizes: dict[str, int] | None = None
        self._handle = display(_waiting(logdir), raw=True, display_id=True)
        self._stopped = threading.Event()
        self.update()
        # The cell returns at once, so that the training can begin in the same
        # or in the next one.
        self._thread = threading.Thread(
            target=self._follow, name="gradscope-following", daemon=True
        )
        self._thread.start()

    def __repr__(self) -> str:
        state = "stopped" if self._stopped.is_set() else "following"
        return f"<{state}: {self._logdir}>"

    def stop(self) -> None:
        """Stop, after drawing the page once more with all steps."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        # A thread cannot wait for its own end.
        if threading.current_thread() is not self._thread:
            self._thread.join()
        read.flush_recordings()
        self.update()

    def update(self) -> bool:
        """Draw the page again if the runs have grown; return whether."""
        sizes = growth.sizes(read.runs_below(self._logdir))
        if not sizes or sizes == self._sizes:
            return False
        self._sizes = sizes
        try:
            bundle = _bundle(self._logdir, *self._look)
        except FileNotFoundError:
            return False  # no step is complete yet
        self._handle.update(bundle, raw=True)
        return True

    def _follow(self) -> None:
        last = time.monotonic()
        pause = _EVERY
        while not self._stopped.wait(pause):
            start = time.monotonic()
            try:
                if self.update():
                    last = time.monotonic()
            except Exception as error:
                warnings.warn(
                    f"gradscope stopped to follow {self._logdir}: {error!r}. "
                    "What was shown stays; `gradscope.show` shows all.",
                    GradscopeWarning,
                    stacklevel=2,
                )
                self._stopped.set()
            if time.monotonic() - last > growth.SILENCE:
                self._stopped.set()
            pause = max(_EVERY, _REST * (time.monotonic() - start))


def _display() -> Callable[..., Any]:
    """Return IPython's `display`, or say why there is none."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ModuleNotFoundError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        raise RuntimeError(
            "`gradscope.show` shows the page in a notebook, and this is none. "
            "In a terminal, run `gradscope show LOGDIR`, or write the page to "
            "a file with `gradscope report LOGDIR`."
        )
    return display


def _bundle(logdir: str, height: int, max_mb: float) -> dict[str, str]:
    """Return the page in the form that `display` takes."""
    # Imported late, as it takes TensorBoard's modules along.
    from gradscope_plugin.report import build

    directories = read.runs_below(logdir)
    if not directories:
        raise FileNotFoundError(
            f"there is no run below {logdir}. Pass the directory that was "
            "passed to gradscope.wrap, or one above it; with `follow=True` "
            "the run may begin later."
        )
    report = build.build(logdir, directories, megabytes=max_mb)
    if not report.runs:
        raise FileNotFoundError(f"no step below {logdir} is complete yet.")
    # `srcdoc` works where a `data:` address does not, as in VS Code.
    frame = (
        f'<div><iframe srcdoc="{html.escape(report.html)}" '
        f'style="width:100%;height:{height}px;border:0" '
        f'title="Gradscope: {html.escape(logdir)}"></iframe></div>'
    )
    count = counted(len(report.runs), "run")
    return {
        "text/html": frame,
        "text/plain": f"gradscope: {count} of {logdir}, {report.brief}",
    }


def _waiting(logdir: str) -> dict[str, str]:
    text = f"gradscope waits for the first recorded steps of {logdir}"
    return {"text/html": f"<i>{html.escape(text)}</i>", "text/plain": text}
