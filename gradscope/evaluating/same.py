"""Tests whether two models or losses are the same function: `same`."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from gradscope.comparing.matching import match
from gradscope.evaluating.float64_program import NoDouble
from gradscope.evaluating.same_result import (
    Evaluation,
    Sameness,
    judge_sameness,
)
from gradscope.evaluating.traced_loss import TracedLoss

#: The indices of one variable on both sides.
_Pair: TypeAlias = tuple[int, int]


def same(
    a: Any,
    b: Any,
    x: Any = None,
    y: Any = None,
    sample_weight: Any = None,
    *,
    training: bool = True,
) -> Sameness:
    """Test whether two models are the same function of their weights.

    It computes the gradients of both on one batch, with the same weights, in
    float32 and in float64. Two programs of the same function differ by rounding
    in float32 (some 1e-5), and by 1e-14 in float64; the gradients of different
    functions differ in both.

    Variables of `a` and `b` are paired if they are the same object, have the
    same name, or else the same shape and place. `b` is computed with the
    weights of `a`.

    The call changes no weight, no statistic, no metric and no random stream:
    both are traced, and run on copies of their variables.

    Args:
        a: A compiled Keras model (of Keras 3 or tf_keras) with the loss of its
            `fit`; or a function that returns its loss, a number; or a pair of
            such a function and a list of the variables to take the gradient of
            (by default all trainable ones that it reads). A function is called
            with those of `x`, `y` and `sample_weight` that are not None.
        b: The other one, likewise.
        x: Inputs of one batch, as in `model.fit`.
        y: Targets, likewise.
        sample_weight: Weights of the examples, likewise.
        training: Whether models compute in training mode (with dropout and the
            statistics of the batch).

    Raises:
        TypeError: If `a` or `b` is neither a model nor a function.
        ValueError: If a model was not built or compiled, a loss is not one
            number or depends on no variable, or `a` and `b` have no variable in
            common.
        NotImplementedError: If Keras runs on another backend.
        RuntimeError: If called in a function or graph that is being traced.

    Examples:
        >>> import gradscope
        >>> w = tf.Variable(3.0)
        >>> gradscope.same(lambda: w * w, lambda: w**2).same
        True
        >>> result = gradscope.same(lambda: w * w, lambda: 2 * w * w)
        >>> result.same, result.losses["float64"]
        (False, (9.0, 18.0))
        >>> result.rows[0].float64  # the gradients are 2w = 6 and 4w = 12
        Difference(relative=0.5, cosine=1.0, norm_a=6.0, norm_b=12.0)
    """
    if not tf.executing_eagerly():
        raise RuntimeError(
            "gradscope.same needs eager execution, but was called while a "
            "graph was being built. Call it outside a tf.function."
        )
    batch = [x, y, sample_weight]
    sides = [TracedLoss(n, s, batch, training) for n, s in (("a", a), ("b", b))]
    pairs = _pairs(*sides)
    # Trained variables come first, see `_variables`.
    trained = [p for p in pairs if p[0] < len(sides[0].trained)]
    if not trained:
        raise ValueError(
            "`a` and `b` have no trainable variable in common: no two are the "
            "same object or have the same name and shape. `a` has "
            f"{_names(sides[0])}; `b` has {_names(sides[1])}."
        )
    values = [v.read_value() for v in _variables(sides[0])]
    evaluations, problem = {}, None
    for precision in ("float32", "float64"):
        try:
            evaluations[precision] = _evaluate(
                sides, pairs, trained, values, precision == "float64"
            )
        except (NoDouble, tf.errors.OpError) as error:
            # Then the functions themselves fail, and not their copies in
            # float64.
            if precision == "float32":
                raise
            # The further lines of a TensorFlow error are a stack of calls.
            problem = str(error).splitlines()[0]
    return judge_sameness(
        [sides[0].descriptions[i] for i, _ in trained],
        [sides[1].descriptions[j].name for _, j in trained],
        evaluations,
        float64_problem=problem,
        moved=_names_of_other_values(sides, pairs),
        only=(
            _unpaired_names(sides[0], trained, 0),
            _unpaired_names(sides[1], trained, 1),
        ),
        random=(sides[0].is_random, sides[1].is_random),
        stopped=(_stop_gradients(sides[0]), _stop_gradients(sides[1])),
    )


def _variables(side: TracedLoss) -> list[tf.Variable]:
    return [*side.trained, *side.untrained]


def _names(side: TracedLoss) -> str:
    return ", ".join(v.name for v in side.descriptions[: len(side.trained)])


def _pairs(a: TracedLoss, b: TracedLoss) -> list[_Pair]:
    """Pair the variables of both sides, as indices of `descriptions`.

    Trained variables are paired among each other, and so are untrained ones.
    """
    variables = [_variables(side) for side in (a, b)]
    places = {id(v): place for place, v in enumerate(variables[1])}
    counts = len(a.trained), len(b.trained)
    pairs = []
    # Trained variables are paired with trained ones, and the others with
    # others.
    for start, end in (
        ((0, 0), counts),
        (counts, tuple(map(len, variables))),
    ):
        unpaired = [list(range(start[n], end[n])) for n in (0, 1)]
        for i in list(unpaired[0]):
            j = places.get(id(variables[0][i]))
            if j in unpaired[1]:
                pairs.append((i, j))
                unpaired[0].remove(i)
                unpaired[1].remove(j)
        descriptions = [
            [side.descriptions[i] for i in indices]
            for side, indices in zip((a, b), unpaired, strict=True)
        ]
        names = [[v.name for v in of_side] for of_side in descriptions]
        kinds = [
            [(v.shape, v.dtype) for v in of_side] for of_side in descriptions
        ]
        matching = match(names[0], kinds[0], names[1], kinds[1])
        pairs += [
            (unpaired[0][i], unpaired[1][j])
            for i, j in matching.pairs
            # Pairs by name alone may have other shapes.
            if descriptions[0][i].shape == descriptions[1][j].shape
        ]
    # In the order of the first side, which is that of its forward pass.
    return sorted(pairs)


def _evaluate(
    sides: list[TracedLoss],
    pairs: list[_Pair],
    trained: list[_Pair],
    values: list[tf.Tensor],
    double: bool,
) -> Evaluation:
    """Compute both sides with the weights of the first."""
    copies = [side.program.copy(double=double) for side in sides]
    variables = [_variables(side) for side in sides]
    for i, j in pairs:
        # To copies: the models keep their weights.
        copies[1].assign(variables[1][j], values[i])
    losses: list[float] = []
    gradients: list[list[np.ndarray | None]] = []
    reads: list[list[list[np.ndarray]]] = []
    for number, (side, copy) in enumerate(zip(sides, copies, strict=True)):
        (loss, results), tensors = copy()
        losses.append(float(loss))
        indices = [pair[number] for pair in trained]
        of_side = side.gradients(results)
        gradients.append([_array(of_side[index]) for index in indices])
        handles = [id(variables[number][index].handle) for index in indices]
        reads.append([[t.numpy() for t in tensors.get(h, ())] for h in handles])
    return Evaluation(
        losses=(losses[0], losses[1]),
        gradients_a=gradients[0],
        gradients_b=gradients[1],
        reads_a=reads[0],
        reads_b=reads[1],
    )


def _array(gradient: tf.Tensor | None) -> np.ndarray | None:
    return None if gradient is None else np.asarray(gradient, np.float64)


def _names_of_other_values(
    sides: list[TracedLoss], pairs: list[_Pair]
) -> tuple[str, ...]:
    """List names of variables whose values in `a` and `b` differ."""
    a, b = (_variables(side) for side in sides)
    return tuple(
        sides[0].descriptions[i].name
        for i, j in pairs
        if a[i] is not b[j]
        and not np.array_equal(a[i].numpy(), b[j].numpy(), equal_nan=False)
    )


def _unpaired_names(
    side: TracedLoss, trained: list[_Pair], number: int
) -> tuple[str, ...]:
    paired = {pair[number] for pair in trained}
    return tuple(
        side.descriptions[index].name
        for index in range(len(side.trained))
        if index not in paired
    )


def _stop_gradients(side: TracedLoss) -> tuple[str, ...]:
    """List names of the operations that stop gradients."""
    return tuple(
        operation.name
        for operation in side.program.graph.get_operations()
        if operation.type == "StopGradient"
    )
