"""Rules about progress that `min_delta` is too large to count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.setup.monitors import (
    Monitor,
    best_mode,
    watched,
)
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def progress_that_does_not_count(view: View, limits: Limits) -> Findings:
    """A callback that acts although each epoch has a new least value."""
    for monitor in watched(view):
        values = view.logs.get(monitor.name)
        if values is None or monitor.mode == "max" or not monitor.delta > 0:
            continue
        if monitor.callback == "ModelCheckpoint" or not monitor.patience > 0:
            continue
        # Epochs of several trainings are no series.
        if best_mode(monitor.name) != "min" or not _is_one_fit(view):
            continue
        acts = _acts_while_falling(
            values, monitor, limits["wrong-monitor.fall"]
        )
        is_last = monitor.callback == "EarlyStopping"
        # A stop ends the training, so any other epoch was none.
        if is_last and len(values) - 1 not in acts:
            continue
        if len(acts) < (1 if is_last else limits["wrong-monitor.best"]):
            continue
        yield _uncounted_finding(view, monitor, values, acts)
        return


def _uncounted_finding(
    view: View, monitor: Monitor, values: np.ndarray, acts: list[int]
) -> Finding:
    window = monitor.patience
    gain = max(
        float(-np.diff(values[epoch - window : epoch + 1]).min())
        for epoch in acts
    )
    is_last = monitor.callback == "EarlyStopping"
    does = "ends the training" if is_last else "lowers the learning rate"
    epochs = "an epoch" if window == 1 else f"each of {window} epochs in a row"
    times = "" if is_last else f", {len(acts)} times"
    return finding(
        view,
        "wrong-monitor",
        "warning",
        None,
        None,
        what=f"{code(monitor.callback)} {does} although {code(monitor.name)} "
        f"fell to a new least value in {epochs}{times}",
        evidence={
            "times": len(acts),
            "fall_per_epoch": gain,
            "min_delta": monitor.delta,
            "first": float(values[0]),
            "last": float(values[-1]),
        },
        cause=f"Its `min_delta` of {monitor.delta:.3g} is an absolute change, "
        "and less counts as no progress. In these epochs the number fell by "
        f"{gain:.3g} or less each.",
        remedy=f"Use a `min_delta` far below that, such as "
        f"`min_delta={gain / 100:.0e}`, or a larger patience.",
    )


def _acts_while_falling(
    values: np.ndarray, monitor: Monitor, least_fall: float
) -> list[int]:
    """Follow a callback through the epochs, as Keras counts them.

    Returns:
        The epochs at which its patience ran out although each epoch that it
        had waited had a new least value, and all together fell clearly.
    """
    best, wait, rest, acts = np.inf, 0, 0, []
    least_before = np.minimum.accumulate(np.r_[np.inf, values])[:-1]
    is_new_least = values < least_before
    # To stop where an epoch gains next to nothing is what is asked for, so
    # the more epochs it waited, the more must they have gained.
    fall = max(least_fall, least_fall / 5 * monitor.patience)
    for epoch, value in enumerate(values.tolist()):
        # The order is that of Keras: an epoch of rest may still be the best.
        if rest > 0:
            rest, wait = rest - 1, 0
        if value + monitor.delta < best:
            best, wait = value, 0
        elif rest == 0:
            wait += 1
            if wait >= monitor.patience:
                wait, rest = 0, monitor.rest
                start = epoch - monitor.patience
                waited = slice(start + 1, epoch + 1)
                if (
                    start >= 0
                    and is_new_least[waited].all()
                    and values[start] - value > fall * abs(values[start])
                ):
                    acts.append(epoch)
    return acts


def _is_one_fit(view: View) -> bool:
    """Return whether the epochs are those of one training without a break."""
    epochs = np.array([log.epoch for log in view.record.logs])
    return bool((np.diff(epochs) == 1).all())
