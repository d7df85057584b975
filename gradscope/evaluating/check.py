"""Finds the layers that make inference differ from training: `check`."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from gradscope.evaluating import layer_modes, probe
from gradscope.evaluating.check_result import NONE, Check, LayerCheck
from gradscope.evaluating.layer_modes import LayerModes
from gradscope.evaluating.moving_statistics import MovingStatistics

#: Largest number of updates that are simulated.
MOST_SIMULATED = 2000


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

    Examples:
        Batch norm makes -1 and 1 of the inputs 1 and 3 in training, and leaves
        them as they are in inference, since its moving mean and variance are
        still 0 and 1. The moving mean is two standard deviations of the batch
        from the batch's own.

        >>> import keras
        >>> import numpy as np
        >>> import gradscope
        >>> norm = keras.layers.BatchNormalization(epsilon=0.0, name="norm")
        >>> model = keras.Sequential([keras.Input((1,)), norm])
        >>> model.compile(loss="mse")
        >>> x, y = np.array([[1.0], [3.0]]), np.zeros([2, 1])
        >>> result = gradscope.check(model, x, y)
        >>> result.training_loss, result.inference_loss, result.gap
        (1.0, 5.0, 4.0)
        >>> result.cause, round(result.layers[0].mean_distance, 3)
        ('norm', 2.0)
        >>> result.updates_by_momentum  # ln(0.01) / ln(0.99) = 458.2
        459
    """
    if not 0 < closed < 1:
        raise ValueError(
            "`closed` must be a share of the gap, above 0 and below 1, got "
            f"{closed!r}. Leave the argument out to use 0.99."
        )
    switches = _trace_modes(model, [x, y, sample_weight])
    count = len(switches.layers)
    training = switches.loss(True, [True] * count)
    inference = switches.loss(False, [False] * count)
    batch_norms = [n for n in switches.layers if layer_modes.is_batch_norm(n)]
    statistics = MovingStatistics(switches, batch_norms)
    layers = [
        _check_layer(layer, training, inference, statistics)
        for layer in switches.layers
    ]
    cause = None
    if layers and _differ(training, inference):
        cause = max(layers, key=lambda layer: _rank(layer.share)).layer
    return Check(
        training_loss=training,
        inference_loss=inference,
        layers=tuple(layers),
        cause=cause,
        closed=closed,
        **_check_statistics(statistics, batch_norms, inference, closed),
    )


def _trace_modes(model: Any, parts: list[Any]) -> LayerModes:
    """Trace a model's loss on a batch in both modes; see `check` for errors."""
    if not tf.executing_eagerly():
        raise RuntimeError(
            "gradscope.check needs eager execution, but was called while a "
            "graph was being built. Call it outside a tf.function."
        )
    library = probe.keras_library(model)
    probe.check_ready(model)
    floats = library.backend.floatx()
    return LayerModes(model, [probe.to_tensors(part, floats) for part in parts])


def _check_statistics(
    statistics: MovingStatistics,
    batch_norms: list[Any],
    inference: float,
    closed: float,
) -> dict[str, Any]:
    """Compute the fields of a `Check` about further updates."""
    momenta = [float(norm.momentum) for norm in batch_norms]
    by_momentum = [_updates_by_momentum(m, closed) for m in momenta]
    limit = simulated = math.nan
    updates: int | None = 0
    if batch_norms:
        limit = statistics.loss_after(math.inf)
        updates = _updates(statistics, inference, limit, closed)
        # Each simulated update is a forward pass of the model, so many of them
        # would take longer than the training that they foretell.
        if updates and updates <= MOST_SIMULATED:
            simulated = statistics.simulate_loss(updates)
    return {
        "statistics_loss": limit,
        "updates": updates,
        "updates_by_momentum": max(by_momentum, default=math.nan),
        "simulated_loss": simulated,
    }


def _check_layer(
    layer: Any,
    training: float,
    inference: float,
    statistics: MovingStatistics,
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
    # `not <=` is true for NaN, too.
    return not abs(a - b) <= NONE * max(abs(a), abs(b))


def _rank(share: float) -> float:
    # `max` compares with `>`, which is false for NaN: a NaN in the first place
    # would win over every number.
    return -math.inf if math.isnan(share) else share


def _updates_by_momentum(momentum: float, closed: float) -> float:
    if not 0 < momentum < 1:
        # With a momentum of 1 nothing moves; with 0 one update is all of it.
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
