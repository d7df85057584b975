"""Layers that keep a state besides their weights: found by what moves it.

Batch norm is a variable without a gradient that is moved towards a statistic
of each batch, however it is written:

    moving.assign(moving * momentum + batch * (1 - momentum))
    moving.assign_sub((moving - batch) * (1 - momentum))
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from gradscope.runtime import scopes

#: What may lie around a tensor without changing what it says.
_PLAIN = ("Cast", "Identity", "Reshape", "Squeeze", "StopGradient")
_READS = ("Identity", "ReadVariableOp")  # of a reference variable, and others
_MOVES = (
    "Assign",
    "AssignSub",
    "AssignSubVariableOp",
    "AssignVariableOp",
)
_LINEAR = ("Add", "AddN", "AddV2", "Mul", "Sub")
_FUSED = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")

#: Operations between a variable and the statistic that it is moved to.
_DEEPEST = 8


@dataclasses.dataclass
class LayerStateTensors:
    """Tensors of one layer; None for what it does not have.

    Attributes:
        rate: Share of the units that dropout is to drop, or to keep.
        is_of_kept: Whether it is to keep.
        kept: Its mask, bool.
        mean, variance: Of the batch.
        batch: What they are of; its first axis are the examples.
        moving: Moving mean and variance before the step, or other states.
        handles: Names of the handles of these.
        factor: What was added of the batch's statistics to the moving ones, if
            `mean` and `variance` are the sums; None if they are the batch's.
        scope: Name scope of the layer.
        training: Whether batch statistics were used; None but for batch norm.
    """

    rate: tf.Tensor | None = None
    is_of_kept: bool = False
    kept: tf.Tensor | None = None
    mean: tf.Tensor | None = None
    variance: tf.Tensor | None = None
    batch: tf.Tensor | None = None
    moving: list = dataclasses.field(default_factory=list)
    handles: tuple[str, ...] = ()
    training: bool | None = None
    factor: float | None = None
    scope: str = ""

    def tensors(self) -> list[tf.Tensor]:
        """Returns those that there are."""
        own = [getattr(self, name) for name in _TENSORS]
        return [t for t in own if t is not None] + self.moving

    def with_tensors(self, rest) -> LayerStateTensors:
        """Returns the same with other tensors, from an iterator."""
        own = {
            name: None if getattr(self, name) is None else next(rest)
            for name in _TENSORS
        }
        moving = [next(rest) for _ in self.moving]
        return dataclasses.replace(self, **own, moving=moving)


_TENSORS = ("rate", "kept", "mean", "variance", "batch")


@dataclasses.dataclass
class Moved:
    """One variable that is moved towards a statistic of the batch.

    Attributes:
        variable: Name of its handle in the graph.
        held: What it held before.
        statistic: What it is moved to.
        is_variance: Whether that is a variance.
        batch: What the statistic is of, None if that cannot be told.
        operation: Name of the operation that computes the statistic.
        factor: As of `LayerStateTensors`.
    """

    variable: str
    held: tf.Tensor
    statistic: tf.Tensor
    is_variance: bool
    batch: tf.Tensor | None
    operation: str
    factor: float | None = None


def batch_norms(
    operations, names: dict[str, str]
) -> list[tuple[str, LayerStateTensors]]:
    """Returns the batch norms among a step's operations, each with the name of
    an operation of it.

    Args:
        operations: Of the forward pass, and what it updates.
        names: Of variables by the names of their handles in the graph.
    """
    pairs: dict[str, list[dict[bool, Moved]]] = {}
    for operation in operations:
        moved = _moved(operation, names)
        if moved is None:
            continue
        own = names[moved.variable].rpartition("/")[0]
        key = own if moved.batch is None else moved.batch.name
        _pair(pairs.setdefault(key, []), moved)
    return [
        (
            pair[False].operation,
            LayerStateTensors(
                mean=pair[False].statistic,
                variance=pair[True].statistic,
                batch=pair[False].batch,
                moving=[pair[False].held, pair[True].held],
                handles=(pair[False].variable, pair[True].variable),
                training=True,
                factor=pair[False].factor,
                scope=_scope(pair[False].operation)
                or names[pair[False].variable].rpartition("/")[0],
            ),
        )
        for several in pairs.values()
        for pair in several
        if len(pair) == 2
    ]


def _pair(pairs: list[dict[bool, Moved]], moved: Moved) -> None:
    """Puts a mean to its variance, or the other way round: of several layers
    that are given the same tensor, each has its own."""
    for pair in pairs:
        present = pair.get(moved.is_variance)
        if present is None:
            pair[moved.is_variance] = moved
            return
        if present.variable == moved.variable:
            return
    pairs.append({moved.is_variance: moved})


def _moved(operation, names) -> Moved | None:
    """Returns the variable that an operation moves to a batch statistic."""
    if operation.type not in _MOVES or len(operation.inputs) < 2:
        return None
    handle, value = operation.inputs[:2]
    if handle.name not in names:
        return None
    fused = _fused(value, handle)
    if fused is not None:
        return fused
    held: list = []
    others: list = []
    _take_apart(value, handle, held, others, _DEEPEST)
    statistics = {t.name: t for t in map(_unscaled, others) if t is not None}
    if not held or len(statistics) != 1 or not held[0].dtype.is_floating:
        return None
    (statistic,) = statistics.values()
    source = _source(statistic)
    if source is None and statistic.shape != held[0].shape:
        return None
    is_variance, batch = source or ("var" in names[handle.name].lower(), None)
    name = statistic.op.name if statistic.op is not None else ""
    return Moved(handle.name, held[0], statistic, is_variance, batch, name)


def _fused(value, handle) -> Moved | None:
    """Returns what a variable is moved to by the very operation that computes
    the statistics, as in tf_keras."""
    operation = value.op
    while operation is not None and operation.type in _PLAIN:
        value = operation.inputs[0]
        operation = value.op
    if operation is None or operation.type not in _FUSED[1:]:
        return None
    factor = operation.get_attr("exponential_avg_factor")
    index = [t.name for t in operation.outputs].index(value.name)
    if index not in (1, 2) or factor == 1:
        return None
    held = operation.inputs[2 + index]
    # An eager operation that is given a variable reads it unseen.
    if held.op is not None and not _is_read(held, handle):
        return None
    batch = operation.inputs[0]
    return Moved(
        handle.name, held, value, index == 2, batch, operation.name, factor
    )


def _scope(name: str) -> str:
    """Returns the scope of a layer from the name of an operation of it."""
    scope = scopes.of(name)
    outer, _, last = scope.rpartition("/")
    # `tf.nn.moments` has one of its own.
    return outer if last.rstrip("_0123456789") == "moments" else scope


def _take_apart(tensor, handle, held, others, deepest) -> bool:
    """Returns whether a tensor depends on a variable linearly, and collects
    what was read of it and what was added or multiplied."""
    if _is_read(tensor, handle):
        held.append(tensor)
        return True
    operation = tensor.op
    if operation is None or not deepest:
        return False
    if operation.type not in (*_LINEAR, *_PLAIN):
        return False
    without = []
    inside = False
    for part in operation.inputs:
        if _take_apart(part, handle, held, others, deepest - 1):
            inside = True
        else:
            without.append(part)
    if inside:
        others += without
    return inside


def _is_read(tensor, handle) -> bool:
    operation = tensor.op
    return (
        operation is not None
        and operation.type in _READS
        and any(t.name == handle.name for t in operation.inputs)
    )


def _unscaled(tensor):
    """Returns a tensor without a number that it is multiplied with; None for
    a number."""
    if tensor.shape.rank == 0:
        return None
    operation = tensor.op
    if operation is not None and operation.type == "Mul":
        factors = [t for t in operation.inputs if t.shape.rank != 0]
        if len(factors) == 1:
            return factors[0]
    return tensor


def _source(statistic):
    """Returns whether a statistic is a variance, and of what; None if that
    cannot be told."""
    tensor = statistic
    for _ in range(_DEEPEST):
        operation = tensor.op
        if operation is None:
            return None
        if operation.type in _FUSED:
            index = [t.name for t in operation.outputs].index(tensor.name)
            return index == 2, operation.inputs[0]
        if operation.type == "Mean":
            inner = operation.inputs[0]
            if inner.op is None:
                return False, inner
            if inner.op.type in ("Square", "SquaredDifference"):
                return True, inner.op.inputs[0]
            return False, inner
        if operation.type not in _PLAIN:
            return None
        tensor = operation.inputs[0]
    return None
