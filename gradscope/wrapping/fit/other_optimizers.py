"""The optimizers that a model holds besides its own: a GAN's train each a part
of it, in one step."""

from __future__ import annotations

import collections
import contextlib
import re

from gradscope.wrapping.optimizers.loss_scale import innermost

#: The part of an optimizer's name instead of which its loss has another.
_KIND = re.compile(r"optimi[sz]er|optim|opt")

#: Longer lists hold data, and are not looked through.
_MOST = 100

#: Where TensorFlow and Keras keep each attribute once more.
_TRACKING = ("_self_", "_tracker", "_obj_reference_counts")


def held_optimizers(model, is_supported) -> dict:
    """Returns the optimizers that a model has as attributes, or in lists and
    dictionaries, but for `model.optimizer`, by their name.

    Args:
        model: A Keras model.
        is_supported: Says whether an object is an optimizer.
    """
    optimizers: dict = {}
    collected = [innermost(model.optimizer)]

    def add(name, value):
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

    of_classes = [vars(optimizer) for optimizer in type(model).__mro__]
    attributes = dict(collections.ChainMap(dict(vars(model)), *of_classes))
    names = [n for n in attributes if not n.startswith(_TRACKING)]
    for name in sorted(names, key=lambda name: name.startswith("_")):
        with contextlib.suppress(Exception):  # whatever it is
            add(name, attributes[name])
    return optimizers


def loss_name(name: str) -> str:
    """Returns what the loss is called, most of the time, whose optimizer has a
    name: `d_loss` for `d_optimizer`."""
    return _KIND.sub("loss", name, count=1)


class OtherOptimizers:
    """The seams of all optimizers of a model, where one is spoken to.

    Args:
        seams: Of the model's own optimizer, then of the others.
    """

    def __init__(self, seams: list):
        self._seams = seams

    @property
    def observes_forward(self) -> bool:
        """Whether forward passes are observed by any."""
        return any(seam.observes_forward for seam in self._seams)

    @contextlib.contextmanager
    def unobserved(self):
        """A place where all methods are the optimizers' own."""
        with contextlib.ExitStack() as stack:
            for seam in self._seams:
                stack.enter_context(seam.unobserved())
            yield

    def capture_logs(self, logs) -> None:
        """Has what a plain program returns of a step be known."""
        for seam in self._seams:
            seam.capture_logs(logs)

    def warn_once(self, message: str) -> None:
        """Warns once of what steps are recorded, or why none is."""
        self._seams[0].warn_once(message)

    def stop_observing_forward(self, error: Exception) -> None:
        """Observes no forward passes any more."""
        for seam in self._seams:
            if seam.observes_forward:
                seam.stop_observing_forward(error)

    def fail(self, error: Exception) -> None:
        """Stops observing, with one warning."""
        first, *rest_of_seams = self._seams
        first.fail(error)
        for seam in rest_of_seams:
            seam.failed = True
