"""Finds the layers that make inference differ from training: `check`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from gradscope.evaluating import layer_modes, probe
from gradscope.evaluating.check_result import NONE, Check, LayerCheck
from gradscope.evaluating.float64_program import NoDouble
from gradscope.evaluating.layer_modes import LayerModes

#: Largest number of updates that are simulated, and seconds for them.
MOST_SIMULATED, MOST_SECONDS = 2000, 30

#: Largest number of updates for which their formula is evaluated.
MOST_UPDATES = 10**6


def check(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    closed: float = 0.99,
) -> Check:
    """Find the layer that makes training and inference lose differently.

    It computes the loss of one batch in both modes. Then it switches each layer
    that has two modes (batch norm, dropout, layers of your own that take
    `training`) to inference while all others train. It also says how many
    further updates of the moving statistics would close the gap.

    At fixed weights each update moves a statistic towards that of the batch, by
    its momentum, so its value after n updates has a formula. The number of
    updates that the formula gives is then simulated on copies.

    The call changes no weight, no statistic, no metric and no random stream.

    Args:
        model: A compiled model of Keras 3 on TensorFlow, or of tf_keras.
        x: Inputs of one batch, as in `model.fit`, of the size used in training.
        y: Targets, likewise.
        sample_weight: Weights of the examples, likewise.
        closed: Share of the gap to be closed, above 0 and below 1.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model was not built or compiled or has no loss, or
            `closed` is out of range.
        NotImplementedError: If Keras runs on another backend.
        RuntimeError: If called in a function or graph that is being traced.
    """
    if not 0 < closed < 1:
        raise ValueError(
            "`closed` must be a share of the gap, above 0 and below 1, got "
            f"{closed!r}. Leave the argument out to use 0.99."
        )
    if not tf.executing_eagerly():
        raise RuntimeError(
            "gradscope.check needs eager execution, but was called while a "
            "graph was being built. Call it outside a tf.function."
        )
    library = probe.keras_library(model)
    probe.check_ready(model)
    floats = library.backend.floatx()
    batch = [probe.to_tensors(part, floats) for part in (x, y, sample_weight)]
    switches = LayerModes(model, batch)
    count = len(switches.layers)
    training = switches.loss(True, [True] * count)
    inference = switches.loss(False, [False] * count)
    batch_norms = [n for n in switches.layers if layer_modes.is_batch_norm(n)]
    statistics = MovingStatistics(switches, batch_norms)
    layers = [
        _check_layer(layer, training, inference, statistics)
        for layer in switches.layers
    ]
    cause, updates = None, 0
    statistics_loss = simulated_loss = math.nan
    if layers and _differ(training, inference):
        cause = max(layers, key=lambda layer: _rank(layer.share)).layer
    if batch_norms:
        statistics_loss = statistics.loss_after(math.inf)
        updates = _updates(statistics, inference, statistics_loss, closed)
        if updates and updates <= MOST_SIMULATED:
            simulated_loss = statistics.simulate_loss(updates)
    return Check(
        training_loss=training,
        inference_loss=inference,
        statistics_loss=statistics_loss,
        layers=tuple(layers),
        cause=cause,
        updates=updates,
        updates_by_momentum=max(
            (
                _updates_by_momentum(float(norm.momentum), closed)
                for norm in batch_norms
            ),
            default=math.nan,
        ),
        simulated_loss=simulated_loss,
        closed=closed,
    )


class MovingStatistics:
    """The moving statistics of a model's batch norms.

    Gives their values and the losses after further updates on one batch, at
    fixed weights.

    Attributes:
        variables: Moving mean and moving variance of each batch norm.
        now: Their present values, float64.
        batch: The values that they approach: the statistics of the batch.
    """

    def __init__(self, switches: LayerModes, batch_norms: list):
        """Compute the statistics of the batch from one update.

        Args:
            switches: The model's loss on the batch.
            batch_norms: Those of its layers that are batch norms.
        """
        self._switches = switches
        self._batch_norms = batch_norms
        self.variables = [
            variable
            for norm in batch_norms
            for variable in layer_modes.moving_statistics(norm)
        ]
        self._momenta = [
            float(norm.momentum) for norm in batch_norms for _ in (0, 1)
        ]
        self.now = [np.asarray(v.numpy(), np.float64) for v in self.variables]
        try:
            after = switches.run_training_mode(self.variables, double=True)
        except (NoDouble, tf.errors.OpError):
            after = switches.run_training_mode(self.variables)
        # An update is s' = m s + (1 - m) b, solved here for b.
        self.batch = [
            now if m == 1 else (np.asarray(s, np.float64) - m * now) / (1 - m)
            for s, now, m in zip(after, self.now, self._momenta, strict=True)
        ]

    def values_after(
        self, updates: float
    ) -> list[tuple[tf.Variable, np.ndarray]]:
        """Compute pairs of a variable and its value after updates."""
        return [
            (variable, batch + m**updates * (now - batch))
            for variable, batch, now, m in zip(
                self.variables, self.batch, self.now, self._momenta, strict=True
            )
        ]

    def loss_after(self, updates: float) -> float:
        """Compute the loss of inference after updates, by their formula."""
        return self._inference_loss(self.values_after(updates))

    def simulate_loss(self, updates: int) -> float:
        """Compute the loss of inference after updates made one by one; NaN if
        that takes longer than `MOST_SECONDS`."""
        values = self._switches.run_training_mode(
            self.variables, updates, seconds=MOST_SECONDS
        )
        if values is None:
            return math.nan
        return self._inference_loss(zip(self.variables, values, strict=True))

    def _inference_loss(self, statistics) -> float:
        modes = [False] * len(self._switches.layers)
        return self._switches.loss(False, modes, tuple(statistics))

    def loss_alone(self, layer: Any) -> float:
        """Compute the loss of training with this layer alone in inference."""
        modes = [
            other is not layer and not layer_modes.is_batch_norm(other)
            for other in self._switches.layers
        ]
        # The other batch norms run in inference mode with the statistics of the
        # batch, which they would use in training. The moving statistics of this
        # layer come last, since of several values the last one counts.
        statistics = (
            *self.values_after(math.inf),
            *self._pairs(layer, self.now),
        )
        return self._switches.loss(True, modes, statistics)

    def loss_repaired(self, layer: Any) -> float:
        """Compute the loss of inference with this layer alone in training."""
        modes = [
            other is layer and not layer_modes.is_batch_norm(other)
            for other in self._switches.layers
        ]
        return self._switches.loss(False, modes, self._pairs(layer, self.batch))

    def _pairs(self, layer, values: list) -> tuple:
        """Pair the variables of a layer with their values, if any."""
        variables = self._of_layer(layer, self.variables)
        return tuple(zip(variables, self._of_layer(layer, values), strict=True))

    def _of_layer(self, layer, values: list) -> list:
        """Select a layer's items of a list in the order of `variables`."""
        for number, norm in enumerate(self._batch_norms):
            if norm is layer:
                return values[2 * number : 2 * number + 2]
        return []

    def distances(self, layer: Any) -> tuple[float, float]:
        """Compute the distance of a batch norm's statistics from the batch's.

        Returns:
            Of the means, in standard deviations of the batch (rms over the
            channels), and |ln| of the ratio of variances (mean over channels).
        """
        mean, variance = self._of_layer(layer, self.now)
        batch_mean, batch_variance = self._of_layer(layer, self.batch)
        epsilon = float(layer.epsilon)
        deviations = (mean - batch_mean) / np.sqrt(batch_variance + epsilon)
        ratios = (batch_variance + epsilon) / (variance + epsilon)
        return (
            float(np.sqrt(np.mean(deviations**2))),
            float(np.mean(np.abs(np.log(ratios)))),
        )


def _check_layer(
    layer, training: float, inference: float, statistics: MovingStatistics
) -> LayerCheck:
    alone = statistics.loss_alone(layer)
    repaired = statistics.loss_repaired(layer)
    share = math.nan
    if _differ(training, inference):
        share = (alone - training) / (inference - training)
    distances = {}
    if layer_modes.is_batch_norm(layer):
        mean, variance = statistics.distances(layer)
        distances = {
            "momentum": float(layer.momentum),
            "mean_distance": mean,
            "variance_distance": variance,
        }
    kind = "batch_norm" if distances else type(layer).__name__
    return LayerCheck(layer.name, kind, alone, share, repaired, **distances)


def _differ(a: float, b: float) -> bool:
    return not abs(a - b) <= NONE * max(abs(a), abs(b))


def _rank(share: float) -> float:
    return -math.inf if math.isnan(share) else share


def _updates_by_momentum(momentum: float, closed: float) -> float:
    if not 0 < momentum < 1:
        return math.inf if momentum >= 1 else 1.0
    return math.ceil(math.log(1 - closed) / math.log(momentum))


def _updates(
    statistics: MovingStatistics,
    inference: float,
    limit: float,
    closed: float,
) -> int | None:
    """Find the smallest number of updates that closes a share of the gap.

    The number is doubled until it is enough, and then bisected.

    Args:
        statistics: Gives the loss after updates.
        inference: The loss of inference now.
        limit: The loss that it approaches with the number of updates.
        closed: Share of the gap between the two.

    Returns:
        The number: 0 without a gap, None if it is above `MOST_UPDATES`.
    """
    if not _differ(inference, limit):
        return 0

    def is_closed(updates: int) -> bool:
        left = abs(statistics.loss_after(updates) - limit)
        return left <= (1 - closed) * abs(inference - limit)

    enough = 1
    while not is_closed(enough):
        enough *= 2
        if enough > MOST_UPDATES:
            return None
    short = enough // 2
    while enough - short > 1:
        middle = (short + enough) // 2
        if is_closed(middle):
            enough = middle
        else:
            short = middle
    return enough
