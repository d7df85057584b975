"""Finds layers that keep a state besides their weights, by its updates.

Batch norm has variables without a gradient that move towards a statistic of
each batch, in one of two forms:

    moving.assign(moving * momentum + batch * (1 - momentum))
    moving.assign_sub((moving - batch) * (1 - momentum))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from gradscope.runtime import scopes

#: Operations that keep the numbers of a tensor.
_PLAIN = ("Cast", "Identity", "Reshape", "Squeeze", "StopGradient")
_READS = ("Identity", "ReadVariableOp")  # the former of reference variables
_MOVES = (
    "Assign",
    "AssignSub",
    "AssignSubVariableOp",
    "AssignVariableOp",
)
_LINEAR = ("Add", "AddN", "AddV2", "Mul", "Sub")
_SQUARES = ("Square", "SquaredDifference")
#: A variance may be the mean of squares minus the square of the mean, and not
#: below zero, as in `tf.nn.moments` from TensorFlow 2.23 on.
_OF_DIFFERENCE = ("Maximum", "Sub")
_FUSED = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")

#: How many operations may lie between a variable and its batch statistic.
_DEEPEST = 8


@dataclasses.dataclass
class LayerStateTensors:
    """Tensors of one layer; each is None if the layer does not have it.

    Attributes:
        rate: Dropout's rate: share of the units to drop, or to keep.
        is_keep_rate: Whether `rate` is the share to keep.
        mask: Dropout's mask of the units to keep, bool.
        mean, variance: Statistics of the batch.
        batch: Tensor of these statistics; its first axis has the examples.
        moving: Moving mean and variance before the step, or other states.
        handles: Names of the handles of the moving variables.
        factor: Weight of the batch's statistics in the updated moving ones, if
            `mean` and `variance` are the updated ones; None if they are the
            batch's.
        scope: Name scope of the layer.
        training: Whether batch norm used the batch's statistics; None for
            other layers.
    """

    rate: tf.Tensor | None = None
    is_keep_rate: bool = False
    mask: tf.Tensor | None = None
    mean: tf.Tensor | None = None
    variance: tf.Tensor | None = None
    batch: tf.Tensor | None = None
    moving: list = dataclasses.field(default_factory=list)
    handles: tuple[str, ...] = ()
    training: bool | None = None
    factor: float | None = None
    scope: str = ""

    def tensors(self) -> list[tf.Tensor]:
        """List the tensors that the layer has."""
        tensors = [getattr(self, name) for name in _TENSORS]
        return [t for t in tensors if t is not None] + self.moving

    def with_tensors(self, tensors: Iterator[tf.Tensor]) -> LayerStateTensors:
        """Copy with other tensors, taken from an iterator."""
        replaced = {
            name: None if getattr(self, name) is None else next(tensors)
            for name in _TENSORS
        }
        moving = [next(tensors) for _ in self.moving]
        return dataclasses.replace(self, **replaced, moving=moving)


_TENSORS = ("rate", "mask", "mean", "variance", "batch")


@dataclasses.dataclass
class StatisticUpdate:
    """Update of one variable towards a statistic of the batch.

    Attributes:
        variable: Name of the variable's handle in the graph.
        before: The variable's value before the update.
        statistic: The statistic.
        is_variance: Whether the statistic is a variance, and not a mean.
        batch: Tensor of the statistic; None if it is unknown.
        operation: Name of the operation that computes the statistic.
        factor: As in `LayerStateTensors`.
    """

    variable: str
    before: tf.Tensor
    statistic: tf.Tensor
    is_variance: bool
    batch: tf.Tensor | None
    operation: str
    factor: float | None = None


def batch_norms(
    operations: list, names: dict[str, str]
) -> list[tuple[str, LayerStateTensors]]:
    """Find the batch norms among a step's operations.

    Args:
        operations: Operations of the forward pass, and updates of variables.
        names: Names of variables by the names of their handles in the graph.

    Returns:
        Pairs of the name of the operation that computes a mean, and of the
        layer's tensors.
    """
    pairs: dict[str, list[dict[bool, StatisticUpdate]]] = {}
    for operation in operations:
        update = _statistic_update(operation, names)
        if update is None:
            continue
        layer = names[update.variable].rpartition("/")[0]
        key = layer if update.batch is None else update.batch.name
        _add_to_pair(pairs.setdefault(key, []), update)
    return [
        (
            pair[False].operation,
            LayerStateTensors(
                mean=pair[False].statistic,
                variance=pair[True].statistic,
                batch=pair[False].batch,
                moving=[pair[False].before, pair[True].before],
                handles=(pair[False].variable, pair[True].variable),
                training=True,
                factor=pair[False].factor,
                scope=_scope(pair[False].operation)
                or names[pair[False].variable].rpartition("/")[0],
            ),
        )
        for pairs_of_batch in pairs.values()
        for pair in pairs_of_batch
        if len(pair) == 2
    ]


def _add_to_pair(
    pairs: list[dict[bool, StatisticUpdate]], update: StatisticUpdate
) -> None:
    """Add the update of a mean to the pair with that of its variance, or the
    other way round. Layers with the same input each have a pair."""
    for pair in pairs:
        earlier = pair.get(update.is_variance)
        if earlier is None:
            pair[update.is_variance] = update
            return
        # One layer that is called twice updates its variables twice; the first
        # call counts.
        if earlier.variable == update.variable:
            return
    pairs.append({update.is_variance: update})


def _statistic_update(operation, names) -> StatisticUpdate | None:
    """Update towards a batch statistic that an operation makes; None for any
    other operation."""
    if operation.type not in _MOVES or len(operation.inputs) < 2:
        return None
    handle, value = operation.inputs[:2]
    if handle.name not in names:
        return None
    fused = _fused_update(value, handle)
    if fused is not None:
        return fused
    reads: list = []
    terms: list = []
    _split(value, handle, reads, terms, _DEEPEST)
    statistics = {t.name: t for t in map(_unscaled, terms) if t is not None}
    if not reads or len(statistics) != 1 or not reads[0].dtype.is_floating:
        return None
    (statistic,) = statistics.values()
    source = _source(statistic)
    # Without a source there is only the shape to go by: a statistic of the
    # batch has that of the moving one.
    if source is None and statistic.shape != reads[0].shape:
        return None
    # Or the variable's name, as `moving_variance`, where the operations do not
    # tell.
    is_variance, batch = source or ("var" in names[handle.name].lower(), None)
    name = statistic.op.name if statistic.op is not None else ""
    return StatisticUpdate(
        handle.name, reads[0], statistic, is_variance, batch, name
    )


def _fused_update(value, handle) -> StatisticUpdate | None:
    """Update by the operation that computes the statistics, as in tf_keras;
    None for any other operation."""
    operation = value.op
    while operation is not None and operation.type in _PLAIN:
        value = operation.inputs[0]
        operation = value.op
    if operation is None or operation.type not in _FUSED[1:]:
        return None
    factor = operation.get_attr("exponential_avg_factor")
    index = [t.name for t in operation.outputs].index(value.name)
    # Outputs 1 and 2 are the mean and the variance. With the factor 1 they are
    # those of the batch, and operations of their own update the moving ones.
    if index not in (1, 2) or factor == 1:
        return None
    # Inputs 3 and 4 are the moving mean and variance.
    before = operation.inputs[2 + index]
    # An eager operation with a variable as its input reads it without an
    # operation that could be captured.
    if before.op is not None and not _is_read(before, handle):
        return None
    batch = operation.inputs[0]
    return StatisticUpdate(
        handle.name, before, value, index == 2, batch, operation.name, factor
    )


def _scope(name: str) -> str:
    """Scope of a layer from the name of one of its operations."""
    scope = scopes.of(name)
    outer, _, last = scope.rpartition("/")
    # `tf.nn.moments` adds a scope inside of the layer's.
    return outer if last.rstrip("_0123456789") == "moments" else scope


def _split(tensor, handle, reads, terms, deepest) -> bool:
    """Split a tensor that is linear in a variable into reads and terms.

    Args:
        tensor: The tensor.
        handle: Handle of the variable.
        reads: Gets the tensors that were read from the variable.
        terms: Gets those that were added to these, or multiplied with them.
        deepest: How many operations to go back at most.

    Returns:
        Whether the tensor is linear in the variable.
    """
    if _is_read(tensor, handle):
        reads.append(tensor)
        return True
    operation = tensor.op
    if operation is None or not deepest:
        return False
    if operation.type not in (*_LINEAR, *_PLAIN):
        return False
    without = []
    inside = False
    for part in operation.inputs:
        if _split(part, handle, reads, terms, deepest - 1):
            inside = True
        else:
            without.append(part)
    if inside:
        terms += without
    return inside


def _is_read(tensor, handle) -> bool:
    operation = tensor.op
    return (
        operation is not None
        and operation.type in _READS
        and any(t.name == handle.name for t in operation.inputs)
    )


def _unscaled(tensor):
    """Tensor before a multiplication with a number; None for a number."""
    if tensor.shape.rank == 0:
        return None
    operation = tensor.op
    if operation is not None and operation.type == "Mul":
        factors = [t for t in operation.inputs if t.shape.rank != 0]
        if len(factors) == 1:
            return factors[0]
    return tensor


def _source(statistic):
    """Whether a statistic is a variance, and its tensor; None if unknown."""
    tensor = statistic
    is_difference = False
    for _ in range(_DEEPEST):
        operation = tensor.op
        if operation is None:
            return None
        if operation.type in _FUSED:
            index = [t.name for t in operation.outputs].index(tensor.name)
            # Outputs are the normalised batch, the mean, the variance.
            return index == 2, operation.inputs[0]
        if operation.type == "Mean":
            source = _source_of_mean(operation)
            return source if source[0] or not is_difference else None
        if operation.type in _OF_DIFFERENCE:
            is_difference = True
        elif operation.type not in _PLAIN:
            return None
        tensor = operation.inputs[0]
    return None


def _source_of_mean(mean):
    """Whether a mean is that of squares, and the tensor below."""
    inner = mean.inputs[0]
    operation = inner.op
    if operation is None or operation.type not in (
        "Square",
        "SquaredDifference",
    ):
        return False, inner
    inner = operation.inputs[0]
    is_square = operation.type == "Square" and inner.op is not None
    if is_square and inner.op.type == "Sub":  # a SquaredDifference in two
        inner = inner.op.inputs[0]
    return True, inner
