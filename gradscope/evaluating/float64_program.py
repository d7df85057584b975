"""A traced program in float64: its graph with other types.

Every float type of the graph becomes float64, also those of mixed precision,
in its constants and in the functions that it calls. That works for a loss of
the user's own as well as for a Keras model, and leaves the weights alone.
"""

from __future__ import annotations

import tensorflow as tf

# Has no public name: what types an operation can have.
from tensorflow.python.framework import op_def_registry

_types = tf.compat.v1.AttrValue.DESCRIPTOR.fields_by_name["type"].enum_type
_NUMBER = _types.values_by_name

DOUBLE = _NUMBER["DT_DOUBLE"].number
FLOATS = {_NUMBER[f"DT_{n}"].number for n in ("FLOAT", "HALF", "BFLOAT16")}

#: Operations that work in float32 alone, or look at the bits of a number.
_BITS = {"Bitcast", "EagerPyFunc", "PyFunc", "PyFuncStateless"}


class NoDouble(Exception):
    """A program holds an operation that has no float64."""


def copied(library, number: int, *, double: bool):
    """Returns functions under other names, in float64 if wanted.

    Args:
        library: A `FunctionDefLibrary`, which stays as it is.
        number: Makes the names unique: two functions of one name and different
            types cannot be in one process.
        double: Whether they shall compute in float64.

    Raises:
        NoDouble: If they cannot.
    """
    copy = type(library)()
    copy.CopyFrom(library)
    names = {}
    for function in copy.function:
        old = function.signature.name
        names[old] = function.signature.name = f"{old}_copy_{number}"
    for gradient in copy.gradient:
        gradient.function_name = names[gradient.function_name]
        gradient.gradient_func = names[gradient.gradient_func]
    for node in _nodes(copy):
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            _rename(value, names)
    if double:
        _double(copy)
    return copy


def _nodes(library) -> list:
    return [node for one in library.function for node in one.node_def]


def _rename(value, names: dict[str, str]) -> None:
    kind = value.WhichOneof("value")
    called = [value.func] if kind == "func" else value.list.func
    for one in called if kind in ("func", "list") else ():
        one.name = names.get(one.name, one.name)
        for inner in one.attr.values():
            _rename(inner, names)


def _double(library) -> None:
    unable = sorted({n.op for n in _nodes(library) if not _is_able(n)})
    if unable:
        raise NoDouble(f"{', '.join(unable)} cannot compute in float64")
    for node in _nodes(library):
        for value in node.attr.values():
            _widen(value)
    for function in library.function:
        signature = function.signature
        for argument in (*signature.input_arg, *signature.output_arg):
            if argument.type in FLOATS:
                argument.type = DOUBLE


def _is_able(node) -> bool:
    """Returns whether an operation can have float64 where it has floats."""
    definition = op_def_registry.get(node.op)
    if definition is None:  # a function
        return True
    floats = [
        attribute
        for attribute in definition.attr
        if attribute.name in node.attr
        and _has_floats(node.attr[attribute.name])
    ]
    fixed = any(
        argument.type in FLOATS
        for argument in (*definition.input_arg, *definition.output_arg)
    )
    allowed = (one.allowed_values.list.type for one in floats)
    return (
        not fixed
        and not (floats and node.op in _BITS)
        and all(not types or DOUBLE in types for types in allowed)
    )


def _has_floats(value) -> bool:
    return value.type in FLOATS or any(t in FLOATS for t in value.list.type)


def _widen(value) -> None:
    kind = value.WhichOneof("value")
    if kind == "type" and value.type in FLOATS:
        value.type = DOUBLE
    elif kind == "list":
        for index, one in enumerate(value.list.type):
            if one in FLOATS:
                value.list.type[index] = DOUBLE
    elif kind == "tensor" and value.tensor.dtype in FLOATS:
        numbers = tf.make_ndarray(value.tensor).astype("float64")
        value.tensor.CopyFrom(tf.make_tensor_proto(numbers))
    elif kind == "func":
        for inner in value.func.attr.values():
            _widen(inner)
