"""Rules about callbacks that watch a number of each epoch.

They compare it with the best one, to stop, to lower the learning rate, or to
save the weights.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import code, finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="wrong-monitor",
        rank=128,
        ceiling="warning",
        what="A callback watches a number that `fit` does not log, or takes "
        "a worse one for better, or does not count progress because each step "
        "of it is smaller than `min_delta`.",
        needs="`Callback`",
        shown_by=Shown(("learning_rate", "update_to_weight_ratio")),
        limits={
            "best": Limit(
                2,
                "how often patience ran out although each epoch had a new "
                "best value",
            ),
            "fall": Limit(
                0.05,
                "how far the number fell before patience ran out, as a share "
                "of itself; at least a fifth of this for each epoch",
            ),
        },
        cause_rank=129,
        symptoms=("learning-rate",),
    )
)

#: Words in the names of metrics that are better the smaller, or the larger.
_SMALLER = frozenset(
    "loss mse mae rmse mape msle error err perplexity crossentropy".split()
)
_LARGER = frozenset(
    "acc accuracy auc f1 fmeasure precision recall iou miou dice jaccard r2 "
    "psnr ssim sensitivity specificity".split()
)

#: What a callback does when it sees no progress, and what it should not do.
_DOES = {
    "EarlyStopping": "ends the training (and with `restore_best_weights` "
    "returns to the weights of the worst epoch)",
    "ReduceLROnPlateau": "lowers the learning rate",
    "ModelCheckpoint": "keeps the weights of the worst epoch, often the first",
}


@dataclasses.dataclass(frozen=True)
class Monitor:
    """What a callback watches.

    Attributes:
        callback: Name of its class.
        mode: `"min"`, `"max"`, or `"auto"` where that is not known.
        delta: The least change that counts as progress.
        patience: Epochs without progress after which it acts.
        rest: Epochs after that in which it does not count.
        is_alone: Whether no other callback may log numbers.
        name: Of the number.
    """

    callback: str
    mode: str
    delta: float
    patience: int
    rest: int
    is_alone: bool
    name: str


def watched(view: View) -> list[Monitor]:
    """List what the callbacks of the run watched."""
    monitors = []
    for wiring in view.wiring("monitor"):
        mode, delta, *counts, others, name = wiring.detail.split(" ", 5)
        patience, rest = map(int, counts)
        monitors.append(
            Monitor(
                callback=wiring.name,
                mode=mode,
                delta=float(delta),
                patience=patience,
                rest=rest,
                is_alone=others == "alone",
                name=name,
            )
        )
    return monitors


def best_mode(name: str) -> str:
    """Tell by its name whether a metric is best at its smallest or largest.

    Returns:
        `"min"`, `"max"`, or `""` where the name does not tell.

    Examples:
        >>> best_mode("val_f1_score"), best_mode("val_loss"), best_mode("gain")
        ('max', 'min', '')
        >>> best_mode("dice_loss")  # the name has both
        ''
    """
    # Keras calls the intersection over union of a mean `mean_io_u`.
    words = set(re.split(r"[^a-z0-9]+", name.lower().replace("io_u", "iou")))
    is_smaller, is_larger = bool(words & _SMALLER), bool(words & _LARGER)
    # A `dice_loss` has words of both, and a `gain` of neither.
    if is_smaller == is_larger:
        return ""
    return "min" if is_smaller else "max"


@rule
def wrong_direction(view: View, limits: Limits) -> Findings:
    """A callback that takes the worst value of a metric for the best."""
    for monitor in watched(view):
        best = best_mode(monitor.name)
        if not best or monitor.mode not in ("min", "max"):
            continue
        # With more patience than there are epochs it never acted.
        if monitor.mode == best or monitor.patience >= _epochs(view):
            continue
        word = "lower" if monitor.mode == "min" else "higher"
        values = view.logs.get(monitor.name, np.array([]))
        ends = values[[0, -1]].tolist() if len(values) else [np.nan, np.nan]
        yield finding(
            view,
            "wrong-monitor",
            "warning",
            None,
            None,
            what=f"{code(monitor.callback)} watches {code(monitor.name)} with "
            f"mode {code(monitor.mode)}: it takes a {word} value for a better "
            "one",
            evidence={
                "monitor": monitor.name,
                "mode": monitor.mode,
                "first": ends[0],
                "last": ends[1],
            },
            cause=f"By its name, {code(monitor.name)} is better the "
            f"{'higher' if best == 'max' else 'lower'}. While it gets better, "
            f"the callback sees no progress and {_DOES[monitor.callback]}.",
            remedy=f"Use `mode={best!r}`. Where no mode is given, older "
            "versions of Keras guess it, and take most names for a loss.",
        )
        return


@rule
def monitor_that_is_not_logged(view: View, limits: Limits) -> Findings:
    """A callback whose number is in the logs of no epoch."""
    for monitor in watched(view):
        # Callbacks of the user's may log numbers after gradscope's was called.
        if not view.logs or monitor.name in view.logs or not monitor.is_alone:
            continue
        yield finding(
            view,
            "wrong-monitor",
            "warning",
            None,
            None,
            what=f"{code(monitor.callback)} watches {code(monitor.name)}, "
            "which `fit` logs in no epoch, so the callback does nothing",
            evidence={"monitor": monitor.name, "epochs": _epochs(view)},
            cause="The logs have "
            f"{join_code(sorted(view.logs))}. Possible reasons are a metric "
            "with another name (`accuracy`, not `acc`), and validation data "
            "that are missing: names with `val_` are logged only with these."
            if monitor.name.startswith("val_") or "acc" in monitor.name
            else f"The logs have {join_code(sorted(view.logs))}.",
            remedy="Watch one of these names.",
        )
        return


def _epochs(view: View) -> int:
    return max((len(values) for values in view.logs.values()), default=0)
