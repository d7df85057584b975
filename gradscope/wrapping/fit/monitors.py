"""What the callbacks of the `fit` that is running watch, and in which
direction."""

from __future__ import annotations

from typing import Any

from gradscope.format.rows import Wiring

#: Callbacks of Keras that compare a number of each epoch with the best one.
_WATCHING = ("EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint")

#: Packages whose callbacks put nothing into the logs that they are handed.
_KNOWN = ("keras", "tf_keras", "tensorflow", "gradscope")


def monitors(callbacks: list[Any]) -> list[Wiring]:
    """List what callbacks watch, as `Wiring` of kind `"monitor"`.

    Args:
        callbacks: The callbacks of a `fit`, in their order.
    """
    # Another callback may log numbers that gradscope's is not shown.
    may_log = any(map(_may_log, callbacks))
    found = []
    for callback in callbacks:
        name, monitor = _watching(callback), getattr(callback, "monitor", None)
        if not name or not isinstance(monitor, str):
            continue
        if name == "ModelCheckpoint" and not _keeps_best(callback):
            continue
        detail = (
            _direction(callback),
            f"{_least_change(callback):.6g}",
            str(int(getattr(callback, "patience", 0))),
            str(int(getattr(callback, "cooldown", 0))),
            "others" if may_log else "alone",
            monitor,
        )
        found.append(Wiring("monitor", name, " ".join(detail)))
    return found


def _watching(callback: Any) -> str:
    """Return which of Keras's watching callbacks one is; empty if none."""
    for kind in type(callback).__mro__:
        is_keras = kind.__module__.partition(".")[0] in ("keras", "tf_keras")
        if is_keras and kind.__name__ in _WATCHING:
            return kind.__name__
    return ""


def _keeps_best(callback: Any) -> bool:
    is_best = getattr(callback, "save_best_only", False)
    return bool(is_best) and getattr(callback, "save_freq", "") == "epoch"


def _direction(callback: Any) -> str:
    """Return `"min"` or `"max"`; `"auto"` where Keras has yet to choose."""
    mode = str(getattr(callback, "mode", ""))
    if mode in ("min", "max"):
        return mode
    compare = getattr(getattr(callback, "monitor_op", None), "__name__", "")
    return {"less": "min", "greater": "max"}.get(compare, "auto")


def _least_change(callback: Any) -> float:
    """Return what counts as progress; 0 where more than that decides."""
    is_late = getattr(callback, "start_from_epoch", 0) or 0
    if is_late or getattr(callback, "baseline", None) is not None:
        return 0.0
    return abs(float(getattr(callback, "min_delta", 0)))


def _may_log(callback: Any) -> bool:
    """Return whether a callback may put numbers of its own into the logs."""
    kind = type(callback)
    return (
        kind.__module__.partition(".")[0] not in _KNOWN
        or kind.__name__ == "LambdaCallback"
    )
