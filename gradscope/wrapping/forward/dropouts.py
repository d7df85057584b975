"""Finds dropout in the graph of a step: random numbers compared to a rate."""

from __future__ import annotations

import re

import numpy as np

from gradscope.runtime import operations, scopes
from gradscope.wrapping.forward.layer_states import LayerStateTensors

_COMPARISONS = ("Greater", "GreaterEqual", "Less", "LessEqual")
_UNIFORM = ("RandomUniform", "StatelessRandomUniform")

#: Operations that may scale random numbers before they are compared with a
#: rate, and how many of them are followed.
_SCALING = ("Add", "AddV2", "Cast", "Identity", "Mul", "Sub")
_DEEPEST = 6

_NUMBER = re.compile(r"_\d+$")


def find(forward_operations: list) -> list[tuple[str, LayerStateTensors]]:
    """Find the dropout layers among the operations of a forward pass.

    Returns:
        Pairs of the name of a layer's comparison, and of the layer's tensors.
    """
    dropouts = []
    for operation in forward_operations:
        if operation.type not in _COMPARISONS:
            continue
        is_random = [_is_uniform(tensor) for tensor in operation.inputs]
        # Two random tensors are compared with each other, and not with a rate.
        if is_random.count(True) != 1 or not _drops(operation.outputs[0]):
            continue
        rate = operation.inputs[is_random.index(False)]
        # A threshold for each element is no rate.
        if rate.shape.rank not in (0, None):
            continue
        # The mask of the units to keep is u >= rate, or u < 1 - rate.
        is_drop_rate = operation.type.startswith("Greater") == is_random[0]
        tensors = LayerStateTensors(
            rate=rate,
            is_keep_rate=not is_drop_rate,
            mask=operation.outputs[0],
            scope=_scope(operation, operation.inputs[is_random.index(True)]),
        )
        dropouts.append((operation.name, tensors))
    return dropouts


def _scope(operation, uniform) -> str:
    """Scope of the layer: in a graph, TensorFlow's functions add one inside."""
    scope = scopes.of(operation.name)
    outer, _, last = scope.rpartition("/")
    name = _NUMBER.sub("", last)
    is_inner = name == "stateless_dropout" or (
        # `tf.nn.dropout`, and not a layer that is called so.
        name == "dropout" and "/random_uniform" in uniform.name
    )
    return outer if outer and is_inner else scope


def _is_uniform(tensor) -> bool:
    for _ in range(_DEEPEST):
        operation = tensor.op
        if operation is None or not operation.inputs:
            return False
        if operation.type.startswith(_UNIFORM):
            return True
        if operation.type not in _SCALING:
            return False
        tensor = operation.inputs[0]
    return False


def _drops(mask) -> bool:
    """Whether a mask sets other units to zero: a layer that turns images at
    random has a mask, too."""
    for consumer in mask.consumers():
        if consumer.type == "Cast":
            masks = consumer.outputs[0]
            if any(c.type == "Mul" for c in masks.consumers()):
                return True
        # `where(mask, x, zeros)`; the other way is x · cast(mask).
        if consumer.type in ("Select", "SelectV2"):
            return _is_zero(consumer.inputs[2])
    return False


def _is_zero(tensor) -> bool:
    if tensor.op is not None and tensor.op.type == "ZerosLike":
        return True
    value = operations.constant_value(tensor)
    return value is not None and not np.any(value)
