"""The loss of a `train_step` that does not call `compute_loss`.

Such a step tells its loss to a metric of that name, most of the time after
the optimizer's call, when it is too late to measure it. But there is a program
that was traced before, the user's own: a tensor of the same name and number in
the program that records is the same tensor.
"""

from __future__ import annotations

import contextlib

import tensorflow as tf

from gradscope.wrapping import replicas, tracing
from gradscope.wrapping.standin import StandIn

_NAME = "loss"


class Logged:
    """Remembers which tensor of a graph a model's metric of the loss is given.

    Args:
        model: A Keras model.
        fail: Called with an error of ours.
    """

    def __init__(self, model, fail):
        self._fail = fail
        self._place: tuple[str, int] | None = None
        self.stand_ins = []
        if not is_own(model):
            return
        with contextlib.suppress(Exception):  # `metrics` may be the user's
            for metric in model.metrics:
                if metric.name == _NAME:
                    self._stand_in(metric)

    def loss(self, graph):
        """Returns the loss in a graph that is being built, None if it is not
        known.

        Args:
            graph: That is being built, or None.
        """
        if self._place is None:
            return None
        name, number = self._place
        for one in reversed(tracing.outermost_first(graph)):
            with contextlib.suppress(KeyError):
                tensor = one.get_tensor_by_name(name)
                # What is traced with ops of ours before it has another number.
                if tensor.op._id == number:
                    return tensor
        return None

    def _stand_in(self, metric) -> None:
        def update(*arguments, **keywords):
            self._note(*arguments, **keywords)
            return stand_in.original(*arguments, **keywords)

        stand_in = StandIn(metric, "update_state", update)
        self.stand_ins.append(stand_in)

    def _note(self, values=None, sample_weight=None, **_) -> None:
        try:
            if (
                tf.is_symbolic_tensor(values)
                and values.dtype.is_floating
                and (sample_weight is None or values.shape.rank == 0)
                and replicas.is_first()
            ):
                self._place = values.name, values.op._id
        except Exception as error:
            self._fail(error)


def is_own(model) -> bool:
    """Returns whether a model's `train_step` is not that of Keras."""
    step = getattr(type(model), "train_step", None)
    module = getattr(step, "__module__", "").partition(".")[0]
    return step is not None and module not in ("keras", "tf_keras")
