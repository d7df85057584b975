"""Converts a traced program to float64, by the types of its graph.

Every float type becomes float64, also those of mixed precision, in constants
and in called functions, too. That works for any loss function as well as for a
Keras model, and does not change the weights.
"""

from __future__ import annotations

import tensorflow as tf

# This has no public name: the types that an operation supports.
from tensorflow.python.framework import op_def_registry

# The type of a `FunctionDefLibrary`, which TensorFlow does not export.
_Library = type(tf.compat.v1.GraphDef().library)

_types = tf.compat.v1.AttrValue.DESCRIPTOR.fields_by_name["type"].enum_type
_NUMBER = _types.values_by_name

DOUBLE = _NUMBER["DT_DOUBLE"].number
FLOATS = {_NUMBER[f"DT_{n}"].number for n in ("FLOAT", "HALF", "BFLOAT16")}

#: Operations whose result depends on the bits of a number, or which run Python
#: code that expects the types of the trace.
_BITS = {"Bitcast", "EagerPyFunc", "PyFunc", "PyFuncStateless"}


class NoDouble(Exception):
    """A program holds an operation that has no float64."""


def copy_functions(library: _Library, number: int, *, double: bool) -> _Library:
    """Copy functions under new names, in float64 on request.

    Args:
        library: The functions.
        number: Makes the names unique, since a process cannot have two
            functions of the same name and different types.
        double: Whether the copies compute in float64.

    Raises:
        NoDouble: If an operation has no float64.
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
        _convert(copy)
    return copy


def _nodes(library) -> list:
    return [node for f in library.function for node in f.node_def]


def _rename(value, names: dict[str, str]) -> None:
    kind = value.WhichOneof("value")
    functions = [value.func] if kind == "func" else value.list.func
    for function in functions if kind in ("func", "list") else ():
        function.name = names.get(function.name, function.name)
        for inner in function.attr.values():
            _rename(inner, names)


def _convert(library) -> None:
    """Change all float types of some functions to float64."""
    unable = sorted({n.op for n in _nodes(library) if not _has_float64(n)})
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


def _has_float64(node) -> bool:
    """Test whether an operation supports float64 where it has floats."""
    definition = op_def_registry.get(node.op)
    if definition is None:  # a call of a function, which is converted, too
        return True
    floats = [
        attribute
        for attribute in definition.attr
        if attribute.name in node.attr
        and _has_floats(node.attr[attribute.name])
    ]
    # Such an argument has a float type in any case, whatever the attributes.
    fixed = any(
        argument.type in FLOATS
        for argument in (*definition.input_arg, *definition.output_arg)
    )
    allowed = (attribute.allowed_values.list.type for attribute in floats)
    return (
        not fixed
        and not (floats and node.op in _BITS)
        # An empty list allows every type.
        and all(not types or DOUBLE in types for types in allowed)
    )


def _has_floats(value) -> bool:
    return value.type in FLOATS or any(t in FLOATS for t in value.list.type)


def _widen(value) -> None:
    kind = value.WhichOneof("value")
    if kind == "type" and value.type in FLOATS:
        value.type = DOUBLE
    elif kind == "list":
        for index, number in enumerate(value.list.type):
            if number in FLOATS:
                value.list.type[index] = DOUBLE
    elif kind == "tensor" and value.tensor.dtype in FLOATS:
        # A constant holds its numbers as bytes of its type. With another type
        # alone the same bytes would be other numbers.
        numbers = tf.make_ndarray(value.tensor).astype("float64")
        value.tensor.CopyFrom(tf.make_tensor_proto(numbers))
    elif kind == "func":
        for inner in value.func.attr.values():
            _widen(inner)
