"""Optimizers that a model has besides `model.optimizer`.

Each optimizer of a GAN, for example, trains a part of the model in one step.
"""

from __future__ import annotations

import collections
import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from gradscope.wrapping.optimizers.loss_scale import innermost

#: The part of an optimizer's name that is replaced by "loss" in its loss's.
_KIND = re.compile(r"optimi[sz]er|optim|opt")

#: Longest list that is searched; longer lists hold data.
_MOST = 100

#: Beginnings of names under which TensorFlow and Keras track attributes again.
_TRACKING = ("_self_", "_tracker", "_obj_reference_counts")


def held_optimizers(model: Any, is_supported: Callable[[Any], bool]) -> dict:
    """Find the optimizers among a model's attributes, lists and dictionaries.

    Args:
        model: A Keras model; `model.optimizer` is left out.
        is_supported: Returns whether an object is an optimizer.

    Returns:
        The optimizers by name, as in `"d_optimizer"`.
    """
    optimizers: dict = {}
    collected = [innermost(model.optimizer)]

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict | list | tuple) and len(value) > _MOST:
            return
        if isinstance(value, dict):
            for key, part in value.items():
                add(f"{name}_{key}", part)
        elif isinstance(value, list | tuple):
            for number, part in enumerate(value):
                add(f"{name}_{number}", part)
        elif is_supported(value):
            inner = innermost(value)
            if all(inner is not optimizer for optimizer in collected):
                collected.append(inner)
                optimizers[name.strip("_")] = value

    # Not by `getattr`, which would run the properties of the user's class.
    of_classes = [vars(parent) for parent in type(model).__mro__]
    attributes = dict(collections.ChainMap(dict(vars(model)), *of_classes))
    names = [n for n in attributes if not n.startswith(_TRACKING)]
    # An optimizer under two names gets the public one.
    for name in sorted(names, key=lambda name: name.startswith("_")):
        with contextlib.suppress(Exception):  # an attribute of any type
            add(name, attributes[name])
    return optimizers


def loss_name(name: str) -> str:
    """Guess the logged name of an optimizer's loss: `d_optimizer`'s is
    `d_loss`."""
    return _KIND.sub("loss", name, count=1)


class SeamGroup:
    """The seams of all optimizers of a model, used like a single seam.

    Args:
        seams: The seam of `model.optimizer`, then those of the others.
    """

    def __init__(self, seams: list):
        self._seams = seams

    @property
    def observes_forward(self) -> bool:
        """Whether any seam observes forward passes."""
        return any(seam.finder.active for seam in self._seams)

    @contextlib.contextmanager
    def unobserved(self) -> Iterator[None]:
        """Context in which no call of an optimizer is observed."""
        with contextlib.ExitStack() as stack:
            for seam in self._seams:
                stack.enter_context(seam.unobserved())
            yield

    def capture_logs(self, logs: Any) -> None:
        """Capture the logs that the plain program returns for a step."""
        for seam in self._seams:
            seam.capture_logs(logs)

    def warn_once(self, message: str) -> None:
        """Warn once that other steps are recorded than asked, or none."""
        self._seams[0].warn_once(message)

    def record_stale_layers(self, layers: tuple[tuple[str, bool], ...]) -> None:
        """Record that `trainable` was changed after `compile`, and warn."""
        for seam in self._seams:
            seam.record_stale_layers(layers)

    def stop_observing_forward(self, error: Exception) -> None:
        """Stop to observe forward passes."""
        for seam in self._seams:
            if seam.finder.active:
                seam.finder.stop(error)

    def fail(self, error: Exception) -> None:
        """Stop to observe, with one warning."""
        first, *remaining = self._seams
        first.fail(error)
        for seam in remaining:
            # One warning is enough for all of them.
            seam.failed = True
