"""Notices loops that make a new optimizer for each step.

Such an optimizer begins anew each time: its momenta and averages are zero, its
step is 0, and each step would be a run of its own, with a file of its own.
"""

from __future__ import annotations

import weakref
from typing import Any

#: How many optimizers in a row make one step each before it is said.
_MOST = 3

_TEXT = (
    "A new optimizer is made for each step: {count} in a row made one step "
    "each in {directory}. A new optimizer has no momentum and no averages, and "
    "its schedule is at step 0, so Adam moves each weight by the whole "
    "learning rate whatever the gradient. Make the optimizer once, before the "
    "loop. gradscope records no further ones of this kind here."
)

#: By directory: the latest seam, and how many before it made one step.
_latest: dict[str, tuple[weakref.ref, int]] = {}


def stop_if_repeated(seam: Any, directory: str) -> None:
    """Stop to observe an optimizer that follows others of one step each.

    Args:
        seam: The seam of the new optimizer.
        directory: Directory of its record.
    """
    reference, count = _latest.get(directory, (lambda: None, 0))
    previous = reference()
    made_one_step = (
        previous is not None
        and not previous.suspended
        and previous.step_count() == 1
    )
    count = count + 1 if made_one_step else 0
    _latest[directory] = weakref.ref(seam), count
    if count >= _MOST:
        seam.plain = True
    if count == _MOST:
        seam.warn_once(_TEXT.format(count=count, directory=directory))
    elif count > _MOST:
        seam.expect_no_call()
