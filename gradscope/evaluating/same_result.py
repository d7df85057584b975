"""The result of `same`, judged from the gradients of two functions."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from gradscope.evaluating import same_text
from gradscope.evaluating.parting_layer import locate_parting
from gradscope.format.schema import Variable

#: Relative difference of gradients up to which it counts as rounding. That of
#: one function written in two ways stays below it (`test_compare_functions.py`
#: of the tests). In float32 XLA may make more, where a ReLU near zero flips,
#: and so may a small fault such as another epsilon; so float32 alone decides
#: only beyond `DIFFERENT`.
SAME = {"float64": 1e-8, "float32": 1e-4}

#: Relative difference above which it is no rounding in float32 either.
DIFFERENT = 0.05

#: Share of the largest gradient below which another one is noise.
NOISE = {"float64": 1e-10, "float32": 1e-4}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Losses and gradients of two functions on one batch, in one precision.

    Attributes:
        losses: The losses of both.
        gradients_a: Gradients of the first for each common variable, float64;
            None where the loss does not depend on it.
        gradients_b: Gradients of the second.
        reads_a: For each variable the arrays that the first's forward pass
            computes from it.
        reads_b: The arrays of the second.
    """

    losses: tuple[float, float]
    gradients_a: list[np.ndarray | None]
    gradients_b: list[np.ndarray | None]
    reads_a: list[list[np.ndarray]]
    reads_b: list[list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference of a variable's two gradients, in one precision.

    Attributes:
        relative: `‖a - b‖ / max(‖a‖, ‖b‖)`, from 0 to 2; 0 where both are 0.
        cosine: Cosine of the angle between them; NaN where either is 0.
        norm_a: Norm of the first; 0 without a gradient.
        norm_b: Norm of the second.
    """

    relative: float
    cosine: float
    norm_a: float
    norm_b: float


@dataclasses.dataclass(frozen=True)
class Row:
    """One variable of both functions, and the difference of its gradients.

    Attributes:
        variable: Name of the variable in the first function.
        variable_b: Its name in the second.
        layer: Name of its layer in the first.
        float32: Difference as the functions compute, in float32 or in mixed
            precision.
        float64: Difference in float64; None where that failed.
        noise: Whether the gradient is too small for its difference to mean
            anything: below 1e-4 of the largest in float32, and below 1e-10 in
            float64 where that was computed.
        differs: Whether the gradients differ by more than rounding; None where
            float32 alone cannot decide.
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
    """The judgement whether two functions are the same.

    `print(sameness)` describes it in words.

    Attributes:
        same: True or False; None where float64 failed and float32 cannot tell
            rounding from a difference.
        way: `"forward"` if they part before the loss, `"backward"` if losses
            agree and gradients do not; None unless `same` is False.
        layer: Name, in the first, of the layer where they part; None where it
            could not be located.
        place: Where they part, in words.
        rows: A row for each common variable, in forward order.
        losses: Losses of both, by precision.
        float64_problem: Why float64 failed; None if it did not.
        moved: Variables whose values differ between `a` and `b`, by their names
            in `a`; both were computed with the values of `a`.
        only_a: Trained variables that the second does not have.
        only_b: Trained variables that the first does not have.
        random: For each, whether it draws random numbers whose state is not in
            a variable. Then it also differs from itself.
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
        """The precision that decides: `"float64"`, else `"float32"`."""
        return "float32" if self.float64_problem else "float64"

    def largest(self, precision: str) -> float:
        """Compute the largest relative difference of gradients above noise.

        Args:
            precision: `"float32"` or `"float64"`.

        Returns:
            The largest, from 0 to 2; NaN where all gradients are noise or the
            precision was not computed.

        Examples:
            >>> kernel = Variable("dense/kernel", "dense", (2,), "float32")
            >>> gradients = [np.array([3.0, 4.0])], [np.array([3.0, 4.5])]
            >>> evaluation = Evaluation((1.0, 1.0), *gradients, [[]], [[]])
            >>> sameness = judge_sameness(
            ...     [kernel], ["dense/kernel"], {"float32": evaluation}
            ... )
            >>> round(sameness.largest("float32"), 4)  # 0.5 / the root of 29.25
            0.0925
        """
        differences = [
            getattr(row, precision).relative
            for row in self.rows
            if not row.noise and getattr(row, precision) is not None
        ]
        return max(differences, default=math.nan)

    def __str__(self) -> str:
        return same_text.text(self)

    def to_dict(self) -> dict[str, Any]:
        """Convert to a dict for JSON; docs/compare.md describes its keys."""
        return same_text.to_dict(self)


def judge_sameness(
    variables: list[Variable],
    names_b: list[str],
    evaluations: dict[str, Evaluation],
    *,
    float64_problem: str | None = None,
    moved: tuple[str, ...] = (),
    only: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
    random: tuple[bool, bool] = (False, False),
    stopped: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
) -> Sameness:
    """Judge from the gradients of two functions whether they are the same.

    Args:
        variables: The common variables, in forward order.
        names_b: Their names in the second function.
        evaluations: Losses and gradients of both by precision: `"float32"`,
            and `"float64"` where that did not fail.
        float64_problem: Why float64 failed.
        moved: As in `Sameness`.
        only: For each function the names of variables that it has alone.
        random: As in `Sameness`.
        stopped: For each function the names of operations that stop gradients.
    """
    precision = "float64" if "float64" in evaluations else "float32"
    evaluation = evaluations[precision]
    rows = _rows(variables, names_b, evaluations)
    verdict = _verdict(rows, evaluation.losses, precision, only)
    way, layer, words = None, None, ""
    if verdict is False:
        way, layer, words = locate_parting(
            variables, rows, evaluation, precision, stopped
        )
    return Sameness(
        same=verdict,
        way=way,
        layer=layer,
        place=words,
        rows=rows,
        losses={p: e.losses for p, e in evaluations.items()},
        float64_problem=float64_problem,
        moved=tuple(moved),
        only_a=tuple(only[0]),
        only_b=tuple(only[1]),
        random=random,
    )


def _rows(
    variables: list[Variable],
    names_b: list[str],
    evaluations: dict[str, Evaluation],
) -> tuple[Row, ...]:
    """Compare the gradients of each variable, in each precision."""
    differences = {
        precision: [
            _difference(a, b)
            for a, b in zip(
                evaluation.gradients_a, evaluation.gradients_b, strict=True
            )
        ]
        for precision, evaluation in evaluations.items()
    }
    largest = {p: _largest_norm(of_p) for p, of_p in differences.items()}
    return tuple(
        _row(index, variable, names_b[index], differences, largest)
        for index, variable in enumerate(variables)
    )


def _verdict(
    rows: tuple[Row, ...],
    losses: tuple[float, float],
    precision: str,
    only: tuple[tuple[str, ...], tuple[str, ...]],
) -> bool | None:
    """Judge whether two functions are the same; None if undecided."""
    differs = [row.differs for row in rows]
    differs.append(_differs(_relative(*losses), precision))
    differs.append(bool(only[0] or only[1]))
    if any(differs):
        return False
    return None if None in differs else True


def _difference(a: np.ndarray | None, b: np.ndarray | None) -> Difference:
    # A loss that does not depend on a variable has a gradient of zero.
    shapes = [g.shape for g in (a, b) if g is not None]
    zero = np.zeros(shapes[0] if shapes else ())
    a, b = (zero if g is None else g for g in (a, b))
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


def _largest_norm(differences: list[Difference]) -> float:
    norms = [max(d.norm_a, d.norm_b) for d in differences]
    return max((n for n in norms if math.isfinite(n)), default=0.0)


def _is_noise(difference: Difference, largest: float, precision: str) -> bool:
    norm = max(difference.norm_a, difference.norm_b)
    return norm < NOISE[precision] * largest


def _row(
    index: int,
    variable: Variable,
    name_b: str,
    differences: dict[str, list[Difference]],
    largest: dict[str, float],
) -> Row:
    of_row = {p: of_all[index] for p, of_all in differences.items()}
    noise = all(_is_noise(d, largest[p], p) for p, d in of_row.items())
    precision = "float64" if "float64" in of_row else "float32"
    deciding = of_row[precision]
    apart = deciding.relative * max(deciding.norm_a, deciding.norm_b)
    # A difference may also be noise beside the largest gradient where the
    # gradients themselves are not.
    small = apart < NOISE["float64"] * largest[precision]
    differs: bool | None = False
    if not noise and not small:
        differs = _differs(deciding.relative, precision)
    return Row(
        variable=variable.name,
        variable_b=name_b,
        layer=variable.layer,
        float32=of_row["float32"],
        float64=of_row.get("float64"),
        noise=noise,
        differs=differs,
    )


def _differs(relative: float, precision: str) -> bool | None:
    """Test whether a difference is more than rounding; None if undecided."""
    if relative <= SAME[precision]:
        return False
    # `not <=` holds for NaN, too, which is no rounding.
    is_certain = precision == "float64" or not relative <= DIFFERENT
    return True if is_certain else None


def _relative(a: float, b: float) -> float:
    larger = max(abs(a), abs(b))
    return abs(a - b) / larger if larger else 0.0
