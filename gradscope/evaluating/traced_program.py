"""Traces a function once, and runs it on copies of the variables it uses."""

from __future__ import annotations

import itertools
import types
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# This has no public name: the registry of traced functions.
from tensorflow.python.eager import context

from gradscope.evaluating import float64_program
from gradscope.runtime import operations


class Program:
    """A traced function without arguments; all of its inputs are captures.

    Attributes:
        graph: The graph of the trace.
        results: The nest of symbolic tensors that the function returned.
        variables: The `tf.Variable`s that it uses.
        reads: For each variable the first tensors that the forward pass
            computes from it (products, sums, convolutions), by the id of the
            variable's handle.
    """

    def __init__(self, function: Callable[[], Any], *, autograph: bool = False):
        """Trace the function.

        Args:
            function: Returns a nest of tensors or None.
            autograph: Whether to convert Python's `if` and `for`, so that they
                may depend on tensors.
        """
        outputs = []

        def results_and_reads():
            results = function()
            graph = tf.compat.v1.get_default_graph()
            outputs[:] = [results, _reads(graph)]
            return [t for t in tf.nest.flatten(outputs) if t is not None]

        traced = tf.function(results_and_reads, autograph=autograph)
        self._traced = traced.get_concrete_function()
        self.graph = self._traced.graph
        self.results, self.reads = outputs
        self.variables = list(self.graph.variables)

    def copy(self, *, double: bool = False) -> Copy:
        """Make a copy of the program with copies of all variables.

        Args:
            double: Whether the copy computes in float64.

        Raises:
            NoDouble: If an operation of the program has no float64.
        """
        return Copy(self, self._traced, double)


class Copy:
    """A copy of a program, which shares no variable with the original."""

    def __init__(self, program: Program, traced, double: bool):
        library = tf.compat.v1.GraphDef().library
        library.CopyFrom(traced.graph.as_graph_def().library)
        library.function.add().CopyFrom(traced.function_def)
        library = float64_program.copy_functions(
            library, next(_numbers), double=double
        )
        names = [function.signature.name for function in library.function]
        for function in library.function:
            context.context().add_function_def(function)
        # A registered function stays for the life of the process otherwise.
        weakref.finalize(self, _forget, names)
        # The traced function itself was added last, after those that it calls.
        signature = library.function[-1].signature
        self._name = signature.name
        self._types = [
            tf.as_dtype(output.type) for output in signature.output_arg
        ]
        self._nest = [program.results, program.reads]
        self._variables: dict[int, tf.Variable] = {}
        self._inputs = []
        for tensor in traced.captured_inputs:
            copy = _copy_of(tensor, double)
            if copy is not tensor and tensor.dtype == tf.resource:
                self._variables[id(tensor)] = copy
            self._inputs.append(copy)

    def has(self, variable: tf.Variable) -> bool:
        """Test whether the program uses a variable."""
        return id(variable.handle) in self._variables

    def assign(self, variable: tf.Variable, value: Any) -> None:
        """Assign a value, of any float type, to the copy of a variable."""
        copy = self._variables[id(variable.handle)]
        copy.assign(tf.cast(value, copy.dtype))

    def value(self, variable: tf.Variable) -> tf.Tensor:
        """Read the copy of a variable."""
        return self._variables[id(variable.handle)].read_value()

    def __call__(self) -> tuple:
        """Run the program once; return its results and reads, as tensors."""
        outputs = tf.raw_ops.StatefulPartitionedCall(
            args=[getattr(i, "handle", i) for i in self._inputs],
            Tout=self._types,
            f=types.SimpleNamespace(name=self._name.encode()),
        )
        tensors = iter(outputs)
        return tf.nest.map_structure(
            lambda tensor: None if tensor is None else next(tensors),
            self._nest,
        )


# Counts the copies of all programs, for unique names of functions.
_numbers = itertools.count()


def _forget(names: list[str]) -> None:
    for name in names:
        if context.context().has_function(name):
            context.context().remove_function(name)


def _copy_of(tensor, double: bool):
    """Copy the variable of a handle, in float64 on request; a tensor is only
    converted."""
    if tensor.dtype != tf.resource:
        is_wide = double and tensor.dtype.is_floating
        return tf.cast(tensor, tf.float64) if is_wide else tensor
    data = tensor._handle_data
    # Tables and iterators are resources, too.
    if data is None or len(data.shape_and_type) != 1:
        return tensor
    # A variable without a value has none to copy; reading it would fail.
    if not tf.raw_ops.VarIsInitializedOp(resource=tensor):
        return tensor
    dtype = tf.as_dtype(data.shape_and_type[0].dtype)
    value = tf.raw_ops.ReadVariableOp(resource=tensor, dtype=dtype)
    if double and dtype.is_floating:
        value = tf.cast(value, tf.float64)
    return tf.Variable(value)


@tf.autograph.experimental.do_not_convert
def _reads(graph) -> dict[int, list]:
    """Find `Program.reads` in the graph that is being built."""
    reads: dict[int, list] = {}
    for external, internal in graph.captures:
        pending = [internal] if external.dtype == tf.resource else []
        while pending:
            for operation in pending.pop().consumers():
                if operations.is_backward(operation.name):
                    continue
                if operation.type in (*operations.SAME_NUMBERS, _READ):
                    pending += operation.outputs
                else:
                    reads.setdefault(id(external), []).extend(
                        t for t in operation.outputs if t.dtype.is_floating
                    )
    return reads


_READ = "ReadVariableOp"
