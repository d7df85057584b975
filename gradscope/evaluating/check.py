"""Why inference is another network than training, layer by layer."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from gradscope.evaluating import layer_modes, probe
from gradscope.evaluating.check_result import NONE, Check, LayerCheck
from gradscope.evaluating.float64_program import NoDouble
from gradscope.evaluating.layer_modes import LayerModes

#: Updates that are made one by one at most, for how long, and how many are
#: counted at most.
MOST_MADE, MOST_SECONDS, MOST_COUNTED = 2000, 30, 10**6


def check(
    model, x, y=None, sample_weight=None, *, closed: float = 0.99
) -> Check:
    """Computes the loss of one batch in training and in inference mode, finds
    the layer that makes the gap between them, and how many further updates of
    the moving statistics would close it.

    Each layer that has two modes (batch norm, dropout, layers of your own that
    take `training`) is switched to inference while all others train. At fixed
    weights an update brings a moving statistic nearer to that of the batch by
    its momentum, so what is left after n updates is known, and the loss with
    it; the number that is found is made one by one, on copies.

    Nothing moves: no weight, no statistic, no metric, no random stream.

    Args:
        model: A compiled model of Keras 3 on TensorFlow, or of tf_keras.
        x: Inputs of one batch, as in `model.fit`; as large as those that it
            was trained with.
        y: Targets, likewise.
        sample_weight: Weights of the examples, likewise.
        closed: Share of the gap to be closed, above 0 and below 1.

    Raises:
        TypeError: If it is not such a model.
        ValueError: If it was not built or compiled, has no loss, or `closed`
            is out of range.
        NotImplementedError: If Keras runs on another backend.
        RuntimeError: If called in a function or graph that is being traced.
    """
    if not 0 < closed < 1:
        raise ValueError(
            "`closed` must be a share of the gap, above 0 and below 1, got "
            f"{closed!r}. Leave it out for 0.99."
        )
    if not tf.executing_eagerly():
        raise RuntimeError(
            "gradscope.check needs eager execution, and was called while a "
            "graph is being built. Call it outside of a tf.function."
        )
    library = probe._library(model)
    probe._check(model)
    floats = library.backend.floatx()
    batch = [probe._tensors(part, floats) for part in (x, y, sample_weight)]
    switched = LayerModes(model, batch)
    count = len(switched.layers)
    training = switched.loss(True, [True] * count)
    inference = switched.loss(False, [False] * count)
    norms = [one for one in switched.layers if layer_modes.is_batch_norm(one)]
    kept = Statistics(switched, norms)
    found = [
        _layer(switched, one, training, inference, kept)
        for one in switched.layers
    ]
    cause, updates, made, at_end = None, 0, math.nan, math.nan
    if found and _differ(training, inference):
        cause = max(found, key=lambda one: _rank(one.share)).layer
    if norms:
        at_end = kept.loss(math.inf)
        updates = _updates(kept, inference, at_end, closed)
        if updates and updates <= MOST_MADE:
            made = kept.loss_after(updates)
    return Check(
        training_loss=training,
        inference_loss=inference,
        statistics_loss=at_end,
        layers=tuple(found),
        cause=cause,
        updates=updates,
        updates_by_momentum=max(
            (_by_momentum(float(n.momentum), closed) for n in norms),
            default=math.nan,
        ),
        simulated_loss=made,
        closed=closed,
    )


class Statistics:
    """The moving statistics of a model's batch norms, now and after updates on
    one batch at fixed weights."""

    def __init__(self, switched: LayerModes, norms: list):
        self._switched = switched
        self._norms = norms
        self.variables = [v for n in norms for v in layer_modes.statistics(n)]
        self._momenta = [float(n.momentum) for n in norms for _ in (0, 1)]
        self.now = [np.asarray(v.numpy(), np.float64) for v in self.variables]
        try:
            after = switched.updated(self.variables, double=True)
        except (NoDouble, tf.errors.OpError):
            after = switched.updated(self.variables)
        # s' = m s + (1 - m) b
        self.batch = [
            now if m == 1 else (np.asarray(s, np.float64) - m * now) / (1 - m)
            for s, now, m in zip(after, self.now, self._momenta, strict=True)
        ]

    def after(self, updates: float) -> list:
        """Returns pairs of a variable and what it holds after updates."""
        return [
            (variable, batch + m**updates * (now - batch))
            for variable, batch, now, m in zip(
                self.variables, self.batch, self.now, self._momenta, strict=True
            )
        ]

    def loss(self, updates: float) -> float:
        """Returns the loss of inference after updates, by their formula."""
        return self._inference(self.after(updates))

    def loss_after(self, updates: int) -> float:
        """Returns the loss of inference after updates that are made, NaN if
        that takes too long."""
        made = self._switched.updated(
            self.variables, updates, seconds=MOST_SECONDS
        )
        if made is None:
            return math.nan
        return self._inference(zip(self.variables, made, strict=True))

    def _inference(self, statistics) -> float:
        modes = [False] * len(self._switched.layers)
        return self._switched.loss(False, modes, tuple(statistics))

    def alone(self, layer) -> float:
        """Returns the loss if a layer alone computes as in inference."""
        kept = zip(self.of(layer), self._place(layer, self.now), strict=True)
        modes = [
            one is not layer and not layer_modes.is_batch_norm(one)
            for one in self._switched.layers
        ]
        # The last one counts of what is told twice.
        return self._switched.loss(True, modes, (*self.after(math.inf), *kept))

    def repaired(self, layer) -> float:
        """Returns the loss of inference if a layer alone computes as in
        training."""
        of_batch = self._place(layer, self.batch)
        modes = [
            one is layer and not layer_modes.is_batch_norm(one)
            for one in self._switched.layers
        ]
        given = tuple(zip(self.of(layer), of_batch, strict=True))
        return self._switched.loss(False, modes, given)

    def of(self, layer) -> list:
        """Returns the variables of a layer's statistics, if it has any."""
        return self._place(layer, self.variables)

    def _place(self, layer, values: list) -> list:
        """Returns what belongs to a layer of a list like `variables`."""
        for number, norm in enumerate(self._norms):
            if norm is layer:
                return values[2 * number : 2 * number + 2]
        return []

    def distances(self, layer) -> tuple[float, float]:
        """Returns how far mean and variance of a batch norm are away."""
        mean, variance = self._place(layer, self.now)
        batch_mean, batch_variance = self._place(layer, self.batch)
        epsilon = float(layer.epsilon)
        deviations = (mean - batch_mean) / np.sqrt(batch_variance + epsilon)
        ratios = (batch_variance + epsilon) / (variance + epsilon)
        return (
            float(np.sqrt(np.mean(deviations**2))),
            float(np.mean(np.abs(np.log(ratios)))),
        )


def _layer(switched, layer, training, inference, kept) -> LayerCheck:
    alone, repaired = kept.alone(layer), kept.repaired(layer)
    share = math.nan
    if _differ(training, inference):
        share = (alone - training) / (inference - training)
    facts = {}
    if layer_modes.is_batch_norm(layer):
        mean, variance = kept.distances(layer)
        facts = {
            "momentum": float(layer.momentum),
            "mean_distance": mean,
            "variance_distance": variance,
        }
    kind = "batch_norm" if facts else type(layer).__name__
    return LayerCheck(layer.name, kind, alone, share, repaired, **facts)


def _differ(a: float, b: float) -> bool:
    return not abs(a - b) <= NONE * max(abs(a), abs(b))


def _rank(share: float) -> float:
    return -math.inf if math.isnan(share) else share


def _by_momentum(momentum: float, closed: float) -> float:
    if not 0 < momentum < 1:
        return math.inf if momentum >= 1 else 1.0
    return math.ceil(math.log(1 - closed) / math.log(momentum))


def _updates(kept, inference, at_end, closed) -> int | None:
    """Returns the smallest number of updates after which no more than a share
    of the gap is left; it is searched for where it is between a number that
    does not suffice and the double of it."""
    if not _differ(inference, at_end):
        return 0

    def is_closed(updates: int) -> bool:
        left = abs(kept.loss(updates) - at_end)
        return left <= (1 - closed) * abs(inference - at_end)

    enough = 1
    while not is_closed(enough):
        enough *= 2
        if enough > MOST_COUNTED:
            return None
    short = enough // 2
    while enough - short > 1:
        middle = (short + enough) // 2
        if is_closed(middle):
            enough = middle
        else:
            short = middle
    return enough
