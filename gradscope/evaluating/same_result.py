"""Two functions held beside each other: what differs, and where they part."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from gradscope.evaluating import same_text
from gradscope.evaluating.where_they_part import place
from gradscope.format.schema import Variable

#: Relative difference of gradients that is rounding in float64, and in
#: float32. (Measured of the same function written in two ways: 8e-15 and
#: 7.5e-6, across XLA up to .02 where a ReLU near zero flips; of functions
#: with a fault .15 and more, an epsilon of 1e-3 for 1e-5 makes 1e-4.)
SAME = {"float64": 1e-8, "float32": 1e-4}

#: From here on it is no rounding in float32 either.
DIFFERENT = 0.05

#: A gradient below this share of the largest is noise.
NOISE = {"float64": 1e-10, "float32": 1e-4}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What two sides computed of one batch in one precision.

    Attributes:
        losses: Of both.
        gradients_a: Of each common variable, None where there is none.
        gradients_b: Likewise.
        reads_a: Of each variable the arrays that the forward pass makes of it.
        reads_b: Likewise.
    """

    losses: tuple[float, float]
    gradients_a: list
    gradients_b: list
    reads_a: list
    reads_b: list


@dataclasses.dataclass(frozen=True)
class Difference:
    """Of the gradients of one variable in one precision.

    Attributes:
        relative: `‖a - b‖ / max(‖a‖, ‖b‖)`, from 0 to 2; 0 where both are 0.
        cosine: Of the angle between them; NaN where one is 0.
        norm_a: Norm of the first; 0 where there is no gradient.
        norm_b: Of the second.
    """

    relative: float
    cosine: float
    norm_a: float
    norm_b: float


@dataclasses.dataclass(frozen=True)
class Row:
    """One variable of both functions.

    Attributes:
        variable: Its name in the first.
        variable_b: Its name in the second.
        layer: Name of its layer in the first.
        float32: As the functions compute, which is in float32 or in mixed
            precision.
        float64: In float64; None where that could not be done.
        noise: Whether its gradient is so small that its difference says
            nothing: below 1e-4 of the largest, and in float64 (where that is
            known) below 1e-10.
        differs: Whether it is another gradient, and not the same one rounded;
            None where float32 alone cannot tell.
    """

    variable: str
    variable_b: str
    layer: str
    float32: Difference
    float64: Difference | None
    noise: bool
    differs: bool | None


@dataclasses.dataclass(frozen=True)
class Sameness:
    """Whether two functions are the same. `print(...)` tells it in words.

    Attributes:
        same: True or False; None where float64 could not be computed and
            float32 cannot tell rounding from a difference.
        way: None if they are the same; `"forward"` if they part on the way to
            the loss, `"backward"` if losses agree and gradients do not.
        layer: Where they part, a name of the first; None where that is not
            known.
        place: The same in words.
        rows: A row for each variable, in forward order.
        losses: Of both, by precision.
        float64_problem: Why there is no float64; None if there is.
        moved: Variables of `b` that had other values than those of `a`, which
            it was computed with.
        only_a: Trained variables that the second does not have.
        only_b: Those that the first does not have.
        random: Whether each draws random numbers that no variable decides on:
            then it differs from itself, too.
    """

    same: bool | None
    way: str | None
    layer: str | None
    place: str
    rows: tuple[Row, ...]
    losses: dict[str, tuple[float, float]]
    float64_problem: str | None
    moved: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    random: tuple[bool, bool]

    @property
    def precision(self) -> str:
        """`"float64"`, or `"float32"` where that is all there is."""
        return "float32" if self.float64_problem else "float64"

    def largest(self, precision: str) -> float:
        """Returns the largest relative difference of what is no noise; NaN
        where there is none.

        Args:
            precision: `"float32"` or `"float64"`.
        """
        found = [
            getattr(row, precision).relative
            for row in self.rows
            if not row.noise and getattr(row, precision) is not None
        ]
        return max(found, default=math.nan)

    def __str__(self) -> str:
        return same_text.text(self)

    def to_dict(self) -> dict:
        """Returns it as JSON has it, see docs/compare.md."""
        return same_text.to_dict(self)


def judged(
    variables: list[Variable],
    names_b: list[str],
    evaluations: dict[str, Evaluation],
    *,
    float64_problem: str | None = None,
    moved=(),
    only=((), ()),
    random=(False, False),
    stopped=((), ()),
) -> Sameness:
    """Returns the judgement on what two sides computed.

    Args:
        variables: That both have, in forward order.
        names_b: Their names in the second.
        evaluations: By precision; `"float32"` is always there.
        float64_problem: Why `"float64"` is not.
        moved: As in `Sameness`.
        only: Names of what each has alone.
        random: As in `Sameness`.
        stopped: Names of the operations of each that stop gradients.
    """
    differences = {
        precision: [
            _difference(a, b)
            for a, b in zip(one.gradients_a, one.gradients_b, strict=True)
        ]
        for precision, one in evaluations.items()
    }
    precision = "float64" if "float64" in evaluations else "float32"
    largest = {p: _largest(found) for p, found in differences.items()}
    rows = tuple(
        _row(index, one, names_b[index], differences, largest)
        for index, one in enumerate(variables)
    )
    evaluation = evaluations[precision]
    far = _relative(*evaluation.losses)
    verdicts = [row.differs for row in rows]
    verdicts.append(_differs(far, precision))
    verdicts.append(bool(only[0] or only[1]))
    verdict = not any(verdicts)
    if verdict and None in verdicts:
        verdict = None
    way, layer, words = None, None, ""
    if verdict is False:
        way, layer, words = place(
            variables, rows, evaluation, precision, stopped
        )
    return Sameness(
        same=verdict,
        way=way,
        layer=layer,
        place=words,
        rows=rows,
        losses={p: one.losses for p, one in evaluations.items()},
        float64_problem=float64_problem,
        moved=tuple(moved),
        only_a=tuple(only[0]),
        only_b=tuple(only[1]),
        random=tuple(random),
    )


def _difference(a, b) -> Difference:
    if a is None or b is None:
        shape = np.shape(b if a is None else a)
        a, b = (np.zeros(shape) if g is None else g for g in (a, b))
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    with np.errstate(all="ignore"):
        cosine = float(np.vdot(a, b) / norms[0] / norms[1])
    apart = float(np.linalg.norm(np.subtract(a, b)))
    larger = max(norms)
    return Difference(
        relative=apart / larger if larger else 0.0,
        cosine=cosine if norms[0] and norms[1] else math.nan,
        norm_a=norms[0],
        norm_b=norms[1],
    )


def _largest(differences: list[Difference]) -> float:
    norms = [max(one.norm_a, one.norm_b) for one in differences]
    return max((n for n in norms if math.isfinite(n)), default=0.0)


def _is_noise(one: Difference, largest: float, precision: str) -> bool:
    norm = max(one.norm_a, one.norm_b)
    return norm < NOISE[precision] * largest


def _row(index, variable, name_b, differences, largest) -> Row:
    found = {p: of_all[index] for p, of_all in differences.items()}
    noise = all(_is_noise(one, largest[p], p) for p, one in found.items())
    precision = "float64" if "float64" in found else "float32"
    deciding = found[precision]
    apart = deciding.relative * max(deciding.norm_a, deciding.norm_b)
    small = apart < NOISE["float64"] * largest[precision]
    differs = False
    if not noise and not small:
        differs = _differs(deciding.relative, precision)
    return Row(
        variable=variable.name,
        variable_b=name_b,
        layer=variable.layer,
        float32=found["float32"],
        float64=found.get("float64"),
        noise=noise,
        differs=differs,
    )


def _differs(relative: float, precision: str) -> bool | None:
    """Returns whether a difference is more than rounding; None if it cannot be
    told."""
    if relative <= SAME[precision]:
        return False
    # NaN is no rounding.
    is_known = precision == "float64" or not relative <= DIFFERENT
    return True if is_known else None


def _relative(a: float, b: float) -> float:
    larger = max(abs(a), abs(b))
    return abs(a - b) / larger if larger else 0.0
