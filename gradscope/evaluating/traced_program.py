"""A function that is traced once, and run on copies of all it can write to."""

from __future__ import annotations

import itertools
import types
import weakref

import tensorflow as tf

# Have no public name: where functions are known by their names, and types.
from tensorflow.python.eager import context

from gradscope.evaluating import float64_program
from gradscope.runtime import operations


class Program:
    """A traced function of no arguments: what it takes from outside, it has
    captured.

    Attributes:
        graph: Its graph.
        results: What the function returned, symbolic.
        variables: The `tf.Variable`s that it uses.
        reads: The tensors that the forward pass makes of each variable first
            (products, sums, convolutions), by the ids of their handles.
    """

    def __init__(self, function, *, autograph: bool = False):
        """Traces a function.

        Args:
            function: Returns tensors of its graph, or None, in a nest.
            autograph: Whether Python's `if` and `for` may be of tensors.
        """
        kept = []

        def noted():
            results = function()
            graph = tf.compat.v1.get_default_graph()
            kept[:] = [results, _reads(graph)]
            return [t for t in tf.nest.flatten(kept) if t is not None]

        traced = tf.function(noted, autograph=autograph)
        self._traced = traced.get_concrete_function()
        self.graph = self._traced.graph
        self.results, self.reads = kept
        self.variables = list(self.graph.variables)

    def copy(self, *, double: bool = False) -> Copy:
        """Returns the program on variables of its own.

        Args:
            double: Whether to compute in float64.

        Raises:
            NoDouble: If something in it has no float64.
        """
        return Copy(self, self._traced, double)


class Copy:
    """A program that shares no variable with the one that it was made of."""

    def __init__(self, program: Program, traced, double: bool):
        library = tf.compat.v1.GraphDef().library
        library.CopyFrom(traced.graph.as_graph_def().library)
        library.function.add().CopyFrom(traced.function_def)
        library = float64_program.copied(library, next(_copies), double=double)
        names = [one.signature.name for one in library.function]
        for one in library.function:
            context.context().add_function_def(one)
        weakref.finalize(self, _forget, names)
        signature = library.function[-1].signature
        self._name = signature.name
        self._types = [tf.as_dtype(one.type) for one in signature.output_arg]
        self._nest = [program.results, program.reads]
        self._own: dict[int, tf.Variable] = {}
        self._inputs = []
        for tensor in traced.captured_inputs:
            own = _copy_of(tensor, double)
            if own is not tensor and tensor.dtype == tf.resource:
                self._own[id(tensor)] = own
            self._inputs.append(own)

    def has(self, variable) -> bool:
        """Returns whether the program uses a variable."""
        return id(variable.handle) in self._own

    def assign(self, variable, value) -> None:
        """Gives the copy of a variable a value, of any float type."""
        own = self._own[id(variable.handle)]
        own.assign(tf.cast(value, own.dtype))

    def value(self, variable) -> tf.Tensor:
        """Returns what the copy of a variable holds now."""
        return self._own[id(variable.handle)].read_value()

    def __call__(self) -> tuple:
        """Runs it once; returns its results and its reads, as tensors."""
        outputs = tf.raw_ops.StatefulPartitionedCall(
            args=[getattr(one, "handle", one) for one in self._inputs],
            Tout=self._types,
            f=types.SimpleNamespace(name=self._name.encode()),
        )
        fetched = iter(outputs)
        return tf.nest.map_structure(
            lambda tensor: None if tensor is None else next(fetched),
            self._nest,
        )


_copies = itertools.count()


def _forget(names: list[str]) -> None:
    for name in names:
        if context.context().has_function(name):
            context.context().remove_function(name)


def _copy_of(tensor, double: bool):
    """Returns a variable that holds what that of a handle does; of what is no
    variable itself, in float64 if wanted."""
    if tensor.dtype != tf.resource:
        is_wide = double and tensor.dtype.is_floating
        return tf.cast(tensor, tf.float64) if is_wide else tensor
    data = tensor._handle_data
    # Tables and iterators are resources, too.
    if data is None or len(data.shape_and_type) != 1:
        return tensor
    if not tf.raw_ops.VarIsInitializedOp(resource=tensor):
        return tensor
    dtype = tf.as_dtype(data.shape_and_type[0].dtype)
    value = tf.raw_ops.ReadVariableOp(resource=tensor, dtype=dtype)
    if double and dtype.is_floating:
        value = tf.cast(value, tf.float64)
    return tf.Variable(value)


@tf.autograph.experimental.do_not_convert
def _reads(graph) -> dict[int, list]:
    """Returns `Program.reads` of the graph that is being built."""
    found: dict[int, list] = {}
    for external, internal in graph.captures:
        pending = [internal] if external.dtype == tf.resource else []
        while pending:
            for operation in pending.pop().consumers():
                if operations.is_backward(operation.name):
                    continue
                if operation.type in (*operations.SAME_NUMBERS, _READ):
                    pending += operation.outputs
                else:
                    found.setdefault(id(external), []).extend(
                        t for t in operation.outputs if t.dtype.is_floating
                    )
    return found


_READ = "ReadVariableOp"
