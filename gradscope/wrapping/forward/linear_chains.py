"""Finds kernels with only linear operations between them.

Two such layers can do no more than one. The output of a kernel's operation is
followed through linear operations and added biases. All other operations end
the path: an activation, a maximum of neighbours, a normalisation, and the
product or the sum of two branches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.runtime import tf_variables
from gradscope.wrapping.forward import dropouts

if TYPE_CHECKING:
    import tensorflow as tf

    from gradscope.runtime.eager_operations import EagerOperation
    from gradscope.runtime.operations import Subgraph

#: Operations with a kernel, and the inputs that may be the data; the weight is
#: another of their inputs. (A depthwise convolution does not count.)
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

#: Operations that add, and that multiply.
_SUMS = {"Add", "AddV2", "Sub"}
_PRODUCTS = {"Mul", "RealDiv"}


def find(
    subgraphs: list[Subgraph], variables: list[tf.Variable]
) -> list[tuple[tf.Variable, tf.Variable]]:
    """Find pairs of kernels where the output of the first one's operation
    reaches the second through linear operations.

    Args:
        subgraphs: The operations of a step.
        variables: Variables that may be kernels.
    """
    pairs = []
    for subgraph in subgraphs:
        paths = LinearPaths(subgraph, variables)
        for kernel, operation in paths.kernels():
            pairs += [(kernel, end) for end in paths.kernels_after(operation)]
    return pairs


def name_pairs(
    pairs: list[tuple[tf.Variable, tf.Variable]],
    variables: list[tf.Variable],
    names: list[str],
) -> tuple[tuple[str, str], ...]:
    """Replace the variables of pairs by their names; equal pairs become one.

    Args:
        pairs: Pairs of variables. Those with an unknown variable are left out.
        variables: All variables.
        names: Their names, in the same order.
    """
    name_of = {id(v): name for v, name in zip(variables, names, strict=True)}
    return tuple(
        dict.fromkeys(
            (name_of[id(a)], name_of[id(b)])
            for a, b in pairs
            if id(a) in name_of and id(b) in name_of
        )
    )


class LinearPaths:
    """The linear paths between the operations of a graph.

    Args:
        subgraph: The operations of a step in one graph.
        variables: Variables that may be kernels.
    """

    def __init__(self, subgraph: Subgraph, variables: list[tf.Variable]):
        # Not only ancestors of gradients: the gradient of a sum does not depend
        # on the sum.
        self._operations = subgraph.forward
        self._names = {operation.name for operation in subgraph.forward}
        self._handles = tf_variables.handles(subgraph.graph, variables)
        layers = [tensors for _, tensors in dropouts.find(subgraph.forward)]
        self._masks = {dropout.mask.name for dropout in layers}
        self._rates = {dropout.rate.name for dropout in layers}

    def kernels(self) -> list[tuple[tf.Variable, tf.Operation]]:
        """List the kernels, each with its operation, in forward order."""
        kernels = []
        for operation in self._operations:
            kernel = self._kernel(operation)
            if kernel is not None:
                kernels.append((kernel[0], operation))
        return kernels

    def kernels_after(
        self, operation: tf.Operation | EagerOperation
    ) -> list[tf.Variable]:
        """List the kernels that an operation's output reaches."""
        kernels = []
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
                    for place, other in enumerate(consumer.inputs)
                    if other.name == tensor.name
                ]
                kernel = self._kernel(consumer)
                if kernel is not None:
                    kernels += [kernel[0]] if kernel[1] in places else []
                # An operation with the tensor in both inputs makes a square of
                # it.
                elif len(places) == 1 and self._is_linear(consumer, places[0]):
                    pending += consumer.outputs
        return kernels

    def _kernel(self, operation):
        """Kernel of an operation and the index of the input with the data;
        None if the operation has no kernel."""
        places = _KERNELS.get(operation.type)
        if places is None or len(operation.inputs) < 2:
            return None
        for data in places:
            # Either factor of a product of matrices may be the weight; that of
            # a convolution is its second input.
            weight = operation.inputs[1 - data if len(places) == 2 else 1]
            variable = self._handles.get(_variable(weight) or "")
            if variable is not None:
                return variable, data
        return None

    def _is_linear(self, operation, place: int) -> bool:
        """Whether an operation is linear in one of its inputs."""
        kind = operation.type
        if kind in _LINEAR:
            # A cast to an integer rounds, which is not linear.
            return place == 0 and operation.outputs[0].dtype.is_floating
        if kind in _JOINING:
            return operation.inputs[place].dtype.is_floating
        # `where(mask, x, 0)` of a dropout multiplies with 0 or 1.
        if kind == "SelectV2" or kind == "Select":
            return place == 1 and operation.inputs[0].name in self._masks
        if len(operation.inputs) != 2:
            return False
        other = operation.inputs[1 - place]
        if kind in _SUMS:
            # A constant or a bias: two affine layers in a row are one, too.
            return self._is_constant(other) or _variable(other) is not None
        # A quotient is linear in its numerator alone.
        if kind in _PRODUCTS and (kind == "Mul" or place == 0):
            return self._is_constant(other) or self._is_mask(other)
        return False

    def _is_mask(self, tensor) -> bool:
        """Whether a tensor is a dropout's mask, or a multiple of it."""
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
        """Whether a tensor does not depend on the data: a constant, or a number
        that is computed from constants or from a dropout's rate."""
        operation = tensor.op
        while operation is not None and operation.type in ("Cast", "Identity"):
            operation = operation.inputs[0].op
        if operation is not None and operation.type == "Const":
            return True
        pending, count = [tensor], 0
        while pending:
            tensor = pending.pop()
            count += 1
            inputs = [] if tensor.op is None else list(tensor.op.inputs)
            if tensor.name in self._rates:
                continue
            # A tensor that a session feeds may have any rank.
            is_number = tensor.shape.rank == 0 or (
                tensor.shape.rank is None and bool(inputs)
            )
            if not is_number or count > 2 * _DEEPEST:
                return False
            pending += inputs
        return True


def _variable(tensor) -> str | None:
    """Name of the handle of the variable that a tensor was read from."""
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
