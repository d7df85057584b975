"""Trial of a recording program's first step, which can be repeated if it fails.

An operation that fails ends the whole step, and no Python code can catch the
error inside of a graph. But the step can be repeated: a step changes nothing
but variables. With copies of all of them, and with the batch, the plain program
can make the step again, as if nothing had been recorded. If the plain program
fails as well, the error is the user's own, and is raised.

Copies in each step would cost too much. So only the first step of a program is
tried, for each kind of batch that the program is traced for. This first step
shows the usual faults: an operation that the device does not have, that XLA
cannot compile, or that needs too much memory.
"""

from __future__ import annotations

import contextlib
import warnings

import tensorflow as tf

# Private in TensorFlow: tells whether an operation has a state.
from tensorflow.python.framework import op_def_registry

from gradscope.errors import GradscopeWarning
from gradscope.runtime import own_variables, versions
from gradscope.wrapping.forward import fallback

#: Most bytes of weights and optimizer states that are copied: a process that
#: trains can spare as much memory on the host.
MOST_BYTES = 2**30

#: Specs of batches that `tf.data.Dataset.from_tensors` accepts.
_PARTS = (tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec)

#: Errors of an iterator that has no more batches.
_ENDS = (StopIteration, tf.errors.OutOfRangeError)

#: Beginnings of the types of operations whose only state is in variables, or
#: that change no state.
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
    """A `train_function` that tries a recording program, and then runs it.

    Args:
        program: The `RecordingProgram`.
        seam: The `Seam` or `SeamGroup` of its optimizers.
        fall_back: Called with the error if only the plain program succeeds.
        can_repeat: Whether a step can be repeated: not in eager mode, nor if
            one call makes several steps.
    """

    def __init__(self, program, seam, fall_back, can_repeat: bool):
        self._program = program
        self._seam = seam
        self._fall_back = fall_back
        self._can_repeat = can_repeat
        self._tried_specs: list = []

    def __call__(self, iterator):
        spec = getattr(iterator, "element_spec", None)
        is_repeatable = self._can_repeat and _can_be_repeated(iterator)
        if not is_repeatable or spec in self._tried_specs:
            return self._run_untried(iterator)
        try:
            batch = next(iterator)
        except _ENDS:
            return self._program(iterator)  # raises its own error
        # The batch is taken from the user's iterator once, and may be needed
        # three times; each use takes it from an iterator of its own.
        try:
            graph = self._program.graph(_iterator(batch, spec))
        except Exception:  # the run below raises the error again
            graph = None
        # An iterator of one batch costs time, so that it is made for one step.
        self._tried_specs.append(spec)
        if graph is None or not VariableBackup.has_room_for(graph):
            return self._run_untried(_iterator(batch, spec))
        return self._try(graph, batch, spec)

    def _try(self, graph, batch, spec):
        backup = VariableBackup(graph)
        try:
            return self._program(_iterator(batch, spec))
        except Exception as error:
            if not backup.covers_all_changes():
                self._warn(error)
                raise
            backup.restore()
            with self._seam.unobserved():
                result = self._program.model_program(_iterator(batch, spec))
            # After the step, so that an error of the user's own leaves the
            # recording as it is.
            self._fall_back(error)
            return result

    def _run_untried(self, iterator):
        try:
            return self._program(iterator)
        except Exception as error:
            self._warn(error)
            raise

    def _warn(self, error: Exception) -> None:
        """Warn with a remedy; the error itself is TensorFlow's."""
        if isinstance(error, tf.errors.ResourceExhaustedError):
            warnings.warn(
                "The device ran out of memory in a program that records steps "
                "for gradscope. A recorded step holds a second copy of all "
                "weights and gradients. If the training fits without "
                "gradscope, choose a smaller batch, or train without the "
                "callback.",
                GradscopeWarning,
                stacklevel=4,
            )
        elif isinstance(error, tf.errors.OpError) and fallback.is_of_gradscope(
            error
        ):
            warnings.warn(
                "An operation of gradscope failed in a recorded step: "
                f"{fallback.reason(error)}. It is unknown how much of the step "
                "was done, so the step cannot be repeated. Continue from your "
                "last checkpoint, without the callback or with "
                f"`activations=False`. {versions.report_request()}",
                GradscopeWarning,
                stacklevel=4,
            )


class VariableBackup:
    """Copies of all variables of a program, in the memory of the host.

    Args:
        graph: The program's graph.
    """

    def __init__(self, graph):
        self._graph = graph
        self._variables = list(graph.variables)
        # The device may be full: it has to hold the training as well.
        with tf.device("/device:CPU:0"):
            self._values = [tf.identity(v) for v in self._variables]

    @staticmethod
    def has_room_for(graph: tf.Graph) -> bool:
        """Return whether the variables are small enough to be copied."""
        sizes = [
            (variable.shape.num_elements(), variable.dtype.size)
            for variable in graph.variables
        ]
        are_sizes_static = all(count is not None for count, _ in sizes)
        return are_sizes_static and sum(a * b for a, b in sizes) <= MOST_BYTES

    def restore(self) -> None:
        """Set the variables to the copied values."""
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)

    def covers_all_changes(self) -> bool:
        """Return whether the program can have changed nothing but these
        variables.

        gradscope's own variables do not count, since the same step is repeated.
        """
        copied_handles = {id(variable.handle) for variable in self._variables}
        return all(
            id(outside) in copied_handles or own_variables.is_own(outside)
            for outside, inside in self._graph.captures
            if inside.dtype in (tf.resource, tf.variant)
        ) and all(map(_is_harmless, _types(self._graph)))


def _can_be_repeated(iterator) -> bool:
    """Return whether a step can be repeated with the same batch.

    Not on several replicas, which each have an iterator of their own.
    """
    return isinstance(iterator, tf.data.Iterator) and all(
        isinstance(part, _PARTS)
        for part in tf.nest.flatten(iterator.element_spec)
    )


def _iterator(batch, spec):
    """Make an iterator of one batch, with the sizes as unknown as in `spec`.

    With known sizes, the program would be traced again.
    """
    dataset = tf.data.Dataset.from_tensors(batch)
    # Private in TensorFlow: the same data under a spec with unknown sizes.
    with contextlib.suppress(Exception):
        components = dataset._type_spec._to_components(dataset)
        dataset = tf.data.DatasetSpec(spec)._from_components(components)
    return iter(dataset)


def _types(graph) -> set[str]:
    """The types of all operations in a graph and in its functions."""
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
