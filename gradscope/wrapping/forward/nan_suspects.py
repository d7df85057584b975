"""Operations of a forward pass that may make a number that is not finite."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from gradscope.format.schema import Operation
from gradscope.runtime import eager_operations, operations, replay, scopes

#: Outputs that are looked at, at most.
MOST = 256

#: Operations that only hand on what they are given, or stay within bounds.
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

#: Operations that are first to be looked at where there are too many: one at
#: the edge of what it is defined for.
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

#: What a forward pass is computed from, and may be read beside it: nothing
#: that TensorFlow merges with what comes behind.
_GIVEN = (
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

#: Sources of one output that are told apart.
_MOST_SOURCES = 16


@dataclasses.dataclass
class Suspects:
    """What a forward pass was given, and outputs of operations in its order.

    Attributes:
        outputs: Floating tensors.
        rows: What they are in the record; None for what was given.
        sources: int32 `[n, k]`, see `first_nonfinite.find_first`.
    """

    outputs: list
    rows: tuple[Operation | None, ...]
    sources: np.ndarray

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The rows of the record."""
        return tuple(row for row in self.rows if row is not None)

    def with_outputs(self, outputs: list) -> Suspects:
        """Returns the same with other tensors in their places."""
        return dataclasses.replace(self, outputs=outputs)

    def places(self, rows: tuple[Operation, ...]) -> np.ndarray:
        """Returns where they are among the rows of a record, float32 `[n]`;
        NaN for what has no row."""
        place = {row: index for index, row in enumerate(rows)}
        return np.array([place.get(r, np.nan) for r in self.rows], np.float32)


def find(part, ends: list, owners: dict, layers: set[str]) -> Suspects | None:
    """Returns the suspects among the operations of a step; None without any.

    Args:
        part: The `operations.Part` of the graph that is being built.
        ends: What is known to be the step's: gradients, outputs, a loss.
        owners: Layers by the names of their weights' handles in the graph.
        layers: Names of all layers that have weights.
    """
    if isinstance(part.graph, eager_operations.EagerGraph):
        able = part.near
    else:
        reached = operations.behind(ends)
        able = [op for op in _able(part) if operations.key(op) in reached]
    chosen = _chosen(_suspects(able))
    if not chosen:
        return None
    names = scopes.Names([scopes.of(op.name) for op in chosen], owners, layers)
    # Not all that is given has a row of its own: the weights of examples.
    given = [op for op in able if op.type.startswith(_DATA)]
    given = [op for op in given if _number(op) is not None]
    outputs = map(_number, [*given, *chosen])
    return Suspects(
        [getattr(tensor, "noted", tensor) for tensor in outputs],
        (None,) * len(given) + tuple(_described(op, names) for op in chosen),
        _sources(able, given, chosen),
    )


def _able(part) -> list:
    """Returns the operations that can be computed again from what is given."""
    able: dict[str, object] = {}
    for operation in part.near:
        given = operation.type.startswith(_GIVEN)
        if given or (
            not replay.has_state(operation)
            and all(t.op.name in able for t in operation.inputs)
        ):
            able[operation.name] = operation
    return list(able.values())


def _suspects(able: list) -> list:
    """Returns those of some operations that compute with numbers of the model:
    not those that draw random ones, or that turn integers into floats."""
    numbers: set[str] = set()
    found = []
    for operation in able:
        given = operation.type.startswith(_GIVEN)
        if not any(map(_holds_numbers, operation.outputs)):
            continue
        if given and not operation.type.startswith("Random"):
            numbers.add(operation.name)
        elif not given and any(
            _holds_numbers(t) and (t.op is None or t.op.name in numbers)
            for t in operation.inputs
        ):
            numbers.add(operation.name)
        # What is inside of a loop is not seen, but what it returns is.
        is_loop = operation.type in _LOOPS
        harmless = operation.type in _HARMLESS or (given and not is_loop)
        if operation.name in numbers and not harmless:
            found.append(operation)
    return [operation for operation in found if _number(operation) is not None]


def _holds_numbers(tensor) -> bool:
    return tensor.dtype.is_floating or tensor.dtype == tf.variant


def _number(operation):
    """Returns the first floating tensor that an operation returns, or None."""
    return next((t for t in operation.outputs if t.dtype.is_floating), None)


def _chosen(suspects: list) -> list:
    """Returns as many suspects as are looked at: the risky ones and the last
    of each scope where all are too many."""
    if len(suspects) <= MOST:
        return suspects
    last = {scopes.of(op.name): op.name for op in suspects}
    kept = set(last.values())
    some = [op for op in suspects if op.name in kept or op.type in _RISKY]
    if len(some) > MOST:
        some = [op for op in suspects if op.name in kept]
    return some[:: -(-len(some) // MOST)]


def _described(operation, names: scopes.Names) -> Operation:
    layer = names.layer(scopes.of(operation.name))
    dtype = _number(operation).dtype.base_dtype.name
    return Operation(names.unique(f"{layer} ({operation.type})"), dtype)


def _sources(able: list, given: list, chosen: list) -> np.ndarray:
    """Returns what each of the given and the chosen operations is made of, by
    numbers: the nearest of them before it. What is given is never to blame."""
    looked_at = [*given, *chosen]
    nothing, spoilt = len(looked_at), len(looked_at) + 1
    number = {op.name: index for index, op in enumerate(looked_at)}
    behind: dict[str, set[int]] = {}
    found = [[spoilt] for _ in looked_at]
    for operation in able:
        before: set[int] = set()
        for tensor in operation.inputs:
            if _is_spoilt(tensor):
                before.add(spoilt)
            elif tensor.op is not None:
                before |= behind.get(tensor.op.name, set())
        index = number.get(operation.name)
        behind[operation.name] = before if index is None else {index}
        if index is not None and index >= len(given):
            found[index] = sorted(before, reverse=True)[:_MOST_SOURCES]
    width = max(map(len, found))
    filled = [one + [nothing] * (width - len(one)) for one in found]
    return np.array(filled, np.int32)


def _is_spoilt(tensor) -> bool:
    """Returns whether a tensor is a constant that is not finite."""
    is_root = tensor.op is None or tensor.op.type == "Const"
    if not is_root or not tensor.dtype.is_floating:
        return False
    value = operations.constant(tensor)
    return value is not None and not np.isfinite(value.astype(float)).all()
