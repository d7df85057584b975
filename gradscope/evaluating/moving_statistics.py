"""The moving statistics of batch norms, and losses after updates of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from gradscope.evaluating import layer_modes
from gradscope.evaluating.float64_program import NoDouble
from gradscope.evaluating.layer_modes import LayerModes

#: Most seconds for the updates that are simulated.
MOST_SECONDS = 30


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
            # In float64, since with a momentum near 1 the difference that is
            # divided by 1 - m below is a few of float32's last bits.
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
        # For infinitely many updates the power is 0, or 1 where a momentum of 1
        # lets nothing move. Both are right without a special case.
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
        # Batch norm divides by the root of variance plus epsilon. So the
        # distance of a channel that is constant in the batch stays finite, too.
        epsilon = float(layer.epsilon)
        deviations = (mean - batch_mean) / np.sqrt(batch_variance + epsilon)
        ratios = (batch_variance + epsilon) / (variance + epsilon)
        return (
            float(np.sqrt(np.mean(deviations**2))),
            float(np.mean(np.abs(np.log(ratios)))),
        )
