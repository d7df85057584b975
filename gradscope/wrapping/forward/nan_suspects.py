"""Finds operations of a forward pass that may return NaN or infinity."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradscope.format.schema import Operation
from gradscope.runtime import eager_operations, operations, replay, scopes

if TYPE_CHECKING:
    from gradscope.runtime.operations import Subgraph

#: How many operations are suspects at most.
MOST = 256

#: Operations that only pass their inputs on, or stay within bounds.
_HARMLESS = {
    "BroadcastTo",
    "ConcatV2",
    "Const",
    "ExpandDims",
    "GatherNd",
    "GatherV2",
    "Identity",
    "IdentityN",
    "MaxPool",
    "Maximum",
    "Minimum",
    "Neg",
    "OnesLike",
    "Pack",
    "PadV2",
    "Relu",
    "Relu6",
    "Reshape",
    "ResourceGather",
    "Select",
    "SelectV2",
    "Sigmoid",
    "Slice",
    "Split",
    "SplitV",
    "Squeeze",
    "StopGradient",
    "StridedSlice",
    "Tanh",
    "Tile",
    "Transpose",
    "Unpack",
    "ZerosLike",
}

#: Operations that are suspects even where there are too many: these leave the
#: range of floats, or are not defined for all of them.
_RISKY = {
    "Acos",
    "Asin",
    "Cast",
    "Div",
    "Exp",
    "Expm1",
    "Log",
    "Log1p",
    "LogSoftmax",
    "Pow",
    "RealDiv",
    "Reciprocal",
    "Rsqrt",
    "Softmax",
    "Sqrt",
    "Xdivy",
}

#: How the types of a forward pass's sources begin: operations that are read and
#: not computed again, which TensorFlow does not merge with their consumers.
_SOURCES = (
    "If",
    "IteratorGetNext",
    "Placeholder",
    "Random",
    "ReadVariableOp",
    "ResourceGather",
    "While",
)

_DATA = ("IteratorGetNext", "Placeholder")
_LOOPS = ("If", "StatelessIf", "StatelessWhile", "While")

#: How many inputs of a suspect are told apart at most.
_MOST_INPUTS = 16


@dataclasses.dataclass
class Suspects:
    """Data of a forward pass, and then outputs of operations in their order.

    Attributes:
        outputs: `n` floating tensors.
        rows: Their rows in the record; None for data.
        sources: Numbers of the outputs from which each is computed, int32
            `[n, k]`, as in `first_nonfinite.find_first`.
    """

    outputs: list
    rows: tuple[Operation | None, ...]
    sources: np.ndarray

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Rows of the record."""
        return tuple(row for row in self.rows if row is not None)

    def with_outputs(self, outputs: list) -> Suspects:
        """Copy with other tensors in their places."""
        return dataclasses.replace(self, outputs=outputs)

    def places(self, rows: tuple[Operation, ...]) -> np.ndarray:
        """Indices of the outputs among the rows of a record, float32 `[n]`; NaN
        for an output without a row."""
        place = {row: index for index, row in enumerate(rows)}
        return np.array([place.get(r, np.nan) for r in self.rows], np.float32)


def find(
    subgraph: Subgraph, ends: list, owners: dict[str, str], layers: set[str]
) -> Suspects | None:
    """Find the suspects among the operations of a step; None without any.

    Args:
        subgraph: The step's operations in the graph that is being built.
        ends: Tensors that belong to the step: gradients, outputs, a loss.
        owners: Layers by the names of their weights' handles in the graph.
        layers: Names of all layers that have weights.
    """
    if isinstance(subgraph.graph, eager_operations.EagerGraph):
        replayable = subgraph.reachable
    else:
        ancestors = operations.ancestor_keys(ends)
        replayable = [
            operation
            for operation in _replayable(subgraph)
            if operations.key(operation) in ancestors
        ]
    suspects = _most_likely(_suspects(replayable))
    if not suspects:
        return None
    names = scopes.LayerNames(
        [scopes.of(op.name) for op in suspects], owners, layers
    )
    # Data has no rows here: some of it, like the weights of examples, has no
    # row in the record at all.
    data = [op for op in replayable if op.type.startswith(_DATA)]
    data = [op for op in data if _float_output(op) is not None]
    outputs = map(_float_output, [*data, *suspects])
    return Suspects(
        list(map(eager_operations.unwrap, outputs)),
        (None,) * len(data) + tuple(_describe(op, names) for op in suspects),
        _sources(replayable, data, suspects),
    )


def _replayable(subgraph: Subgraph) -> list:
    """Operations that can be computed again from the forward pass's sources."""
    replayable: dict[str, object] = {}
    for operation in subgraph.reachable:
        is_source = operation.type.startswith(_SOURCES)
        if is_source or (
            not replay.is_stateful(operation)
            and all(t.op.name in replayable for t in operation.inputs)
        ):
            replayable[operation.name] = operation
    return list(replayable.values())


def _suspects(replayable: list) -> list:
    """Operations that compute with numbers of the model: not those that draw
    random numbers, or that turn integers into floats."""
    numbers: set[str] = set()
    suspects = []
    for operation in replayable:
        is_source = operation.type.startswith(_SOURCES)
        if not any(map(_holds_numbers, operation.outputs)):
            continue
        if is_source and not operation.type.startswith("Random"):
            numbers.add(operation.name)
        elif not is_source and any(
            _holds_numbers(t) and (t.op is None or t.op.name in numbers)
            for t in operation.inputs
        ):
            numbers.add(operation.name)
        # The inside of a loop cannot be reached, but its outputs can.
        is_loop = operation.type in _LOOPS
        harmless = operation.type in _HARMLESS or (is_source and not is_loop)
        if operation.name in numbers and not harmless:
            suspects.append(operation)
    return [op for op in suspects if _float_output(op) is not None]


def _holds_numbers(tensor) -> bool:
    return tensor.dtype.is_floating or tensor.dtype == tf.variant


def _float_output(operation):
    """First floating tensor that an operation returns, or None."""
    return next((t for t in operation.outputs if t.dtype.is_floating), None)


def _most_likely(suspects: list) -> list:
    """Suspects that can be measured: all of them, or the risky ones and the
    last of each scope where all are too many."""
    if len(suspects) <= MOST:
        return suspects
    last_of_scope = {scopes.of(op.name): op.name for op in suspects}
    last = set(last_of_scope.values())
    likely = [op for op in suspects if op.name in last or op.type in _RISKY]
    if len(likely) > MOST:
        likely = [op for op in suspects if op.name in last]
    # Still too many are thinned evenly: rounded up, so that `MOST` at most are
    # left.
    return likely[:: -(-len(likely) // MOST)]


def _describe(operation, names: scopes.LayerNames) -> Operation:
    layer = names.layer(scopes.of(operation.name))
    dtype = _float_output(operation).dtype.base_dtype.name
    return Operation(names.unique(f"{layer} ({operation.type})"), dtype)


def _sources(replayable: list, data: list, suspects: list) -> np.ndarray:
    """Numbers of the nearest measured operations before each one of them.

    Two numbers are no operation's: the first after them fills a list, and the
    next stands for a constant that is not finite. Data has the latter, because
    no operation is to blame for NaN in data.
    """
    measured = [*data, *suspects]
    no_source, nonfinite = len(measured), len(measured) + 1
    number = {op.name: index for index, op in enumerate(measured)}
    nearest: dict[str, set[int]] = {}
    sources = [[nonfinite] for _ in measured]
    for operation in replayable:
        before: set[int] = set()
        for tensor in operation.inputs:
            if _is_nonfinite_constant(tensor):
                before.add(nonfinite)
            elif tensor.op is not None:
                # An operation that is not measured passes on what was measured
                # before it.
                before |= nearest.get(tensor.op.name, set())
        index = number.get(operation.name)
        nearest[operation.name] = before if index is None else {index}
        if index is not None and index >= len(data):
            # The highest numbers first, so that what is not finite by itself is
            # never cut off.
            sources[index] = sorted(before, reverse=True)[:_MOST_INPUTS]
    width = max(map(len, sources))
    filled = [row + [no_source] * (width - len(row)) for row in sources]
    return np.array(filled, np.int32)


def _is_nonfinite_constant(tensor) -> bool:
    """Whether a tensor is a constant with NaN or infinity."""
    is_root = tensor.op is None or tensor.op.type == "Const"
    if not is_root or not tensor.dtype.is_floating:
        return False
    value = operations.constant_value(tensor)
    return value is not None and not np.isfinite(value.astype(float)).all()
