"""Rows and steps of a run for the rules: kernels, activations, data, facts.

Steps that were skipped under a loss scale changed nothing and are left out.
All arrays are over the T recorded steps that were applied.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from gradscope.diagnosis.spells import Spell, median
from gradscope.format.columns import FAMILIES
from gradscope.format.rows import Activation, State, Variable, Wiring

if TYPE_CHECKING:
    from gradscope.reading.nonfinite import NonFinite
    from gradscope.reading.record import Record

#: Words in the names of variables that have two or more axes, but multiply no
#: input. (TensorFlow Probability's `kernel_posterior_untransformed_scale`
#: multiplies noise.)
_NO_KERNELS = ("embedding", "gamma", "beta", "bias", "position", "scale")

#: Likewise, whole names: biases, and the numbers of bits that HGQ trains, one
#: for each weight.
_NO_KERNEL_NAMES = ("b", "i", "f")

#: Optimizers that divide by the size of the gradient. With these, a small
#: gradient does not mean that a layer learns slowly.
_ADAPTIVE = (
    "adam",
    "rmsprop",
    "adagrad",
    "adadelta",
    "lion",
    "ftrl",
    "lamb",
    "muon",
    "adafactor",
)

#: Layers whose outputs do not depend on the size of their inputs.
_NORMALISING = ("BatchNormalization", "LayerNormalization", "Normalization")


class RunRows:
    """The rows of a record, and quantities that several rules derive from them.

    Args:
        record: The recorded run.

    Attributes:
        record: The same.
        schema: Names and shapes of the rows of the record.
        run: Name or directory of the run.
        steps: int64 [T], the recorded steps that were applied.
    """

    def __init__(self, record: Record):
        self.record = record
        self.schema = record.schema
        self.run = record.run
        self._applied = _applied(record)
        self.steps = record.steps[self._applied]
        self._statistics: dict[str, np.ndarray] = {}

    @property
    def count(self) -> int:
        """Number of recorded steps, T."""
        return len(self.steps)

    @property
    def is_short(self) -> bool:
        """Whether too few steps were recorded to compare the start with the
        end: each is a median of several, so that no odd batch decides."""
        return self.count < 20

    @functools.cached_property
    def is_finite(self) -> np.ndarray:
        """Whether nothing had become NaN or infinite by a step, bool [T]."""
        if self.first_nonfinite is None:
            return np.ones(self.count, bool)
        result: np.ndarray = self.steps < self.first_nonfinite.step
        return result

    @functools.cached_property
    def first_nonfinite(self) -> NonFinite | None:
        """The first NaN or infinity of the run; None if all was finite."""
        return self.record.first_nonfinite()

    @property
    def is_from_start(self) -> bool:
        """Whether the first step of the training was recorded."""
        return bool(self.count) and int(self.steps[0]) == 0

    def get(self, statistic: str) -> np.ndarray:
        """Get a statistic of all rows of its family.

        Args:
            statistic: Name of the statistic, as in `"gradient_norm"`.

        Returns:
            float32 `[T, rows]`, or `[T]` for a statistic of the step as such,
            as the loss; NaN where it was not recorded.
        """
        # Many rules ask for the same statistics.
        if statistic not in self._statistics:
            self._statistics[statistic] = self._values(statistic)
        return self._statistics[statistic]

    def _values(self, statistic: str) -> np.ndarray:
        try:
            values: np.ndarray = self.record[statistic][self._applied]
            return values
        except KeyError:
            # Not recorded in this run, or by an older version.
            family = next(f for f, n in FAMILIES.items() if statistic in n)
            rows = len(self.schema.rows(family))
            shape = (self.count,) if family == "run" else (self.count, rows)
            return np.full(shape, np.nan, np.float32)

    @functools.cached_property
    def kernels(self) -> list[int]:
        """Rows of the kernels, in forward order.

        A kernel has two or more axes and a gradient, and is no embedding.
        """
        # A matrix named `b` is a kernel if the model is known to multiply it.
        multiplied = {n for p in getattr(self.schema, "linear", ()) for n in p}
        had_gradient = np.isfinite(self.get("gradient_norm")).any(axis=0)
        size = median(self.get("gradient_size"), axis=0)
        return [
            row
            for row, variable in enumerate(self.schema.variables)
            if len(variable.shape) >= 2
            and had_gradient[row]
            and size[row] >= 0.99 * variable.size  # a sparse gradient has fewer
            and variable.size > 1
            and not any(
                word in _variable_name(variable).lower() for word in _NO_KERNELS
            )
            and (
                variable.name in multiplied
                or _variable_name(variable) not in _NO_KERNEL_NAMES
            )
        ]

    @property
    def is_adaptive(self) -> bool:
        """Whether the optimizer, or a part, divides by the gradient's size."""
        names = [str(self.schema.optimizer.get("class", ""))]
        names += [variable.optimizer for variable in self.schema.variables]
        # A part of a name will do: `AdamW`, `Nadam`.
        return any(word in name.lower() for name in names for word in _ADAPTIVE)

    @functools.cached_property
    def pace(self) -> list[tuple[str, float]]:
        """Part of the optimizer and learning rate of each variable.

        The part is `""` for an optimizer without parts. The rate is the median
        over the steps, NaN where it is not known.
        """
        if not self.schema.has_rates:
            rate = float(median(self.get("learning_rate")))
            return [("", rate)] * len(self.schema.variables)
        rates = median(self.get("variable_learning_rate"), axis=0)
        return [
            (variable.optimizer, float(rate))
            for variable, rate in zip(self.schema.variables, rates, strict=True)
        ]

    def layer(self, row: int) -> str:
        """Get the name of the layer that owns a variable, by its row."""
        return self.schema.variables[row].layer

    @functools.cached_property
    def facts(self) -> dict[str, dict[str, Any]]:
        """Facts of the Keras layers, by name: their `class` and `config`."""
        layers = self.model.get("layers") or ()
        return {layer.get("name"): layer for layer in layers}

    @property
    def model(self) -> dict[str, Any]:
        """Facts of the Keras model; empty for other models."""
        return getattr(self.schema, "model", None) or {}

    def config(self, layer: str | None, key: str, default: Any = None) -> Any:
        """Get an entry of a layer's configuration, or the default."""
        config = self.facts.get(layer or "", {}).get("config") or {}
        return config.get(key, default)

    @property
    def is_normalised(self) -> bool:
        """Whether the model has layers that normalise.

        With these, the sizes of weights and inputs matter little.
        """
        if any(s.kind == "batch_norm" for s in self.schema.states):
            return True
        if any(f.get("class") in _NORMALISING for f in self.facts.values()):
            return True
        # Other models have no facts; names of their variables may tell.
        names = [v.name.lower() for v in self.schema.variables]
        return any("norm" in name or "gamma" in name for name in names)

    @property
    def activations(self) -> list[tuple[int, Activation]]:
        """Rows of the activations, with their descriptions."""
        return list(enumerate(self.schema.activations))

    def layer_of(self, activation: Activation) -> str:
        """Get the name of the layer that an activation belongs to."""
        return activation.name.rpartition("/")[0] or activation.name

    def is_output(self, activation: Activation) -> bool:
        """Return whether an activation is an output of the model."""
        return bool(getattr(activation, "is_output", False))

    @property
    def outputs(self) -> list[tuple[int, Activation]]:
        """Rows of the activations that are outputs, with their descriptions."""
        return [(r, a) for r, a in self.activations if self.is_output(a)]

    @property
    def states(self) -> list[tuple[int, State]]:
        """Rows of layer states and dropouts, with their descriptions."""
        return list(enumerate(self.schema.states))

    def data_rows(self, role: str) -> list[int]:
        """List rows of data, by role.

        Args:
            role: `"input"`, `"target"` or `"output"`.
        """
        names = self.schema.rows("data")
        return [n for n, name in enumerate(names) if name.startswith(role)]

    def wiring(self, kind: str) -> list[Wiring]:
        """List odd connections of operations, by kind; see `Wiring`."""
        return [wiring for wiring in self.schema.wiring if wiring.kind == kind]

    @property
    def last_step(self) -> int:
        """The last recorded step."""
        return int(self.steps[-1])

    @property
    def end(self) -> Spell:
        """The last tenth of the recorded steps, at least five of them."""
        length = min(self.count, max(5, self.count // 10))
        return Spell(self.count - length, self.count, self.count)

    @property
    def last_layer(self) -> str:
        """Name of the last layer; a run with recorded steps has one."""
        return self.schema.layers[-1]


def _variable_name(variable: Variable) -> str:
    """Return a variable's name without its layer: `kernel`."""
    return variable.name.rpartition("/")[2]


def _applied(record: Record) -> np.ndarray:
    """Find the recorded steps in which a variable took part, bool [T]."""
    missing = record["gradient_missing"]
    if not missing.size:
        return np.zeros(len(missing), bool)
    took_part: np.ndarray = ~np.isnan(missing).all(axis=1)
    return took_part
