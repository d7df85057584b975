"""Dropout in the graph of a step: random numbers compared with a rate."""

from __future__ import annotations

import re

import numpy as np

from gradscope.runtime import operations, scopes
from gradscope.wrapping.forward.layer_states import LayerStateTensors

_COMPARISONS = ("Greater", "GreaterEqual", "Less", "LessEqual")
_UNIFORM = ("RandomUniform", "StatelessRandomUniform")

#: What may lie between random numbers and their comparison with a rate.
_SCALING = ("Add", "AddV2", "Cast", "Identity", "Mul", "Sub")
_DEEPEST = 6

_NUMBER = re.compile(r"_\d+$")


def find(of_step) -> list[tuple[str, LayerStateTensors]]:
    """Returns the dropout layers among a step's operations, each with the name
    of an operation of it.

    Args:
        of_step: Operations of the forward pass.
    """
    found = []
    for operation in of_step:
        if operation.type not in _COMPARISONS:
            continue
        is_random = [_is_uniform(tensor) for tensor in operation.inputs]
        if is_random.count(True) != 1 or not _drops(operation.outputs[0]):
            continue
        rate = operation.inputs[is_random.index(False)]
        if rate.shape.rank not in (0, None):
            continue
        # Of what is kept: u >= rate, or u < 1 - rate.
        is_rate = operation.type.startswith("Greater") == is_random[0]
        kept = LayerStateTensors(
            rate=rate,
            is_of_kept=not is_rate,
            kept=operation.outputs[0],
            scope=_scope(operation, operation.inputs[is_random.index(True)]),
        )
        found.append((operation.name, kept))
    return found


def _scope(operation, uniform) -> str:
    """Returns the scope of the layer: in a graph, functions of TensorFlow have
    one of their own inside."""
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
    """Returns whether a mask sets to zero what it does not choose: a layer
    that turns images by chance has one, too."""
    for consumer in mask.consumers():
        if consumer.type == "Cast":
            masks = consumer.outputs[0]
            if any(c.type == "Mul" for c in masks.consumers()):
                return True
        if consumer.type in ("Select", "SelectV2"):
            return _is_zero(consumer.inputs[2])
    return False


def _is_zero(tensor) -> bool:
    if tensor.op is not None and tensor.op.type == "ZerosLike":
        return True
    value = operations.constant_value(tensor)
    return value is not None and not np.any(value)
