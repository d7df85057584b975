"""Limits of the rules, each with its default, its meaning and its source.

Users override them: `gradscope diagnose --set vanishing-gradient.ratio=0.001`,
or the argument `limits` of `gradscope.diagnose`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

from gradscope.diagnosis.finding import KINDS, Finding


@dataclasses.dataclass(frozen=True)
class Limit:
    """A number that a rule compares with.

    Attributes:
        default: Its value unless the user sets another one.
        meaning: The measured quantity, and the source of the default.
    """

    default: float
    meaning: str


#: All limits by `<kind>.<name>`. In the sources, "seeds" are the five networks
#: of `examples/`, and "tuning" is the set of networks in
#: `benchmarks/diagnosis/tune`.
LIMITS = {
    "zero-init.records": Limit(
        10, "recorded steps in a row with weights and gradients of zero"
    ),
    "symmetric-units.spread": Limit(
        0.01,
        "difference between the gradients of a layer's units, as a share of "
        "their norm; healthy layers have .86 and more (seeds)",
    ),
    "symmetric-units.records": Limit(10, "recorded steps in a row"),
    "zero-gradient.records": Limit(
        20, "recorded steps in a row in which all of a gradient is zero"
    ),
    "vanishing-gradient.ratio": Limit(
        0.01,
        "rms gradient of a kernel over that of the kernel where it is "
        "largest; broken .0018 to .0045, healthy .10 and more (seeds)",
    ),
    "vanishing-gradient.adaptive_ratio": Limit(
        1e-4,
        "the same where the optimizer divides by the gradient's size, as Adam "
        "does, which makes up for much of it (tuning)",
    ),
    "vanishing-gradient.records": Limit(20, "recorded steps in a row"),
    "vanishing-gradient.time_steps": Limit(
        20,
        "time steps of a simple recurrent layer from which on too little "
        "comes back of its gradient (10 to 20 end it: "
        "Goodfellow et al. 2016, section 10.7)",
    ),
    "vanishing-gradient.recurrent_fall": Limit(
        0.05, "share by which the loss fell, then: nothing is learned (tuning)"
    ),
    "exploding-gradient.growth": Limit(
        100,
        "largest global gradient norm over the median of the run's start; "
        "a healthy run's falls or grows tenfold (tuning)",
    ),
    "exploding-gradient.ratio": Limit(
        1e3,
        "rms gradient of the first kernels over that of the last ones: it "
        "grows on its way back (torchmortem's critical layer ratio)",
    ),
    "loss-diverges.growth": Limit(
        3, "loss at the end over the loss of the start (tuning)"
    ),
    "loss-diverges.outputs": Limit(
        1000,
        "rms of the outputs at the end over that of the start, where the loss "
        "is not known, or negative (tuning)",
    ),
    "loss-diverges.below_zero": Limit(
        30, "the same, where the loss fell 20 times as far below zero (tuning)"
    ),
    "learning-rate.high_ratio": Limit(
        0.1,
        "update-to-weight ratio of most layers; about .001 is healthy "
        "(CS231n, neural-networks-3), above .1 weights are overwritten",
    ),
    "learning-rate.low_ratio": Limit(
        1e-5, "the same, too small to learn (TheDeepChecker has 1e-4)"
    ),
    "update-too-large.ratio": Limit(
        0.3, "update-to-weight ratio of one layer alone"
    ),
    "update-too-large.growth": Limit(
        20, "rms of the weights at the end over that of the start (tuning)"
    ),
    "update-too-small.ratio": Limit(
        1e-6,
        "update-to-weight ratio of one layer alone, of a hundredth of the "
        "others' and less",
    ),
    "update-too-small.clipped": Limit(
        0.01, "share of the gradient's norm that clipping leaves (tuning)"
    ),
    "update-too-small.clipped_ratio": Limit(
        1e-4, "update-to-weight ratio of the layer that moves most, then"
    ),
    "init-too-small.gain": Limit(
        0.1,
        "rms of the first weights times the root of the number of inputs; "
        "Glorot, He and LeCun start give .8 to 1.5",
    ),
    "init-too-large.gain": Limit(
        8, "the same; where nothing normalises, outputs are huge (tuning)"
    ),
    "init-too-large.loss": Limit(
        10,
        "first loss over that of guessing evenly, ln C for C classes (CS231n)",
    ),
    "dead-relu.error": Limit(
        0.9,
        "share of dead units; 0 false alarms in 66 healthy runs, and all of "
        "the 9 layers that were truly dead (our measurement)",
    ),
    "dead-relu.note": Limit(0.5, "the same, worth a note"),
    "saturated-activation.peaked": Limit(
        0.95,
        "size (rms) of attention's weights over that of a single one being 1 "
        "(1 / sqrt(positions)); an even share is 1 / positions",
    ),
    "hidden-softmax.evenly": Limit(
        2.5,
        "size (rms) of the outputs of a softmax over that of an even share; "
        "between layers 1 to 2.3 (tuning), more is a choice between a few",
    ),
    "exploding-gradient.forward": Limit(
        20,
        "how much larger the outputs of the last hidden layers are than those "
        "of the first, in the first step: sums without normalisation",
    ),
    "saturated-activation.fraction": Limit(
        0.8,
        "share of elements whose slope is below .05 of the largest "
        "(Rakitianskaia and Engelbrecht 2015 use .85 of a measure like it)",
    ),
    "saturated-activation.records": Limit(20, "recorded steps in a row"),
    "dropout-keep-prob.rate": Limit(
        0.55, "rate from which on a `keep_prob` may have been meant (seeds)"
    ),
    "dropout-keep-prob.certain": Limit(
        0.8,
        "rate that is a share to keep if more than one layer has it: hardly "
        "anybody drops .8 on purpose (tuning)",
    ),
    "dropout-keep-prob.gap": Limit(
        0.1,
        "difference in accuracy between training mode and inference mode "
        "(seeds); of a probe, that of the losses as a share of the loss of "
        "guessing",
    ),
    "penalty-dominates.share": Limit(
        0.5, "share of the weight penalty in the loss"
    ),
    "penalty-dominates.added": Limit(
        0.3,
        "share of what layers add in the loss of the first epoch, where the "
        "outputs do not depend on the inputs (tuning)",
    ),
    "batchnorm-statistics.distance": Limit(
        1.0,
        "distance of the moving statistics from those of the batch, in "
        "standard deviations, or as the log of the ratio of variances",
    ),
    "batchnorm-statistics.precise_fall": Limit(
        0.999,
        "share by which an error of numbers fell, from which on a little "
        "distance is much (seeds)",
    ),
    "batchnorm-statistics.precise_distance": Limit(
        0.03, "that distance; broken .05 to .15, repaired 0 (seeds)"
    ),
    "train-inference-mismatch.ratio": Limit(
        2, "loss in inference mode over loss in training mode, one batch"
    ),
    "train-inference-mismatch.plain_ratio": Limit(
        1.5,
        "the same where there is no batch norm: dropout and noise make the "
        "loss in training mode the larger one (tuning)",
    ),
    "train-inference-mismatch.error_ratio": Limit(
        10,
        "the same of errors of numbers (mse, mae), which are never small "
        "enough: broken 100 to 4000 (seeds)",
    ),
    "shared-batchnorm.distance": Limit(
        0.5, "distance between the statistics of two calls of one layer"
    ),
    "unscaled-input.rms": Limit(
        20, "rms of the model's input; standardised data have 1"
    ),
    "unscaled-target.ratio": Limit(
        30, "rms of the targets over the rms of the first outputs"
    ),
    "constant-labels.batches": Limit(
        0.8, "share of the batches in which all targets are the same"
    ),
    "output-range.cut": Limit(
        0.5,
        "share of the batches with an output of exactly the bound, and no "
        "target near it (tuning)",
    ),
    "output-range.share": Limit(
        0.05,
        "how far targets lie outside of what the output can give, as a share "
        "of the targets' range",
    ),
    "loss-metric-disagree.variation": Limit(
        0.15,
        "variation of the outputs over that of the targets; its square is "
        "about the share of variance that is explained. Healthy runs have .34 "
        "and more (tuning)",
    ),
    "loss-metric-disagree.fall": Limit(
        0.3, "share by which the loss fell while accuracy did not move"
    ),
    "disconnected-variable.fall": Limit(
        0.95,
        "share by which the loss fell, from which on a variable without a "
        "gradient is a note only: nothing is missed (tuning)",
    ),
    "learned.fall": Limit(
        0.2,
        "share of the first loss by which the loss must have fallen for a "
        "network to count as learning",
    ),
}


class Limits(Mapping[str, float]):
    """Limits by `<kind>.<name>`: the defaults, overridden by the user's.

    Args:
        overrides: Limits that the user set.

    Raises:
        ValueError: If a limit does not exist, or its value is not a finite
            number of 0 or more.
    """

    def __init__(self, overrides: Mapping[str, float] | None = None):
        self._values = {name: limit.default for name, limit in LIMITS.items()}
        for name, value in dict(overrides or {}).items():
            if name not in LIMITS:
                raise ValueError(
                    f"there is no limit {name!r}; there are "
                    f"{', '.join(LIMITS)}."
                )
            self._values[name] = _number(name, value)

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _number(name: str, value) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan  # refused below
    if not math.isfinite(number) or number < 0:
        raise ValueError(
            f"the limit {name!r} must be a number of 0 or more, got {value!r}."
        )
    return number


@dataclasses.dataclass(frozen=True)
class Ignore:
    """A kind of finding that the user wants left out.

    Attributes:
        kind: One of `KINDS`.
        layer: Name of the only layer to ignore it in; None for all layers.
    """

    kind: str
    layer: str | None = None

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """Parse `KIND` or `KIND:LAYER`.

        Raises:
            ValueError: If the kind of finding does not exist.
        """
        kind, _, layer = text.partition(":")
        if kind not in KINDS:
            raise ValueError(
                f"there is no kind of finding {kind!r}; there are "
                f"{', '.join(KINDS)}."
            )
        return cls(kind, layer or None)

    def covers(self, finding: Finding) -> bool:
        """Return whether a finding is to be left out."""
        return finding.kind == self.kind and self.layer in (
            None,
            finding.layer,
        )
