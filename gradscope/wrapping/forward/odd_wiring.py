"""Finds combinations of operations that are likely a mistake.

Such a model trains badly, and without an error: a loss takes the output of a
softmax as logits, a ReLU follows the logits, predictions `[N, 1]` minus targets
`[N]` give a table of N times N, or a kernel gets the output of a softmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from gradscope.format.schema import Wiring
from gradscope.runtime import operations, scopes, tf_variables
from gradscope.wrapping.forward import linear_chains

if TYPE_CHECKING:
    from gradscope.format.schema import Activation
    from gradscope.runtime.operations import Subgraph
    from gradscope.wrapping.forward.activations import ActivationTensors

#: Losses that apply a softmax themselves, to their first input.
_CROSSENTROPIES = (
    "SoftmaxCrossEntropyWithLogits",
    "SparseSoftmaxCrossEntropyWithLogits",
)
_DIFFERENCES = ("Sub", "SquaredDifference")


def find(
    subgraphs: list[Subgraph],
    variables: list[tf.Variable],
    activations: dict[Activation, ActivationTensors],
    knows_outputs: bool,
) -> list[Wiring]:
    """Find likely mistakes among the operations of a step.

    Args:
        subgraphs: The operations of a step.
        variables: The variables that are trained.
        activations: The activations of these operations, by their rows.
        knows_outputs: Whether the outputs of the model are known.
    """
    names = {
        key: row.name
        for row, tensors in activations.items()
        for key in tensors.outputs
    }
    odd = _hidden_softmaxes(
        subgraphs, variables, activations, names, knows_outputs
    )
    for subgraph in subgraphs:
        handles = tf_variables.handles(subgraph.graph, variables)
        for operation in subgraph.forward:
            kind, logits = _odd_logits(operation)
            if kind:
                name = names.get(operations.tensor_key(logits), logits.op.name)
                odd.append(Wiring(kind, name, operation.type))
            elif _is_broadcast(operation, handles):
                shapes = [_shape(t) for t in operation.inputs]
                name = scopes.of(operation.name) or operation.name
                odd.append(Wiring("broadcast", name, " - ".join(shapes)))
            half = _half_index(operation)
            if half is not None:
                name = scopes.of(operation.name) or operation.name
                odd.append(Wiring("half_index", name, half))
    return list(dict.fromkeys(odd))


def _hidden_softmaxes(
    subgraphs, variables: list, activations: dict, names: dict, knows_outputs
) -> list[Wiring]:
    """Softmaxes inside of the model whose output reaches a kernel.

    Where the model's outputs are known, the other softmaxes inside are listed,
    too: their output weighs something, as in attention.
    """
    hidden = {
        row.name
        for row in activations
        if row.kind == "softmax" and not row.is_output
    }
    softmaxes = []
    for subgraph in subgraphs if hidden else ():
        paths = linear_chains.LinearPaths(subgraph, variables)
        for operation in subgraph.forward:
            name = None
            if operation.type == "Softmax":
                name = names.get(operations.tensor_key(operation.outputs[0]))
            if name not in hidden:
                continue
            into_kernel = bool(paths.kernels_after(operation))
            if into_kernel or knows_outputs:
                target = "kernel" if into_kernel else "other"
                softmaxes.append(Wiring("softmax_into", name, target))
    return softmaxes


def _odd_logits(operation) -> tuple:
    """Kind of mistake in a loss's logits, and their tensor; (None, None)
    without any.

    The loss applies the same softmax or sigmoid again, or a ReLU has set all
    negative logits to zero.
    """
    twice, cut = _activation_twice(operation), None
    if operation.type in _CROSSENTROPIES:
        cut = _output_of("Relu", operation.inputs[0])
    for kind, logits in (("activation_twice", twice), ("relu_logits", cut)):
        if logits is not None and logits.op is not None:
            return kind, logits
    return None, None


def _activation_twice(operation):
    """Logits of a loss that are the output of a softmax or sigmoid, although
    the loss applies the same function; None for others."""
    if operation.type in _CROSSENTROPIES:
        return _output_of("Softmax", operation.inputs[0])
    # log(1 + exp(where(x >= 0, -x, x))), tf.nn.sigmoid_cross_entropy_with_...
    if operation.type == "Log1p":
        power = operation.inputs[0].op
        select = power.inputs[0].op if _is(power, "Exp") else None
        if _is(select, "Select", "SelectV2"):
            return _output_of("Sigmoid", select.inputs[2])
    return None


def _output_of(kind: str, tensor):
    """Output of an operation of this kind that has a tensor's numbers, in any
    shape; None for a tensor of another operation."""
    while _is(tensor.op, *operations.SAME_NUMBERS) and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor if _is(tensor.op, kind) else None


def _is(operation, *kinds: str) -> bool:
    return operation is not None and operation.type in kinds


def _half_index(operation) -> str | None:
    """Dtype and number of rows of a table of which the index of a row was a
    number of 16 bits; None for other operations."""
    if not _is(operation, "GatherV2", "ResourceGather"):
        return None
    table, index = operation.inputs[:2]
    while _is(index.op, "SelectV2", *operations.SAME_NUMBERS):
        # Keras counts an index below 0 from the end, by a choice.
        place = 2 if _is(index.op, "SelectV2") else 0
        if len(index.op.inputs) <= place:
            return None
        index = index.op.inputs[place]
        if index.dtype in (tf.float16, tf.bfloat16):
            rows = table.shape[0] if table.shape.rank else None
            return f"{index.dtype.name} {rows}" if rows else None
    return None


def _is_broadcast(operation, handles: dict) -> bool:
    """Whether predictions `[N, 1]` are subtracted from targets `[N]`, or the
    other way round.

    The table of differences of two predictions, or of two tensors of data, is
    meant as such.
    """
    if operation.type not in _DIFFERENCES:
        return False
    # Either may be the prediction.
    flat, column = sorted(operation.inputs, key=lambda t: t.shape.rank or 0)
    if (flat.shape.rank, column.shape.rank) != (1, 2):
        return False
    # N must be the same in both: `[N, 1]` minus `[51]` is meant as a table, of
    # distances from bins or thresholds.
    count, width = column.shape.as_list()
    if width != 1 or count == 1 or flat.shape.as_list() != [count]:
        return False
    return _is_trained(flat, handles) != _is_trained(column, handles)


def _is_trained(tensor, handles: dict) -> bool:
    """Whether a tensor depends on a variable that is trained."""
    pending, visited = [tensor], set()
    while pending:
        tensor = pending.pop()
        if tensor.name in handles:
            return True
        if tensor.op is None or tensor.op.name in visited:
            continue
        visited.add(tensor.op.name)
        pending += tensor.op.inputs
    return False


def _shape(tensor) -> str:
    sizes = ["N" if size is None else str(size) for size in tensor.shape]
    return f"[{', '.join(sizes)}]"
