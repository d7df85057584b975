"""Where to look: optimizers are wrapped here, whatever their kind."""

from __future__ import annotations

import atexit
import os
import sys
import weakref

import tensorflow as tf

from gradscope.format.schema import DIRECTORY
from gradscope.recording import background, tensorboard_tabs
from gradscope.recording.drain import warn_once
from gradscope.runtime import replicas, tf_variables
from gradscope.schedule import NEVER, Schedule, schedule_of
from gradscope.wrapping.fit import other_optimizers, recording_program
from gradscope.wrapping.optimizers import (
    compat_v1,
    keras,
    tf_keras,
    tf_keras_legacy,
)
from gradscope.wrapping.optimizers.seam import Seam
from gradscope.wrapping.steps.observer import Options

#: One module for each kind of optimizer.
_KINDS = (keras, tf_keras, tf_keras_legacy, compat_v1)

#: Every seam whose optimizer is alive and wrapped.
_seams: weakref.WeakSet = weakref.WeakSet()


def wrap(
    optimizer,
    logdir: str | os.PathLike,
    *,
    model=None,
    every: int | Schedule = 10,
    histograms: int | Schedule | None = 100,
    include: str | list[str] | None = None,
    exclude: str | list[str] | None = None,
    activations: bool = True,
    window: int = 1000,
):
    """Observes an optimizer: its steps are recorded from now on.

    The optimizer is returned as the very object that was passed in, and
    trains exactly as before. What is measured is written every two seconds,
    on `flush`, on `unwrap`, when the optimizer is deleted, and at exit. A copy
    of the optimizer is not observed, nor what is built from its configuration.

    Args:
        optimizer: An optimizer of Keras 3, tf_keras or tf.compat.v1.train.
        logdir: Directory of this run, as in `"logs/run"`. The event file goes
            into its sub-directory `gradscope`.
        model: The Keras model that it trains. It tells of its inputs, outputs,
            targets and loss, and of eager steps. If its `train_function` was
            traced before, there will be a second one that records, and
            trains what the first one trains.
        every: Steps to record: every so many, after each of the first 50; or
            a `gradscope.schedule.Schedule`.
        histograms: Of the recorded steps, those that also get histograms and
            ratios in TensorBoard's own tabs: a number (and step 0) or a
            schedule; None for none.
        include: Patterns of layer or variable names as in `"dense_*"` that
            get histograms and ratios; None for all.
        exclude: Patterns of those that do not, even if included.
        activations: Whether activations, dropout, batch norm, inputs and
            outputs are recorded, too.
        window: Number of examples for which a unit must be zero to be called
            dead, counted over the recorded steps.

    Returns:
        `optimizer`.

    Raises:
        TypeError: If it is not an optimizer that can be observed, or if a
            pattern is not a string.
        ValueError: If it is observed already, or an argument has no meaning.
        NotImplementedError: If its kind is known, but not how it is used: a
            strategy like `TPUStrategy`, accumulation on several replicas.
    """
    _check(optimizer)
    options = Options(
        directory=_event_directory(logdir),
        schedule=schedule_of(every, "every"),
        histograms=(
            NEVER
            if histograms is None
            else schedule_of(histograms, "histograms", dense=1)
        ),
        include=tensorboard_tabs.patterns(include, "include"),
        exclude=tensorboard_tabs.patterns(exclude, "exclude"),
        activations=_flag(activations, "activations"),
        window=_window(window),
    )
    kind = _kind(optimizer)
    if replicas.writes(kind.strategy(optimizer)):
        _create(options.directory)
    seam = kind.SEAM(optimizer, options)
    _seams.add(seam)
    if model is not None:
        seam.watch(model)
        _observe(model, seam)
    return optimizer


def unwrap(optimizer, *, model=None):
    """Restores an optimizer, and writes and closes its record.

    A `tf.function` that was traced meanwhile records no more, but keeps its
    few ops; `model` gets its own `train_function` back, or one that is traced
    anew, unless that would train other variables.

    Args:
        optimizer: An observed optimizer.
        model: The model that it trains.

    Returns:
        `optimizer`.

    Raises:
        ValueError: If it is not observed.
    """
    seam = seam_of(optimizer)
    if seam is None:
        raise ValueError(
            f"`optimizer` is not observed, got {optimizer!r}. Only what was "
            "passed to gradscope.wrap can be unwrapped, and only once; a copy "
            "of it is another one."
        )
    _seams.discard(seam)
    seam.remove()
    if model is not None:
        _restore(model, seam)
    return optimizer


def flush(optimizer=None) -> None:
    """Writes what was measured so far, for TensorBoard and `read` to see.

    Args:
        optimizer: An observed optimizer, None for all that there are.

    Raises:
        ValueError: If it is not observed.
    """
    if optimizer is None:
        for seam in list(_seams):
            seam.drain()
        background.close_retired()
        return
    seam = seam_of(optimizer)
    if seam is None:
        raise ValueError(
            f"`optimizer` is not observed, got {optimizer!r}. Pass one that "
            "was wrapped, which a copy of it was not, or None for all."
        )
    seam.drain()


@atexit.register
def _tell_at_exit() -> None:
    """Says of what a training went past, unless it ended with an error."""
    if getattr(sys, "last_type", None) is not None:
        return
    for seam in list(_seams):
        if not seam.suspended:
            background.run_guarded(seam.tell_if_unseen)


def seam_of(optimizer) -> Seam | None:
    """Returns the seam of an optimizer, None if it is not observed."""
    kind = _kind(optimizer)
    return kind.SEAM.of(kind.innermost(optimizer)) if kind else None


def others_of(model) -> dict:
    """Returns the optimizers that a model holds besides `model.optimizer` and
    that nobody observes, by the names of its attributes."""
    found = other_optimizers.held(model, lambda value: _kind(value) is not None)
    return {n: one for n, one in found.items() if seam_of(one) is None}


def _kind(optimizer):
    """Returns the module that knows this kind of optimizer, or None."""
    return next((k for k in _KINDS if k.is_supported(optimizer)), None)


def _check(optimizer) -> None:
    """Raises what `wrap` promises for an optimizer that it cannot observe."""
    kind = _kind(optimizer)
    if kind is None:
        raise TypeError(
            "`optimizer` must be an instance of a Keras 3 optimizer with the "
            "TensorFlow backend, of one of tf_keras (current or legacy) or of "
            f"tf.compat.v1.train, got {optimizer!r}. Wrap the optimizer before "
            "it is passed to `compile`: "
            "gradscope.wrap(keras.optimizers.Adam(), 'logs/run')."
        )
    reason = replicas.unsupported(kind.strategy(optimizer)) or kind.unsupported(
        optimizer
    )
    if reason is not None:
        raise NotImplementedError(
            f"gradscope cannot observe this optimizer: {reason}."
        )
    present = seam_of(optimizer)
    if present is not None:
        raise ValueError(
            "`optimizer` is observed already and writes to "
            f"{present.options.directory}. Call gradscope.unwrap(optimizer) "
            "first."
        )


def _flag(value, name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False, got {value!r}.")
    return value


def _window(window) -> int:
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise ValueError(
            "`window` must be a whole number of examples of at least 1, got "
            f"{window!r}. Below some 1000, units that are merely rare pass "
            "for dead ones."
        )
    return window


def _event_directory(logdir) -> str:
    if not isinstance(logdir, str | os.PathLike):
        raise TypeError(
            f"`logdir` must be a path like 'logs/run', got {logdir!r}."
        )
    logdir = os.fspath(logdir)
    if tf.io.gfile.exists(logdir) and not tf.io.gfile.isdir(logdir):
        raise ValueError(
            f"`logdir` must be a directory, {logdir!r} is a file. Give a "
            "directory that exists or can be created."
        )
    return os.path.join(logdir, DIRECTORY)


def _create(directory: str) -> None:
    try:
        tf.io.gfile.makedirs(directory)
    except tf.errors.OpError as error:
        warn_once(directory, error)


def _observe(model, seam) -> None:
    """Has the model's program be traced with what looks at it. One that was
    traced before goes on training what it trains."""
    program = model.train_function
    if program is not None and recording_program.is_traced(program):
        model.train_function = recording_program.RecordingProgram(
            model, program, seam
        )


def _restore(model, seam) -> None:
    """Gives a model a program that nothing looks at."""
    program = model.train_function
    if isinstance(program, recording_program.RecordingProgram):
        model.train_function = program.own
    elif program is not None and not _goes_on(model, program, seam):
        model.train_function = None


def _goes_on(model, program, seam) -> bool:
    """Returns whether a program that was traced while it was observed has to
    stay: another would train other variables, or is not to be had."""
    now = {tf_variables.tf_variable(v).ref() for v in model.trainable_variables}
    return seam.traced != {frozenset(now)} or not recording_program.is_of_keras(
        model, program
    )
