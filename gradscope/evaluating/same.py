"""Whether two models, or two losses, are the same function of their weights."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.comparing.matching import match
from gradscope.evaluating.float64_program import NoDouble
from gradscope.evaluating.same_result import Evaluation, Sameness, judged
from gradscope.evaluating.traced_loss import TracedLoss


def same(
    a, b, x=None, y=None, sample_weight=None, *, training: bool = True
) -> Sameness:
    """Tells whether two models are the same function: it computes the gradients
    of both on one batch, with the same weights, in float32 and in float64.

    Two programs of one function differ in float32 by rounding (some 1e-5), in
    float64 by 1e-14; of two functions the gradients differ in both. Variables
    belong together that are the same object, have one name, or, where names do
    not tell, one shape and place. Where the weights of `b` are others it is
    computed with those of `a`.

    Nothing moves: no weight, no statistic, no metric, no random stream. Both
    are traced, and run on copies of their variables.

    Args:
        a: A compiled Keras model (of Keras 3 or tf_keras), whose loss is that
            of `fit`; or a function that returns its loss, a number, and is
            called with what is given of the batch; or a pair of such a
            function and a list of the variables to take the gradient of (all
            trainable ones that it reads by default).
        b: Likewise.
        x: Inputs of one batch, as in `model.fit`.
        y: Targets, likewise.
        sample_weight: Weights of the examples, likewise.
        training: Whether models compute as in training (dropout, statistics
            of the batch).

    Raises:
        TypeError: If one of them is neither.
        ValueError: If a model was not built or compiled, a loss is not one
            number or depends on no variable, or they have no variable in
            common.
        NotImplementedError: If Keras runs on another backend.
        RuntimeError: If called in a function or graph that is being traced.
    """
    if not tf.executing_eagerly():
        raise RuntimeError(
            "gradscope.same needs eager execution, and was called while a "
            "graph is being built. Call it outside of a tf.function."
        )
    batch = [x, y, sample_weight]
    sides = [TracedLoss(n, s, batch, training) for n, s in (("a", a), ("b", b))]
    pairs = _pairs(*sides)
    trained = [p for p in pairs if p[0] < len(sides[0].trained)]
    if not trained:
        raise ValueError(
            "`a` and `b` have no trainable variable in common: none is the "
            "same object, or has the same name and shape. a: "
            f"{_names(sides[0])}; b: {_names(sides[1])}."
        )
    values = [v.read_value() for v in _variables(sides[0])]
    evaluations, problem = {}, None
    for precision in ("float32", "float64"):
        try:
            evaluations[precision] = _evaluated(
                sides, pairs, trained, values, precision == "float64"
            )
        except (NoDouble, tf.errors.OpError) as error:
            if precision == "float32":
                raise
            problem = str(error).splitlines()[0]
    return judged(
        [sides[0].described[i] for i, _ in trained],
        [sides[1].described[j].name for _, j in trained],
        evaluations,
        float64_problem=problem,
        moved=_moved(sides, pairs),
        only=tuple(_only(side, trained, n) for n, side in enumerate(sides)),
        random=tuple(side.is_random for side in sides),
        stopped=tuple(_stopped(side) for side in sides),
    )


def _variables(side: TracedLoss) -> list:
    return [*side.trained, *side.others]


def _names(side: TracedLoss) -> str:
    return ", ".join(v.name for v in side.described[: len(side.trained)])


def _pairs(a: TracedLoss, b: TracedLoss) -> list[tuple[int, int]]:
    """Returns which variables belong together, as indices of `described`:
    trained ones, then others."""
    own = [_variables(side) for side in (a, b)]
    places = {id(variable): place for place, variable in enumerate(own[1])}
    pairs = []
    for start, end in (
        ((0, 0), (len(a.trained), len(b.trained))),
        ((len(a.trained), len(b.trained)), tuple(map(len, own))),
    ):
        rest = [list(range(start[n], end[n])) for n in (0, 1)]
        for i in list(rest[0]):
            j = places.get(id(own[0][i]))
            if j in rest[1]:
                pairs.append((i, j))
                rest[0].remove(i)
                rest[1].remove(j)
        told = [
            [side.described[i] for i in indices]
            for side, indices in zip((a, b), rest, strict=True)
        ]
        keys = [
            part
            for one in told
            for part in (
                [v.name for v in one],
                [(v.shape, v.dtype) for v in one],
            )
        ]
        pairs += [
            (rest[0][i], rest[1][j])
            for i, j in match(*keys).pairs
            if told[0][i].shape == told[1][j].shape
        ]
    return sorted(pairs)


def _evaluated(sides, pairs, trained, values, double: bool) -> Evaluation:
    """Computes both sides with the weights of the first."""
    copies = [side.program.copy(double=double) for side in sides]
    own = [_variables(side) for side in sides]
    for i, j in pairs:
        copies[1].assign(own[1][j], values[i])
    losses, gradients, reads = [], [], []
    for number, (side, copy) in enumerate(zip(sides, copies, strict=True)):
        (loss, found), read = copy()
        losses.append(float(loss))
        found = side.gradients(found)
        of_pairs = [pair[number] for pair in trained]
        gradients.append([_array(found[index]) for index in of_pairs])
        reads.append(
            [
                [t.numpy() for t in read.get(id(own[number][index].handle), ())]
                for index in of_pairs
            ]
        )
    return Evaluation(tuple(losses), *gradients, *reads)


def _array(gradient):
    return None if gradient is None else np.asarray(gradient, np.float64)


def _moved(sides, pairs) -> tuple[str, ...]:
    """Returns the names of the variables that hold something else in `b`."""
    a, b = (_variables(side) for side in sides)
    return tuple(
        sides[0].described[i].name
        for i, j in pairs
        if a[i] is not b[j]
        and not np.array_equal(a[i].numpy(), b[j].numpy(), equal_nan=False)
    )


def _only(side: TracedLoss, trained, number: int) -> tuple[str, ...]:
    paired = {pair[number] for pair in trained}
    return tuple(
        side.described[index].name
        for index in range(len(side.trained))
        if index not in paired
    )


def _stopped(side: TracedLoss) -> tuple[str, ...]:
    return tuple(
        operation.name
        for operation in side.program.graph.get_operations()
        if operation.type == "StopGradient"
    )
