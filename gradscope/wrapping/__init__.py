"""`wrap`, `unwrap` and `flush`: begin and end to observe an optimizer."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import Any

import tensorflow as tf

from gradscope.format.schema import DIRECTORY
from gradscope.reading import storage
from gradscope.recording import background, tensorboard_tabs
from gradscope.recording.drain import warn_once
from gradscope.runtime import replicas, tf_variables
from gradscope.schedule import EVERY, HISTOGRAMS, NEVER, Schedule, schedule_of
from gradscope.wrapping import optimizer_per_step
from gradscope.wrapping.fit import other_optimizers, recording_program
from gradscope.wrapping.optimizers import kinds
from gradscope.wrapping.optimizers.kind import OptimizerKind
from gradscope.wrapping.optimizers.seam import Seam
from gradscope.wrapping.steps.observer import Options

#: The seams of all wrapped optimizers that are alive.
#: Not held, since an optimizer that its user drops writes its record then.
_seams: weakref.WeakSet[Seam] = weakref.WeakSet()


def wrap(
    optimizer: Any,
    logdir: str | os.PathLike[str],
    *,
    model: Any = None,
    every: int | Schedule = EVERY,
    histograms: int | Schedule | None = HISTOGRAMS,
    include: str | list[str] | None = None,
    exclude: str | list[str] | None = None,
    activations: bool = True,
    window: int = 1000,
) -> Any:
    """Observe an optimizer, and record its steps from now on.

    The same object is returned, and it trains exactly as before. Recorded steps
    are written every two seconds, on `flush`, on `unwrap`, when the optimizer
    is deleted, and at exit. A copy of the optimizer is not observed, nor is an
    optimizer that is built from its configuration.

    Args:
        optimizer: An optimizer of Keras 3, tf_keras or tf.compat.v1.train.
        logdir: Directory of this run, as in `"logs/run"` or
            `"s3://bucket/logs/run"`. The event file goes into its sub-directory
            `gradscope`.
        model: The Keras model that the optimizer trains. With it, the inputs,
            outputs, targets and loss are recorded, and also the forward passes
            of eager steps. If the model's `train_function` was traced before,
            gradscope adds a second one that records and trains the same.
        every: Steps to record: every `every`-th step, after each of the first
            50; or a `gradscope.schedule.Schedule`.
        histograms: Recorded steps that also get histograms and ratios in
            TensorBoard's own tabs: every `histograms`-th step and step 0, or a
            schedule; None for no histograms. By default every 100th step, and
            fewer as a run grows: some 200 in all.
        include: Patterns of layer or variable names, as in `"dense_*"`, that
            get histograms and ratios, also of their updates: `"*"` for all. By
            default all get those of their gradients and weights.
        exclude: Patterns of names that get none, even if included.
        activations: Whether to record activations, dropout, batch norm, inputs
            and outputs, too.
        window: Number of examples for which a unit must be zero to be called
            dead, counted over the recorded steps.

    Returns:
        `optimizer`.

    Raises:
        TypeError: If the optimizer is of no supported kind, or if a pattern is
            not a string.
        ValueError: If the optimizer is observed already, or an argument is out
            of its range.
        NotImplementedError: If the optimizer is used in a way that is not
            supported, as under a `TPUStrategy`, or accumulating gradients on
            several replicas; or if Keras is too old.

    Examples:
        >>> import keras
        >>> import gradscope
        >>> optimizer = gradscope.wrap(keras.optimizers.SGD(0.5), "logs/run")
        >>> weight = keras.Variable([3.0, 4.0], name="weight")
        >>> optimizer.apply([tf.constant([0.0, 2.0])], [weight])
        >>> record = gradscope.read("logs/run")
        >>> record["weight_norm"].tolist()  # the root of 3² + 4²
        [[5.0]]
        >>> record["update_norm"].tolist()  # 0.5 · 2
        [[1.0]]
        >>> round(float(record["update_to_weight_ratio"][0, 0]), 4)
        0.2
    """
    kind = _observable_kind(optimizer)
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
    # Of several workers only the chief writes, and needs the directory.
    if replicas.is_writer(kind.strategy(optimizer)):
        _create(options.directory)
    inner = kind.innermost(optimizer)
    outer = None if inner is optimizer else optimizer
    seam = kind.SEAM(inner, options, outer)
    # Not by the seam's `__init__`, at whose end a subclass is not complete.
    seam.resume()
    optimizer_per_step.stop_if_repeated(seam, options.directory)
    _seams.add(seam)
    if model is not None:
        seam.watch(model)
        _observe(model, seam)
    return optimizer


def unwrap(optimizer: Any, *, model: Any = None) -> Any:
    """Restore an optimizer; write and close its record.

    A `tf.function` that was traced meanwhile records no more, but keeps a few
    additional ops. `model` gets its own `train_function` back, or is traced
    again, unless that would train other variables.

    Args:
        optimizer: An observed optimizer.
        model: The model that the optimizer trains.

    Returns:
        `optimizer`.

    Raises:
        ValueError: If the optimizer is not observed.

    Examples:
        >>> import keras
        >>> import gradscope
        >>> optimizer = keras.optimizers.SGD()
        >>> gradscope.wrap(optimizer, "logs/run") is optimizer
        True
        >>> gradscope.unwrap(optimizer) is optimizer
        True
        >>> gradscope.unwrap(optimizer)
        Traceback (most recent call last):
        ValueError: `optimizer` is not observed, ...
    """
    seam = seam_of(optimizer)
    if seam is None:
        raise ValueError(
            f"`optimizer` is not observed, got {optimizer!r}. Pass the object "
            "that was passed to `gradscope.wrap`, not a copy of it; it can be "
            "unwrapped only once."
        )
    _seams.discard(seam)
    seam.record_frozen_model()
    seam.remove()
    if model is not None:
        _restore(model, seam)
    return optimizer


def flush(optimizer: Any = None) -> None:
    """Write all steps recorded so far, so that TensorBoard and `read` see them.

    Args:
        optimizer: An observed optimizer; None for all observed optimizers.

    Raises:
        ValueError: If the optimizer is not observed.

    Examples:
        >>> import keras
        >>> import gradscope
        >>> optimizer = gradscope.wrap(keras.optimizers.SGD(), "logs/run")
        >>> gradscope.flush(optimizer)
    """
    if optimizer is None:
        for seam in list(_seams):
            seam.drain()
            seam.record_frozen_model()
        background.close_retired()
        return
    observed = seam_of(optimizer)
    if observed is None:
        raise ValueError(
            f"`optimizer` is not observed, got {optimizer!r}. Pass the object "
            "that was passed to `gradscope.wrap`, not a copy of it, or None to "
            "flush all optimizers."
        )
    observed.drain()
    observed.record_frozen_model()


@atexit.register
def _warn_at_exit() -> None:
    """Warn of trainings that bypassed their optimizer, unless an error ended
    the program."""
    # Python's interpreter sets it where an error ends a program.
    if getattr(sys, "last_type", None) is not None:
        return
    for seam in list(_seams):
        if not seam.suspended:
            background.run_guarded(seam.warn_if_bypassed)
            background.run_guarded(seam.record_frozen_model)


def seam_of(optimizer: Any) -> Seam | None:
    """The seam of an optimizer; None if the optimizer is not observed."""
    kind = kinds.kind_of(optimizer)
    return kind.SEAM.of(kind.innermost(optimizer)) if kind else None


def is_open(seam: Seam) -> bool:
    """Return whether nobody has called `unwrap` for a seam's optimizer."""
    return seam in _seams


def unobserved_optimizers(model: Any) -> dict[str, Any]:
    """Find the optimizers of a model that nobody observes.

    Args:
        model: A Keras model; `model.optimizer` is left out.

    Returns:
        The optimizers by the names of the model's attributes.
    """
    optimizers = other_optimizers.held_optimizers(
        model, lambda value: kinds.kind_of(value) is not None
    )
    return {
        n: optimizer
        for n, optimizer in optimizers.items()
        if seam_of(optimizer) is None
    }


def _observable_kind(optimizer: Any) -> OptimizerKind:
    """The kind of an optimizer that can be observed; see `wrap` for the
    errors."""
    kind = kinds.kind_of(optimizer)
    if kind is None:
        raise TypeError(
            f"`optimizer` must be an optimizer of {kinds.names()}, got "
            f"{optimizer!r}. Wrap the optimizer before you pass it to "
            "`compile`: gradscope.wrap(keras.optimizers.Adam(), 'logs/run')."
        )
    reason = replicas.unsupported(kind.strategy(optimizer)) or kind.unsupported(
        optimizer
    )
    if reason is not None:
        raise NotImplementedError(
            f"gradscope cannot observe this optimizer: {reason}."
        )
    seam = seam_of(optimizer)
    if seam is not None:
        raise ValueError(
            "`optimizer` is already observed and writes to "
            f"{seam.options.directory}. Call `gradscope.unwrap(optimizer)` "
            "first."
        )
    return kind


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False, got {value!r}.")
    return value


def _window(window: object) -> int:
    # Python counts True as the number 1.
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise ValueError(
            "`window` must be a whole number of examples of at least 1, got "
            f"{window!r}. With fewer than about 1000 examples, a healthy unit "
            "that seldom fires is mistaken for a dead one."
        )
    return window


def _event_directory(logdir: object) -> str:
    if not isinstance(logdir, str | os.PathLike):
        raise TypeError(
            f"`logdir` must be a path like 'logs/run', got {logdir!r}."
        )
    logdir = os.fspath(logdir)
    if storage.is_file(logdir):
        raise ValueError(
            f"`logdir` must be a directory, but {logdir!r} is a file. Give a "
            "directory that exists or can be created."
        )
    return os.path.join(logdir, DIRECTORY)


def _create(directory: str) -> None:
    if storage.is_remote(directory):
        return  # remote storage has no empty directories
    try:
        tf.io.gfile.makedirs(directory)
    except tf.errors.OpError as error:
        # A directory that cannot be made does not keep a model from training.
        warn_once(directory, error)


def _observe(model: Any, seam: Seam) -> None:
    """Make a model's program one that records.

    A program that was traced before keeps training the same variables; another
    program that records is put beside it.
    """
    program = model.train_function
    if program is not None and recording_program.is_traced(program):
        recording = recording_program.RecordingProgram(model, program, seam)
        model.train_function = recording


def _restore(model: Any, seam: Seam) -> None:
    """Give a model a program that does not record."""
    program = model.train_function
    if isinstance(program, recording_program.RecordingProgram):
        model.train_function = program.model_program
    elif program is not None and not _goes_on(model, program, seam):
        # `fit` makes and traces another one where there is none.
        model.train_function = None


def _goes_on(model: Any, program: Any, seam: Seam) -> bool:
    """Return whether a program that was traced while it recorded must stay.

    A new trace would train other variables, or cannot be made.
    """
    now = {tf_variables.tf_variable(v).ref() for v in model.trainable_variables}
    return seam.traced != {frozenset(now)} or not recording_program.is_of_keras(
        model, program
    )
