"""A program that records, and trains exactly as a model's own `train_function`.

Keras traces `train_function` once for each signature of the data, and keeps
that trace, even if `trainable`, a rate or a layer changes afterwards. A program
that is traced later would use the changed values. So each recording program is
compared with the trace that it stands for.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from gradscope.runtime import trainable_flags
from gradscope.runtime.program_fingerprint import ProgramFingerprint
from gradscope.runtime.python_state import PythonState

#: Names, in the closure of Keras 3's `train_function`, of its `tf.function`s
#: for an iterator and for one batch. No public attribute has these functions.
_OF_ITERATOR, _OF_BATCH = "multi_step_on_iterator", "one_step_on_data"

#: A name in the code of Keras 3.16's `train_function`, which takes the batch of
#: a single step from the iterator. So it is traced for each size of a batch,
#: and each trace has random streams of its own.
_TAKES_BATCH = "get_next_as_optional"

_NOT_OF_KERAS = (
    "gradscope cannot record this training: `model.train_function` must be "
    "made by `model.make_train_function`, so that gradscope can make it a "
    "second time, got your own {own!r}. Training goes on without gradscope. "
    "Call `gradscope.wrap(model.optimizer, logdir)` before the first call of "
    "your function, without `model`, and leave out the callback."
)
_CHANGED = (
    "gradscope cannot record this training: the model has changed since Keras "
    "traced its `train_function` (a layer, a rate or a number that its Python "
    "code reads), and Keras keeps using that trace. Training goes on without "
    "gradscope. Call `model.compile` again; then the change takes effect and "
    "is recorded."
)


class RecordingProgram:
    """A `train_function` that records: it has a twin of each trace of the
    model's.

    A twin is a program that trains exactly as its trace and records, too.

    Args:
        model: A Keras model.
        model_program: The model's own `train_function`.
        seam: The `Seam` or `SeamGroup` of its optimizers.
    """

    def __init__(self, model: Any, model_program: Any, seam: Any) -> None:
        self.model_program = model_program
        self._model = weakref.ref(model)
        self._seam = seam
        # By the model's trace: the twin, and the `trainable` flags of its own
        # trace.
        self._twins: dict = {}
        self._latest: tuple = ()
        self._can_be_made: bool | None = None

    def __call__(self, iterator):
        iterator = self._batches(iterator)
        program, failure = None, None
        try:
            program = self._find_twin(iterator)
        except Exception as error:
            failure = error
        if not _is_iterator(iterator):
            iterator = iter(iterator)
        if program is not None:
            return program(iterator)
        with self._seam.unobserved():
            # An error of the user's own program is raised by that program.
            logs = self.model_program(iterator)
        if failure is not None:
            self._seam.fail(failure)
        return logs

    def graph(self, iterator: Any) -> tf.Graph | None:
        """The graph of the program that records these batches; None without
        one."""
        batches = self._batches(iterator)
        program = self._find_twin(batches)
        if program is None or tf.config.functions_run_eagerly():
            return None
        functions = _functions(program, batches)
        if not functions:
            return None
        return functions[0].get_concrete_function(_argument(batches)).graph

    def _batches(self, iterator):
        """The iterator if its traces are those of an iterator, else a list of
        one batch."""
        if not _is_iterator(iterator):  # the one batch of `train_on_batch`
            return list(iterator)
        if not self._takes_batch():
            return iterator
        batch = iterator.get_next_as_optional()
        if not batch.has_value():
            raise StopIteration
        return [batch.get_value()]

    def _takes_batch(self) -> bool:
        """Return whether the model's program traces batches, not iterators."""
        names = getattr(_code_of(self.model_program), "co_names", ())
        if _TAKES_BATCH not in names:
            return False
        steps = self._model().steps_per_execution
        with contextlib.suppress(Exception):  # raised again by `_find_twin`
            return steps == 1 and self._is_of_keras()
        return False

    def _find_twin(self, iterator):
        """Find or build the twin for these batches; None without one."""
        # All steps of an epoch come with the same iterator, so the search is
        # made once.
        if self._latest and self._latest[0]() is iterator:
            return self._latest[1]
        if not self._is_of_keras():
            return None
        functions = _functions(self.model_program, iterator)
        if not functions or tf.config.functions_run_eagerly():
            # The functions run eagerly, or are unknown: there is no trace.
            if None not in self._twins:
                self._twins[None] = self._make_program()
            return self._twins[None]
        counts = [f.experimental_get_tracing_count() for f in functions]
        python_state = PythonState(self._model())
        with self._seam.unobserved(), python_state.remember():
            traced = functions[0].get_concrete_function(_argument(iterator))
            self._seam.capture_logs(_structured_outputs(functions[-1]))
        # A trace that is older than this call was made in a state that may have
        # changed since.
        is_new = all(
            f.experimental_get_tracing_count() > count
            for f, count in zip(functions, counts, strict=True)
        )
        if traced not in self._twins:
            with python_state.repeat() if is_new else contextlib.nullcontext():
                twin = self._build_twin(traced, iterator, is_new)
            self._twins[traced] = twin
        program, flags = self._twins[traced]
        changed = trainable_flags.changed_layers(self._model(), flags)
        if changed:
            self._seam.record_stale_layers(changed)
        if _is_iterator(iterator):
            self._latest = weakref.ref(iterator), program
        return program

    def _build_twin(self, traced, iterator, is_new: bool) -> tuple:
        """Build the twin of a trace.

        Args:
            traced: The trace, a concrete function.
            iterator: The iterator of its batches, or a list of one batch.
            is_new: Whether `traced` was traced just now, from the present
                state.

        Returns:
            The twin, None without one; and the present `trainable` flags.
        """
        model = self._model()
        if is_new:
            return self._trace_program(traced, iterator), trainable_flags.flags(
                model
            )
        fingerprint = ProgramFingerprint.of(traced, model)
        # As the model is now; and with `trainable` as it was, which is what
        # people change after `compile`.
        for scope in (
            contextlib.nullcontext(),
            trainable_flags.as_traced(model, fingerprint.written),
        ):
            with scope:
                if self._has_fingerprint(fingerprint, traced, iterator):
                    flags = trainable_flags.flags(model)
                    return self._trace_program(traced, iterator), flags
        self._seam.warn_once(_CHANGED)
        return None, trainable_flags.flags(model)

    def _has_fingerprint(
        self, fingerprint: ProgramFingerprint, traced, iterator
    ) -> bool:
        """Return whether a program that is traced now has this fingerprint."""
        model = self._model()
        try:
            with (
                self._seam.unobserved(),
                PythonState(model).repeat(),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                plain = _concrete_function(
                    self._make_program(), traced, iterator
                )
        except Exception:
            # A variable that is trainable now may be unknown to the optimizer:
            # `ValueError: Unknown variable`.
            return False
        return ProgramFingerprint.of(plain, model) == fingerprint

    def _trace_program(self, traced, iterator):
        program = self._make_program()
        _concrete_function(program, traced, iterator)
        return program

    def _is_of_keras(self) -> bool:
        """Return whether the model's own program can be made again; warn if
        not."""
        if self._can_be_made is None:
            self._can_be_made = is_of_keras(self._model(), self.model_program)
            if not self._can_be_made:
                self._seam.warn_once(
                    _NOT_OF_KERAS.format(own=self.model_program)
                )
        return self._can_be_made

    def _make_program(self):
        return _make_program(self._model())


def is_of_keras(model: Any, program: Callable) -> bool:
    """Return whether `train_function` is the model's own, not the user's."""
    # Each call of `make_train_function` makes another function, of the same
    # code.
    return _code_of(program) is _code_of(_make_program(model))


def is_traced(program: Callable) -> bool:
    """Return whether a `train_function` was traced before."""
    functions = _functions(program, None)
    return any(f.experimental_get_tracing_count() for f in functions)


def _make_program(model):
    """Make a new `train_function`; the model keeps its present one."""
    # A model of tf_keras has both attributes.
    names = ("train_function", "train_tf_function")
    before = {n: vars(model)[n] for n in names if n in vars(model)}
    model.make_train_function(force=True)
    program = model.train_function
    vars(model).update(before)
    return program


def _is_iterator(batches) -> bool:
    kinds = tf.data.Iterator, tf.distribute.DistributedIterator
    return isinstance(batches, kinds)


def _argument(batches):
    """The argument of the outermost function: the iterator, or the batch."""
    return batches if _is_iterator(batches) else batches[0]


def _functions(program, batches) -> list:
    """The `tf.function`s that a program calls, the outermost first; empty if
    unknown."""
    if hasattr(program, "get_concrete_function"):
        return [program]
    code = getattr(program, "__code__", None)
    if code is None:
        return []
    cells = zip(code.co_freevars, program.__closure__ or (), strict=True)
    by_name = {name: cell.cell_contents for name, cell in cells}
    batch = getattr(by_name.get(_OF_BATCH), "__wrapped__", None)
    outer = [by_name.get(_OF_ITERATOR)] if _is_iterator(batches) else []
    functions = [*outer, batch]
    if all(hasattr(f, "get_concrete_function") for f in functions):
        return functions
    return []


def _structured_outputs(function):
    """The outputs of the last trace of a `tf.function`, symbolic tensors of one
    step; None if unknown."""
    with contextlib.suppress(Exception):  # the method is private
        traced = function._list_all_concrete_functions()
        return traced[-1].graph.structured_outputs
    return None


def _concrete_function(program, traced, batches):
    """A program's concrete function for the signature of another."""
    signature, _ = traced.structured_input_signature
    return _functions(program, batches)[0].get_concrete_function(*signature)


def _code_of(program):
    """The code that is common to all functions of one definition."""
    function = getattr(program, "python_function", program)
    return getattr(function, "__code__", None)
