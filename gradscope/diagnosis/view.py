"""A run as the rules see it: who is a kernel, who is the output, what learns.

Steps that a loss scale skipped changed nothing and are left out. All arrays
are over the T recorded steps that were made.
"""

from __future__ import annotations

import functools

import numpy as np

from gradscope.diagnosis.spells import median
from gradscope.format.columns import FAMILIES
from gradscope.format.rows import Activation, State, Wiring

#: Names of variables with two axes and more that are no kernels.
#: (TensorFlow Probability's `kernel_posterior_untransformed_scale` multiplies
#: noise, and not the input.)
_NO_KERNELS = ("embedding", "gamma", "beta", "bias", "position", "scale")

#: Likewise, whole names: biases; and the numbers of bits and of bits before and
#: behind the point that HGQ trains, one for each weight.
_NO_KERNEL_IS = ("b", "i", "f")

#: Optimizers that divide by the size of the gradient, so that its size alone
#: does not say how fast a layer learns.
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

#: Layers behind which the size of what came before does not matter.
_NORMALISING = ("BatchNormalization", "LayerNormalization", "Normalization")


class View:
    """A record, and what follows from it.

    Args:
        record: A `gradscope.Record`.
    """

    def __init__(self, record):
        self.record = record
        self.schema = record.schema
        self.run = record.run
        self._made = _made(record)
        self.steps = record.steps[self._made]
        self._got: dict[str, np.ndarray] = {}

    @property
    def count(self) -> int:
        """How many records there are, T."""
        return len(self.steps)

    @property
    def is_from_start(self) -> bool:
        """Whether the very first step was recorded."""
        return bool(self.count) and int(self.steps[0]) == 0

    def get(self, statistic: str) -> np.ndarray:
        """Returns a statistic, float32 `[T, rows]`; `[T]` if it is one of the
        whole step. NaN where it was not recorded."""
        if statistic not in self._got:
            self._got[statistic] = self._recorded(statistic)
        return self._got[statistic]

    def _recorded(self, statistic: str) -> np.ndarray:
        try:
            return self.record[statistic][self._made]
        except KeyError:
            family = next(f for f, n in FAMILIES.items() if statistic in n)
            rows = len(self.schema.rows(family))
            shape = (self.count,) if family == "run" else (self.count, rows)
            return np.full(shape, np.nan, np.float32)

    @functools.cached_property
    def kernels(self) -> list[int]:
        """Rows of the kernels, in forward order: variables of two axes and
        more that are no embeddings, and had a gradient."""
        had = np.isfinite(self.get("gradient_norm")).any(axis=0)
        size = median(self.get("gradient_size"), axis=0)
        return [
            row
            for row, one in enumerate(self.schema.variables)
            if len(one.shape) >= 2
            and had[row]
            and size[row] >= 0.99 * one.size  # not of rows alone
            and one.size > 1
            and not any(word in _own_name(one).lower() for word in _NO_KERNELS)
            and _own_name(one) not in _NO_KERNEL_IS
        ]

    @property
    def is_adaptive(self) -> bool:
        """Whether the optimizer makes up for the size of gradients."""
        name = str(self.schema.optimizer.get("class", "")).lower()
        return any(word in name for word in _ADAPTIVE)

    def layer(self, row: int) -> str:
        """Returns the layer of a variable."""
        return self.schema.variables[row].layer

    @functools.cached_property
    def facts(self) -> dict[str, dict]:
        """What is known of layers, by name: `class` and `config`."""
        layers = self.model.get("layers") or ()
        return {one.get("name"): one for one in layers}

    @property
    def model(self) -> dict:
        """What is known of the Keras model, {} if nothing."""
        return getattr(self.schema, "model", None) or {}

    def config(self, layer: str | None, key: str, default=None):
        """Returns an entry of a layer's configuration."""
        config = self.facts.get(layer, {}).get("config") or {}
        return config.get(key, default)

    @property
    def is_normalised(self) -> bool:
        """Whether layers normalise what they get: then the size of weights
        and inputs matters little."""
        if any(s.kind == "batch_norm" for s in self.schema.states):
            return True
        if any(f.get("class") in _NORMALISING for f in self.facts.values()):
            return True
        names = [v.name.lower() for v in self.schema.variables]
        return any("norm" in name or "gamma" in name for name in names)

    @property
    def activations(self) -> list[tuple[int, Activation]]:
        """Rows and descriptions of the activations."""
        return list(enumerate(self.schema.activations))

    def layer_of(self, activation: Activation) -> str:
        """Returns the layer that an activation belongs to."""
        return activation.name.rpartition("/")[0] or activation.name

    def is_output(self, activation: Activation) -> bool:
        """Returns whether it is the model's output."""
        return bool(getattr(activation, "is_output", False))

    @property
    def outputs(self) -> list[tuple[int, Activation]]:
        """The activations that are outputs of the model."""
        return [(r, a) for r, a in self.activations if self.is_output(a)]

    @property
    def states(self) -> list[tuple[int, State]]:
        """Rows and descriptions of layers with a state or a dropout."""
        return list(enumerate(self.schema.states))

    def data(self, role: str) -> list[int]:
        """Returns the rows of `"input"`, `"target"` or `"output"`."""
        names = self.schema.rows("data")
        return [n for n, name in enumerate(names) if name.startswith(role)]

    def wiring(self, kind: str) -> list[Wiring]:
        """Returns what is put together in this odd way."""
        return [one for one in self.schema.wiring if one.kind == kind]

    @functools.cached_property
    def loss(self) -> np.ndarray:
        """Loss in training mode, [T]; NaN where it is not known."""
        return self.get("loss").astype(float)

    @functools.cached_property
    def first_loss(self) -> float:
        """Median loss of the first records; where it explodes at once that of
        the first step, or that of guessing."""
        typical = float(median(self.loss[: max(3, min(10, self.count // 10))]))
        first = float(self.loss[0])
        if 0 < first < typical / 10:
            return first
        return min(typical, max(self.guess, first))

    @property
    def guess(self) -> float:
        """Cross-entropy of guessing evenly, ln C of C classes (CS231n);
        infinite where it is not known."""
        outputs = self.data("output")
        if "crossentropy" not in self.loss_name or len(outputs) != 1:
            return np.inf
        shape = self.schema.data[outputs[0]].shape
        return float(np.log(max(2, shape[-1] if shape else 2)))

    @functools.cached_property
    def last_loss(self) -> float:
        """Median loss of the last tenth of the records, five at least."""
        return float(median(self.loss[-max(5, self.count // 10) :]))

    @property
    def fall(self) -> float:
        """Share of the first loss by which it fell; NaN where not known. What
        ends no better than guessing did not fall."""
        if not np.isfinite(self.first_loss):
            return np.nan
        size = max(abs(self.first_loss), 1e-12)
        fall = (self.first_loss - self.last_loss) / size
        return min(fall, 0.0) if self.last_loss > 0.95 * self.guess else fall

    @property
    def last_step(self) -> int:
        """The last recorded step."""
        return int(self.steps[-1])

    @functools.cached_property
    def logs(self) -> dict[str, np.ndarray]:
        """What `fit` logged after each epoch, by name: [epochs]."""
        logs = getattr(self.record, "logs", ())
        names = dict.fromkeys(n for log in logs for n in log.values)
        return {
            name: np.array([log.values.get(name, np.nan) for log in logs])
            for name in names
        }

    @property
    def accuracy(self) -> np.ndarray | None:
        """Accuracy in training after each epoch; None if not logged."""
        return self._logged("acc", validation=False)

    @property
    def validation_accuracy(self) -> np.ndarray | None:
        """Accuracy on validation data after each epoch."""
        return self._logged("acc", validation=True)

    def _logged(self, word: str, *, validation: bool):
        for name, values in self.logs.items():
            if name.startswith("val_") == validation and word in name:
                return values
        return None

    @property
    def loss_name(self) -> str:
        """Class or function of the compiled loss in small letters without
        underscores, "" if not known: `"sparsecategoricalcrossentropy"`."""
        loss = self.model.get("loss")
        name = loss.get("class", "") if isinstance(loss, dict) else ""
        return str(name).lower().replace("_", "")

    @property
    def is_regression(self) -> bool:
        """Whether the loss is the size of an error, of which a tenth is ten
        times as good however small it is; a cross-entropy of .01 is as good
        as none."""
        name = self.loss_name
        return "error" in name or "huber" in name or "cosh" in name

    @property
    def loss_takes_logits(self) -> bool:
        """Whether the loss makes probabilities itself."""
        loss = self.model.get("loss")
        config = loss.get("config") if isinstance(loss, dict) else None
        return bool((config or {}).get("from_logits", False))


def _own_name(variable) -> str:
    return variable.name.rpartition("/")[2]


def _made(record) -> np.ndarray:
    """Returns in which records some variable took part, bool [T]."""
    missing = record["gradient_missing"]
    return ~np.isnan(missing).all(axis=1) if missing.size else missing.any(1)
