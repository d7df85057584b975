"""A recording program's first step, made in such a way that it can be unmade.

An operation that fails ends the step that it is in, whatever it was there for:
no Python catches that inside of a graph. But around it, one can go back. All
that a step can change is in variables; where copies of all of them were made
before, and the batch is still there, the step can be made again by the plain
program. It then is as if nothing had been recorded; and if the plain program
fails as well, it is the user's own error that the user gets.

To hold copies in each step would cost too much, so it is done for the first
step of a program, and of each kind of batch that it is traced for. That shows
what is wrong with a program: an operation that the device does not have, that
XLA cannot compile, or for which there is no memory.
"""

from __future__ import annotations

import contextlib
import warnings

import tensorflow as tf

# Has no public name: whether an operation has a state.
from tensorflow.python.framework import op_def_registry

from gradscope.errors import GradscopeWarning
from gradscope.runtime import own_variables
from gradscope.wrapping.steps import guard

#: Bytes of weights and of an optimizer's state that are copied at most: a
#: process that trains can spare as much.
MOST_BYTES = 2**30

#: Parts of a batch that can be put into a dataset again.
_PARTS = (tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec)

#: How a program says that there are no more batches.
_ENDS = (StopIteration, tf.errors.OutOfRangeError)

#: How the types of operations begin that have no state but in variables, or
#: change none.
_HARMLESS = (
    "Assert",
    "Assign",
    "Case",
    "CheckNumerics",
    "Empty",
    "If",
    "Iterator",
    "LookupTableFind",
    "Optional",
    "PartitionedCall",
    "Placeholder",
    "Print",
    "ReadVariableOp",
    "ResourceApply",
    "ResourceGather",
    "ResourceScatter",
    "ResourceSparseApply",
    "ResourceStridedSliceAssign",
    "RngReadAndSkip",
    "Stateful",
    "Timestamp",
    "VarIsInitializedOp",
    "VariableShape",
    "While",
)


class StepTrial:
    """Stands for a model's own `train_function`, and records.

    Args:
        twin: The `Twin` that does, to be tried.
        seam: The `Seam` of its optimizer.
        fall_back: Called with an error that the plain program does not have.
        can: Whether a step can be made again: not in eager mode, nor where one
            call makes several.
    """

    def __init__(self, twin, seam, fall_back, can_repeat: bool):
        self._twin = twin
        self._seam = seam
        self._fall_back = fall_back
        self._can_repeat = can_repeat
        self._proven_specs: list = []

    def __call__(self, iterator):
        spec = getattr(iterator, "element_spec", None)
        is_repeatable = self._can_repeat and _can_be_repeated(iterator)
        if not is_repeatable or spec in self._proven_specs:
            return self._run_untried(iterator)
        try:
            batch = next(iterator)
        except _ENDS:
            return self._twin(iterator)  # which says so in its own way
        again = _iterator(batch, spec)
        try:
            graph = self._twin.graph(again)
        except Exception:  # which comes again
            graph = None
        if graph is None or not VariableBackup.has_room_for(graph):
            return self._run_untried(again)
        result = self._try(graph, batch, spec)
        self._proven_specs.append(spec)
        return result

    def _try(self, graph, batch, spec):
        backup = VariableBackup(graph)
        try:
            return self._twin(_iterator(batch, spec))
        except Exception as error:
            if not backup.covers_all_changes():
                self._warn(error)
                raise
            backup.restore()
            with self._seam.unobserved():
                result = self._twin.own(_iterator(batch, spec))
            self._fall_back(error)
            return result

    def _run_untried(self, iterator):
        try:
            return self._twin(iterator)
        except Exception as error:
            self._warn(error)
            raise

    def _warn(self, error: Exception) -> None:
        """Says what may help; the error itself is TensorFlow's own."""
        if isinstance(error, tf.errors.ResourceExhaustedError):
            warnings.warn(
                "The device ran out of memory in a program that records "
                "steps for gradscope. A recorded step holds all weights and "
                "gradients once more. If the training fits without gradscope, "
                "choose a smaller batch, or train without the callback.",
                GradscopeWarning,
                stacklevel=4,
            )
        elif isinstance(error, tf.errors.OpError) and guard.is_of_gradscope(
            error
        ):
            warnings.warn(
                "An operation of gradscope failed in a step that it recorded: "
                f"{guard.reason(error)}. How much of the step was done by then "
                "is not known, so that it cannot be made again. Train on from "
                "your last checkpoint, without the callback or with "
                "`activations=False`. Please report this.",
                GradscopeWarning,
                stacklevel=4,
            )


class VariableBackup:
    """Copies, in the memory of the host, of what a program can change.

    Args:
        graph: Of the program.
    """

    def __init__(self, graph):
        self._graph = graph
        self._variables = list(graph.variables)
        with tf.device("/device:CPU:0"):
            self._values = [tf.identity(v) for v in self._variables]

    @staticmethod
    def has_room_for(graph) -> bool:
        """Returns whether the host can spare the memory."""
        sizes = [
            (variable.shape.num_elements(), variable.dtype.size)
            for variable in graph.variables
        ]
        are_sizes_static = all(count is not None for count, _ in sizes)
        return are_sizes_static and sum(a * b for a, b in sizes) <= MOST_BYTES

    def restore(self) -> None:
        """Gives the variables back what they held."""
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)

    def covers_all_changes(self) -> bool:
        """Returns whether the program can have changed nothing else. (What we
        hold ourselves may stay: it is the same step that is made again.)"""
        copied_handles = {id(variable.handle) for variable in self._variables}
        return all(
            id(outside) in copied_handles or own_variables.is_own(outside)
            for outside, inside in self._graph.captures
            if inside.dtype in (tf.resource, tf.variant)
        ) and all(map(_is_harmless, _types(self._graph)))


def _can_be_repeated(iterator) -> bool:
    """Returns whether a step can be made twice with the same batch: not on
    several replicas, each with an iterator of its own."""
    return isinstance(iterator, tf.data.Iterator) and all(
        isinstance(part, _PARTS)
        for part in tf.nest.flatten(iterator.element_spec)
    )


def _iterator(batch, spec):
    """Returns an iterator over one batch that tells no more of its sizes than
    the one that it is from: for others the program would be traced anew."""
    dataset = tf.data.Dataset.from_tensors(batch)
    # Have no public names: the same data, of which less is told.
    with contextlib.suppress(Exception):
        components = dataset._type_spec._to_components(dataset)
        dataset = tf.data.DatasetSpec(spec)._from_components(components)
    return iter(dataset)


def _types(graph) -> set[str]:
    """Returns the types of all operations of a graph, and of its functions."""
    definition = graph.as_graph_def()
    functions = definition.library.function
    nodes = [definition.node, *(function.node_def for function in functions)]
    return {node.op for part in nodes for node in part}


def _is_harmless(kind: str) -> bool:
    definition = op_def_registry.get(kind)
    return (
        definition is None  # a function
        or not definition.is_stateful
        or kind.startswith(_HARMLESS)
    )
