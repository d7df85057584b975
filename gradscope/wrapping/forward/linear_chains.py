"""Kernels with nothing between them: two layers that are no more than one.

What a kernel's operation returns is followed through what is linear, or adds a
bias. Whatever else is met ends the way: an activation, the largest of some
neighbours, a normalisation, the product or the sum of two branches.
"""

from __future__ import annotations

from gradscope.runtime import tf_variables
from gradscope.wrapping.forward import dropouts

#: Operations of a kernel, and the inputs that may be the data: the weight is
#: another one of them. (A depthwise convolution is none.)
_KERNELS = {
    "BatchMatMul": (0, 1),
    "BatchMatMulV2": (0, 1),
    "BatchMatMulV3": (0, 1),
    "Conv2D": (0,),
    "Conv2DBackpropInput": (2,),  # forward in a transposed convolution
    "Conv3D": (0,),
    "Conv3DBackpropInputV2": (2,),
    "Einsum": (0, 1),
    "MatMul": (0, 1),
}

#: Operations that are linear in their first input.
_LINEAR = {
    "AvgPool",
    "AvgPool3D",
    "BatchToSpaceND",
    "BiasAdd",
    "Cast",
    "ExpandDims",
    "Identity",
    "Mean",
    "MirrorPad",
    "Neg",
    "Pad",
    "PadV2",
    "Reshape",
    "Slice",
    "SpaceToBatchND",
    "SplitV",
    "Squeeze",
    "StridedSlice",
    "Sum",
    "Transpose",
    "Unpack",
}
_JOINING = {"Concat", "ConcatV2", "Pack", "Split"}

#: Operations that may lie between a variable and its use.
_READS = {"Cast", "ExpandDims", "Identity", "ReadVariableOp", "Reshape"}
_READS |= {"Squeeze", "Transpose"}
_DEEPEST = 8

_SUMS = {"Add", "AddV2", "Sub"}
_PRODUCTS = {"Mul", "RealDiv"}


def find(parts: list, variables: list) -> list[tuple]:
    """Returns pairs of variables: the kernels of two operations, where what
    the first returns reaches the second.

    Args:
        parts: `operations.Subgraph`s of a step.
        variables: `tf.Variable`s that may be kernels.
    """
    found = []
    for part in parts:
        way = LinearPath(part, variables)
        for kernel, operation in way.kernels():
            found += [(kernel, end) for end in way.ends(operation)]
    return found


def named(pairs: list, variables: list, names: list[str]) -> tuple:
    """Returns the pairs by name, in order, each once.

    Args:
        pairs: Of `tf.Variable`s.
        variables: All `tf.Variable`s.
        names: Theirs.
    """
    told = {id(v): name for v, name in zip(variables, names, strict=True)}
    return tuple(
        dict.fromkeys(
            (told[id(a)], told[id(b)])
            for a, b in pairs
            if id(a) in told and id(b) in told
        )
    )


class LinearPath:
    """What leads from one operation of a graph to others."""

    def __init__(self, part, variables: list):
        # Not only what gradients come from: that of a sum does not need it.
        self._operations = part.forward
        self._names = {operation.name for operation in part.forward}
        self._handles = tf_variables.handles(part.graph, variables)
        dropped = [kept for _, kept in dropouts.find(part.forward)]
        self._masks = {kept.kept.name for kept in dropped}
        self._rates = {kept.rate.name for kept in dropped}

    def kernels(self) -> list[tuple]:
        """Returns the operations with a kernel, in order, each after it."""
        found = []
        for operation in self._operations:
            kernel = self._kernel(operation)
            if kernel is not None:
                found.append((kernel[0], operation))
        return found

    def ends(self, operation) -> list:
        """Returns the kernels that an operation's output reaches."""
        found = []
        pending, visited = [*operation.outputs], set()
        while pending:
            tensor = pending.pop(0)
            if tensor.name in visited:
                continue
            visited.add(tensor.name)
            for consumer in tensor.consumers():
                if consumer.name not in self._names:
                    continue
                places = [
                    place
                    for place, one in enumerate(consumer.inputs)
                    if one.name == tensor.name
                ]
                kernel = self._kernel(consumer)
                if kernel is not None:
                    found += [kernel[0]] if kernel[1] in places else []
                elif len(places) == 1 and self._passes(consumer, places[0]):
                    pending += consumer.outputs
        return found

    def _kernel(self, operation):
        """Returns the kernel of an operation and the place of its data, None
        if it has none."""
        places = _KERNELS.get(operation.type)
        if places is None or len(operation.inputs) < 2:
            return None
        for data in places:
            weight = operation.inputs[1 - data if len(places) == 2 else 1]
            variable = self._handles.get(_variable(weight) or "")
            if variable is not None:
                return variable, data
        return None

    def _passes(self, operation, place: int) -> bool:
        """Returns whether an operation is linear in one of its inputs."""
        kind = operation.type
        if kind in _LINEAR:
            return place == 0 and operation.outputs[0].dtype.is_floating
        if kind in _JOINING:
            return operation.inputs[place].dtype.is_floating
        if kind == "SelectV2" or kind == "Select":
            return place == 1 and operation.inputs[0].name in self._masks
        if len(operation.inputs) != 2:
            return False
        other = operation.inputs[1 - place]
        if kind in _SUMS:
            return self._is_constant(other) or _variable(other) is not None
        if kind in _PRODUCTS and (kind == "Mul" or place == 0):
            return self._is_constant(other) or self._is_mask(other)
        return False

    def _is_mask(self, tensor) -> bool:
        """Returns whether a tensor is what dropout multiplies with: its mask,
        or a multiple of it."""
        for _ in range(_DEEPEST):
            if tensor.name in self._masks:
                return True
            operation = tensor.op
            if operation is None or not operation.inputs:
                return False
            inputs = list(operation.inputs)
            if operation.type in _PRODUCTS:
                inputs = [t for t in inputs if not self._is_constant(t)]
            elif operation.type not in ("Cast", "Identity", "Reshape"):
                return False
            if not inputs:
                return False
            tensor = inputs[0]
        return False

    def _is_constant(self, tensor) -> bool:
        """Returns whether a tensor is the same whatever a layer is given: a
        constant, or a number that is of no data, like the inverse of a
        dropout's rate."""
        operation = tensor.op
        while operation is not None and operation.type in ("Cast", "Identity"):
            operation = operation.inputs[0].op
        if operation is not None and operation.type == "Const":
            return True
        pending, count = [tensor], 0
        while pending:
            one = pending.pop()
            count += 1
            inputs = [] if one.op is None else list(one.op.inputs)
            if one.name in self._rates:
                continue
            # What a session feeds may be of any rank.
            is_number = one.shape.rank == 0 or (
                one.shape.rank is None and bool(inputs)
            )
            if not is_number or count > 2 * _DEEPEST:
                return False
            pending += inputs
        return True


def _variable(tensor) -> str | None:
    """Returns the name of the handle of the variable that a tensor is."""
    for _ in range(_DEEPEST):
        operation = tensor.op
        if operation is None:
            return None
        if operation.type == "VariableV2":  # a reference variable
            return tensor.name
        if operation.type not in _READS:
            return None
        if operation.type == "ReadVariableOp":
            return operation.inputs[0].name
        tensor = operation.inputs[0]
    return None
