"""Notices that other code makes steps of an optimizer in the middle of a `fit`.

The callback counts steps on the host, by the batches of its `fit`. A user's
callback may make steps as well: by `train_on_batch` or another `fit`, or by the
optimizer's own method. Then the host's count is too low, and only a program
that reads the optimizer's step on the device knows which steps are due.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gradscope.runtime import tracing
from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.wrapping.fit import fit_arguments

#: Methods of a Keras model that make steps with its `train_function`.
_METHODS = "fit", "train_on_batch"

#: Most steps that a warning lists.
_MOST = 10

_TEXT = (
    "gradscope.Callback has not recorded {steps}, which {were} due. The "
    "optimizer's step number went from {first} to {last} in {batches} of "
    "`fit`. So other code sets that number, or makes steps of this optimizer, "
    "too, in a program that was traced before this `fit`. From now on, all due "
    "steps of `fit` are recorded, and none of the other program. To record "
    "both, call `gradscope.wrap(optimizer, logdir)` before either makes its "
    "first step, and leave out the callback."
)


class OtherSteps:
    """Notices steps of an optimizer beside those of the `fit` in which it is
    observed.

    Args:
        model: The model that `fit` trains.
        react: Called before other code makes a step.

    Attributes:
        replacements: Of the model's methods that make steps.
        were_missed: Whether a warning has named steps that are not recorded.
    """

    def __init__(self, model: Any, react: Callable[[], None]):
        self._model = model
        self._react = react
        self.were_missed = False
        self.replacements: list[MethodReplacement] = []
        for number, name in enumerate(_METHODS):
            run = functools.partial(self._run, number)
            self.replacements.append(MethodReplacement(model, name, run))

    def notice_call(self) -> None:
        """Notice a call of the optimizer, eager or in a trace."""
        # `fit` makes its steps in graphs.
        if tracing.runs_alone() or fit_arguments.is_in_callback(self._model):
            self._react()

    def _run(self, number: int, *arguments: Any, **keywords: Any) -> Any:
        """Replacement of a method of the model that makes steps."""
        self._react()
        return self.replacements[number].original(*arguments, **keywords)


def warning(missing: list[int], first: int, last: int, batches: int) -> str:
    """Say which steps were not recorded, and why.

    Args:
        missing: The steps.
        first, last: The optimizer's step before and after the batches.
        batches: How many batches `fit` has trained since.
    """
    listed = ", ".join(map(str, missing[:_MOST]))
    if len(missing) > _MOST:
        listed += f" and {len(missing) - _MOST} more up to {missing[-1]}"
    return _TEXT.format(
        steps=f"step {listed}" if len(missing) == 1 else f"steps {listed}",
        were="was" if len(missing) == 1 else "were",
        first=first,
        last=last,
        batches="1 batch" if batches == 1 else f"{batches} batches",
    )
