"""Operations put together as hardly anybody means it, seen in the graph.

They train without an error, and to no good: a softmax whose output a loss
takes for logits, a ReLU behind the logits, predictions `[N, 1]` minus targets
`[N]`, which is a table of N times N, and a softmax whose output a kernel gets.
"""

from __future__ import annotations

from gradscope.format.schema import Wiring
from gradscope.runtime import operations, scopes, tf_variables
from gradscope.wrapping.forward import linear_chains

#: Losses that apply a softmax themselves, to their first input.
_CROSSENTROPIES = (
    "SoftmaxCrossEntropyWithLogits",
    "SparseSoftmaxCrossEntropyWithLogits",
)
_DIFFERENCES = ("Sub", "SquaredDifference")


def find(parts: list, variables: list, rows: dict, known: bool) -> list[Wiring]:
    """Returns what is put together in an odd way in a step.

    Args:
        parts: `operations.Subgraph`s of a step.
        variables: Trained `tf.Variable`s.
        rows: Activations and where they were `ActivationTensors`.
        known: Whether the outputs of the model are.
    """
    owners = {
        end: row.name for row, found in rows.items() for end in found.outputs
    }
    odd = _between(parts, variables, rows, owners, known)
    for part in parts:
        handles = tf_variables.handles(part.graph, variables)
        for operation in part.forward:
            kind, given = _odd_logits(operation)
            if kind:
                name = owners.get(operations.tensor_key(given), given.op.name)
                odd.append(Wiring(kind, name, operation.type))
            elif _is_broadcast(operation, handles):
                shapes = [_shape(t) for t in operation.inputs]
                name = scopes.of(operation.name) or operation.name
                odd.append(Wiring("broadcast", name, " - ".join(shapes)))
    return list(dict.fromkeys(odd))


def _between(parts, variables: list, rows: dict, owners: dict, known) -> list:
    """Returns which softmaxes go into a kernel, and, where the outputs of the
    model are known, which do not: those weigh something, as attention does."""
    hidden = {r.name for r in rows if r.kind == "softmax" and not r.is_output}
    found = []
    for part in parts if hidden else ():
        way = linear_chains.LinearPath(part, variables)
        for operation in part.forward:
            name = None
            if operation.type == "Softmax":
                name = owners.get(operations.tensor_key(operation.outputs[0]))
            if name not in hidden:
                continue
            fed = bool(way.ends(operation))
            if fed or known:
                found.append(
                    Wiring("softmax_into", name, "kernel" if fed else "other")
                )
    return found


def _odd_logits(operation) -> tuple:
    """Returns what is odd about the logits that a loss is given, and their
    tensor; None twice if nothing is: the loss applies the same softmax or
    sigmoid once more, or a ReLU has cut off all that is below zero."""
    twice, cut = _twice(operation), None
    if operation.type in _CROSSENTROPIES:
        cut = _made_by("Relu", operation.inputs[0])
    for kind, given in (("activation_twice", twice), ("relu_logits", cut)):
        if given is not None and given.op is not None:
            return kind, given
    return None, None


def _twice(operation):
    """Returns the output of a softmax or sigmoid that a loss is given as
    logits, to which it applies the same function once more."""
    if operation.type in _CROSSENTROPIES:
        return _made_by("Softmax", operation.inputs[0])
    # log(1 + exp(where(x >= 0, -x, x))), tf.nn.sigmoid_cross_entropy_with_...
    if operation.type == "Log1p":
        power = operation.inputs[0].op
        chosen = power.inputs[0].op if _is(power, "Exp") else None
        if _is(chosen, "Select", "SelectV2"):
            return _made_by("Sigmoid", chosen.inputs[2])
    return None


def _made_by(kind: str, tensor):
    """Returns the output of an operation of this kind whose numbers a tensor
    has, in whatever shape; None if it has not."""
    while _is(tensor.op, *operations.SAME_NUMBERS) and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor if _is(tensor.op, kind) else None


def _is(operation, *kinds: str) -> bool:
    return operation is not None and operation.type in kinds


def _is_broadcast(operation, handles: dict) -> bool:
    """Returns whether predictions of one column are taken from targets of
    none, or the other way round. A difference of two predictions, or of two
    tensors of data, is a table that somebody wants."""
    if operation.type not in _DIFFERENCES:
        return False
    flat, column = sorted(operation.inputs, key=lambda t: t.shape.rank or 0)
    if (flat.shape.rank, column.shape.rank) != (1, 2):
        return False
    # As many of both: `[N, 1]` minus `[51]` is meant (bins, thresholds).
    count, *rest = column.shape.as_list()
    if rest != [1] or count == 1 or flat.shape.as_list() != [count]:
        return False
    return _is_trained(flat, handles) != _is_trained(column, handles)


def _is_trained(tensor, handles: dict) -> bool:
    """Returns whether a tensor depends on a variable that is trained."""
    pending, visited = [tensor], set()
    while pending:
        one = pending.pop()
        if one.name in handles:
            return True
        if one.op is None or one.op.name in visited:
            continue
        visited.add(one.op.name)
        pending += one.op.inputs
    return False


def _shape(tensor) -> str:
    sizes = ["N" if size is None else str(size) for size in tensor.shape]
    return f"[{', '.join(sizes)}]"
