"""`Callback`: observes `fit`, with a second program for the recorded steps.

Measuring inside of a `tf.cond` would cost something in every step. Since `fit`
returns to the host before each batch, the host can choose the program: a step
that is not due runs the same program as without gradscope.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import deque
from typing import Any

import keras

from gradscope import wrapping
from gradscope.errors import GradscopeWarning
from gradscope.evaluating import probe
from gradscope.format.epoch_logs import Log, numbers
from gradscope.mirroring import Mirrors
from gradscope.runtime import versions
from gradscope.schedule import EVERY, HISTOGRAMS, Schedule
from gradscope.wrapping.end_report import EndReport
from gradscope.wrapping.fit import fit_arguments, other_optimizers
from gradscope.wrapping.fit.other_optimizers import SeamGroup
from gradscope.wrapping.fit.recording_program import RecordingProgram
from gradscope.wrapping.fit.step_trial import StepTrial
from gradscope.wrapping.optimizers.loss_scale import innermost

PLAIN = True

#: Attribute of a `train_function`: the callback that observed it last.
_LAST = "_gradscope_callback"

#: Steps after which a batch is probed without a request. The next probe comes
#: when the run is twice as long, so that a loop of short fits stays fast.
_PROBED_AFTER = 100

#: Steps whose scalars wait for the end of an epoch to be mirrored.
_MOST_MIRRORED = 10_000

_IDLE = (
    "gradscope.Callback observed no step: in this `fit`, neither "
    "`model.optimizer` ({}) nor any other optimizer that is an attribute of "
    "the model made a step. If other optimizers train the model, pass each of "
    "them to `gradscope.wrap`, with its own directory."
)
_FROZEN = (
    "gradscope.Callback observed no step: in this `fit`, `model.optimizer` "
    "({}) trained nothing, because the model has no weights or `trainable` is "
    "False for all of them. Set `trainable` to True and call `model.compile` "
    "again. (A model that is part of another one, such as a GAN's "
    "discriminator, is frozen in its own training, too, if `trainable` is set "
    "to False before that training has begun.)"
)


class Callback(keras.callbacks.Callback):
    """Observes a `fit`: `model.fit(x, y, callbacks=[Callback("logs/run")])`.

    The callback wraps the optimizer of the compiled model when training starts,
    and restores it when training ends. Steps that are not recorded cost
    nothing. Other optimizers that are attributes of the model, as of a GAN, are
    wrapped as well; each is a run of its own, as in `"logs/run/d_optimizer"`.
    (Keras does not tell callbacks of a `KeyboardInterrupt`: after one, the
    optimizer stays observed until the next `fit` or `gradscope.unwrap`.) A
    copied or pickled callback is a new one with the same arguments.

    Args:
        logdir: As for `gradscope.wrap`.
        every, histograms, include, exclude, activations, window: As for
            `gradscope.wrap`.
        findings: Whether to print faults of the run at the end of training, as
            `gradscope diagnose` does; a healthy run prints nothing.
        probe: A batch `(x, y)` or `(x, y, sample_weight)`. After each epoch,
            its losses in training and in inference mode are recorded, see
            `gradscope.probe`. By default, a batch of the arrays passed to `fit`
            is probed once, when training ends after 100 steps or more of a
            model with batch norm, dropout or custom layers that take `training`
            (not with `run_eagerly=True`); False turns that off.
        mirror: `"wandb"`, `"mlflow"`, `"clearml"`, `"trackio"`, `"swanlab"`, or
            a list of these: logs the scalars of `gradscope/` to the tool's
            active run, too, after each epoch, and at the end the findings and
            the page as `report.html`. Or an object with methods `log_scalars`
            and `log_findings`, see `gradscope.mirroring.Mirror`.

    Raises:
        TypeError, ValueError: As `gradscope.wrap`, when training starts.
        NotImplementedError: If Keras is too old; or as `gradscope.wrap`, when
            training starts.

    Examples:
        The model is `w · x` with w = 1, and the batch is x = 2 with the target
        0: the loss is (2w)² = 4, its gradient 8w = 8, and a step of rate 1/8
        makes the weight 0.

        >>> import numpy as np
        >>> import gradscope
        >>> options = {"kernel_initializer": "ones", "use_bias": False}
        >>> dense = keras.layers.Dense(1, **options)
        >>> model = keras.Sequential([keras.Input((1,)), dense])
        >>> model.compile(keras.optimizers.SGD(0.125), "mse")
        >>> x, y = np.array([[2.0]]), np.array([[0.0]])
        >>> callback = gradscope.Callback("logs/run")
        >>> _ = model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
        >>> record = gradscope.read("logs/run")
        >>> record["loss"].tolist(), record["gradient_norm"].ravel().tolist()
        ([4.0, 0.0], [8.0, 0.0])
        >>> [log.values["loss"] for log in record.logs]
        [4.0, 0.0]
    """

    def __init__(
        self,
        logdir: str | os.PathLike[str],
        *,
        every: int | Schedule = EVERY,
        histograms: int | Schedule | None = HISTOGRAMS,
        include: str | list[str] | None = None,
        exclude: str | list[str] | None = None,
        activations: bool = True,
        window: int = 1000,
        findings: bool = True,
        probe: tuple[Any, ...] | bool | None = None,
        mirror: Any = None,
    ):
        if (reason := versions.too_old("keras")) is not None:
            raise NotImplementedError(
                f"gradscope cannot observe a `fit`: {reason}."
            )
        super().__init__()
        self._logdir = logdir
        self._batch = None if probe is False else _batch(probe)
        self._probes_unasked = probe is None
        self._findings = findings
        self._mirror = mirror
        self._arguments = {
            "every": every,
            "histograms": histograms,
            "include": include,
            "exclude": exclude,
            "activations": activations,
            "window": window,
        }
        vars(self).update(self._untrained())

    def _untrained(self) -> dict:
        """The attributes of a callback before its first training."""
        return vars(keras.callbacks.Callback()) | _state() | {"_outer_fits": []}

    def __getstate__(self):
        # A copy starts untrained: the record belongs to this optimizer in this
        # process.
        return vars(self) | self._untrained()

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Wrap the model's optimizers, or resume their last `fit`."""
        # Not in `set_model`, which `evaluate` and `predict` call, too. `fit`
        # has made its function by now, but has not traced it, or has traced it
        # before: then it is the plain program.
        self._leave_last_fit()
        # Not `self.model` below: `evaluate` and `predict` of another model, in
        # the middle of a `fit`, set it as well.
        self._trained_model = self.model
        self._end_interrupted()
        self._begin()
        if self._probes_unasked:
            self._fit_arguments = fit_arguments.arguments(self._trained_model)
        with contextlib.suppress(Exception):  # a user's callback may be odd
            self._seam.run_notes.record_wiring(
                fit_arguments.odd_choices(self._trained_model)
            )

    def on_train_batch_begin(
        self, batch: int, logs: dict | None = None
    ) -> None:
        """Choose the program of the next step."""
        self._return_from_interrupted()
        if not self._observes_now():
            return
        self._seam.plain = self._two_programs and not self._seam.due(self._step)
        if self._programs[PLAIN] is not None:
            self._trained_model.train_function = self._program(self._seam.plain)
        # Counted here: to read the optimizer's step from the device would wait
        # for the steps before it.
        self._step += 1

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Count the step, so that the ring is drained before it overflows."""
        if self._seam is None:
            return
        if not self._seam.plain:
            for seam in self._all_seams():
                seam.observers.count_steps(self._steps_per_execution())
        self._seam.plain = False
        # Only a step shows whether the host's count is right: an optimizer may
        # accumulate gradients over batches, and then counts fewer steps.
        if self._is_first_batch:
            self._is_first_batch = False
            self._two_programs = self._two_programs and self._host_can_count()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Read the optimizer's step."""
        self._return_from_interrupted()
        if self._seam is not None:
            self._step = self._iterations()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write all steps, the probe and the epoch's losses and metrics."""
        self._return_from_interrupted()
        if self._seam is not None:
            self._probe(self._batch)
            for seam in self._all_seams():
                seam.drain()  # steps come before the epoch's log in the file
                _log(seam, epoch, logs)
            self._mirror_scalars()
            self._two_programs = self._two_programs and self._host_can_count()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Restore the model's optimizers, and print the findings."""
        self._return_from_interrupted()
        if self._seam is not None and self._fit_arguments is not None:
            self._probe_unasked()
        self._end()
        self._return_to_outer_fit()

    # The CallbackList of tf_keras requires these of a callback.

    _supports_tf_logs = True

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False

    def _probe_unasked(self):
        """Record the losses of a batch of `fit`'s arrays.

        The user has not asked for this probe, so a failure stays silent.
        """
        arguments, self._fit_arguments = self._fit_arguments, None
        steps = self._iterations()
        if steps < max(_PROBED_AFTER, 2 * self._probed_at):
            return
        # `probe` cannot restore all states of an eager program.
        if self._trained_model.run_eagerly:
            return
        with (
            contextlib.suppress(Exception),
            fit_arguments.without_side_effects(),
        ):
            batch = fit_arguments.batch(arguments)
            if batch is not None and fit_arguments.depends_on_mode(
                self._trained_model
            ):
                self._probe(batch)
                self._probed_at = steps

    def _probe(self, batch):
        """Record the losses of a batch."""
        observer = self._seam.observers.latest()
        if batch is None or observer is None:
            return
        losses = probe.probe(self._trained_model, *batch)
        self._seam.drain()  # steps come before the probe in the file
        observer.drain.write_probe(
            self._iterations(), (losses.training_loss, losses.inference_loss)
        )

    def _end_interrupted(self):
        """End the observation of this model by another fit.

        That fit was interrupted before `on_train_end`; or it is an outer one,
        and goes on after this one.
        """
        seam = wrapping.seam_of(self._trained_model.optimizer)
        callback = getattr(seam, "callback", None)
        if isinstance(callback, Callback):
            if callback._seam is seam:
                callback._end()
            else:  # that callback observes an inner fit at present
                seam.suspend()
                seam.drain()

    def _leave_last_fit(self) -> None:
        """Put an outer fit aside, or end one that was interrupted."""
        if self._seam is None or self._seam.suspended:
            return
        model = self._trained_model
        if model is not self.model and fit_arguments.is_running(model):
            state = {name: vars(self)[name] for name in _state()}
            self._outer_fits.append(state)
            vars(self).update(_state())
        else:
            self._end()

    def _return_to_outer_fit(self) -> None:
        """Go on with the fit of another model in which this one was called."""
        if self._outer_fits:
            vars(self).update(self._outer_fits.pop())

    def _return_from_interrupted(self) -> None:
        """Return to the outer fit if the inner one was interrupted."""
        while self._outer_fits and not fit_arguments.is_running(
            self._trained_model
        ):
            self._end()
            self._return_to_outer_fit()

    def _observes_now(self) -> bool:
        """Return whether the next step is observed by this callback.

        In the middle of a fit, the user's own callbacks may call `fit`,
        `compile`, `make_train_function` and `gradscope.unwrap`.
        """
        if self._seam is None:
            return False
        if self._seam.suspended:
            return self._go_on_after_inner_fit()
        model = self._trained_model
        if self._is_ours(model.train_function):
            return True
        self._programs = {PLAIN: model.train_function}
        is_same = innermost(model.optimizer) is self._seam.optimizer
        return is_same or self._observe_compiled()

    def _go_on_after_inner_fit(self) -> bool:
        """Resume after a fit of the same model inside of this one.

        Returns:
            Whether this fit is observed: not after `gradscope.unwrap`.
        """
        self._end_interrupted()
        if not self._resume():
            self._give_program_back()
            return False
        self._step = self._iterations()
        return True

    def _observe_compiled(self) -> bool:
        """Observe the optimizer of a `compile` in the middle of a fit.

        Returns:
            Whether it is observed by this callback.
        """
        self._end()
        if wrapping.seam_of(self._trained_model.optimizer) is not None:
            return False  # by the user's own `wrap`
        try:
            self._begin()
        # Raised here, it would end the training.
        except (NotImplementedError, TypeError, ValueError) as error:
            warnings.warn(str(error), GradscopeWarning, stacklevel=3)
            return False
        return True

    def _begin(self) -> None:
        """Wrap the model's optimizers, or resume their last `fit`."""
        if not self._resume():
            self._adopt()
            if not self._resume():
                self._start()
        self._step = self._iterations()
        self._is_first_batch = True
        self._two_programs = (
            self._steps_per_execution() == 1
            and not self._trained_model.run_eagerly
            and not self._other_seams  # whose steps the host does not count
        )

    def _start(self):
        model = self._trained_model
        logdir, trial = self._logdir, fit_arguments.trial_name(model)
        if trial is not None:
            logdir = os.path.join(logdir, trial)
        # Before `wrap`: if a tool is not installed, nothing is observed.
        mirrors = Mirrors(self._mirror)
        wrapping.wrap(model.optimizer, logdir, **self._arguments)
        self._seam = wrapping.seam_of(model.optimizer)
        self._mirrors = mirrors
        if mirrors:
            self._seam.observers.writer.scalars = deque(maxlen=_MOST_MIRRORED)
        self._seam.callback = self
        self._seam.watch(model)
        self._other_seams = {}
        for name, other in wrapping.unobserved_optimizers(model).items():
            self._start_other(name, other, os.path.join(logdir, name))
        self._programs = {PLAIN: model.train_function}

    def _start_other(self, name: str, other, logdir: str):
        """Observe an optimizer of the model besides `model.optimizer`."""
        try:
            wrapping.wrap(other, logdir, **self._arguments)
        except NotImplementedError as error:
            warnings.warn(str(error), GradscopeWarning, stacklevel=4)
            return
        seam = wrapping.seam_of(other)
        seam.watch_loss(self._trained_model, other_optimizers.loss_name(name))
        self._other_seams[name] = seam

    def _all_seams(self) -> list:
        return [self._seam, *self._other_seams.values()]

    def _adopt(self) -> None:
        """Take over from the last callback with the same arguments.

        A loop that makes a callback for each `fit` traces each program once.
        """
        last = getattr(self._trained_model.train_function, _LAST, None)
        if (
            last is not None
            and last._trained_model is self._trained_model
            and last._settings() == self._settings()
            and last._has_record()
        ):
            vars(self).update({name: vars(last)[name] for name in _state()})

    def _has_record(self) -> bool:
        """Return whether the record is as it was left, to be continued."""
        return bool(self._sizes) and self._sizes == self._file_sizes()

    def _file_sizes(self) -> dict[str, int]:
        observer = self._seam.observers.latest()
        if observer is None:
            return {}
        try:
            with os.scandir(observer.drain.file.directory) as entries:
                return {entry.name: entry.stat().st_size for entry in entries}
        # The directory is remote, or somebody removes a file just now. Without
        # sizes the record is not continued, and the training goes on.
        except OSError:
            return {}

    def _settings(self) -> tuple:
        return self._logdir, self._mirror, *self._arguments.values()

    def _resume(self) -> bool:
        """Continue with the programs of the last `fit`, if the model still has
        them.

        A loop of many short fits traces each program once.
        """
        if (
            self._seam is None
            or not self._seam.suspended
            or not wrapping.is_open(self._seam)
            or self._seam.optimizer
            is not innermost(self._trained_model.optimizer)
            or self._programs.get(PLAIN)
            is not self._trained_model.train_function
        ):
            return False
        for seam in self._all_seams():
            seam.resume()
        self._seam.callback = self
        return True

    def _steps_per_execution(self) -> int:
        # A number in Keras 3; in tf_keras a variable, which Keras may tune
        # during a fit.
        steps = self._trained_model.steps_per_execution
        if getattr(self._trained_model, "autotune_steps_per_execution", False):
            return max(2, int(steps.numpy()))
        return int(steps.numpy() if hasattr(steps, "numpy") else steps)

    def _iterations(self) -> int:
        return self._seam.step_count()

    def _host_can_count(self) -> bool:
        """Return whether the host can choose between two programs.

        It must be able to count the optimizer's steps by batches, and both
        programs must draw their random numbers from the same state.
        """
        return (
            self._iterations() == self._step
            and not self._seam.has_program_state
            and self._seam.optimizer is self._trained_model.optimizer
        )

    def _program(self, plain: bool):
        """The model's own `train_function`, or the one that records."""
        if self._programs.get(plain) is None:
            group = SeamGroup(self._all_seams())
            recording = RecordingProgram(
                self._trained_model, self._programs[PLAIN], group
            )
            can_repeat = self._steps_per_execution() == 1 and (
                not self._trained_model.run_eagerly
            )
            trial = StepTrial(recording, group, self._fall_back, can_repeat)
            self._programs[plain] = trial
        return self._programs[plain]

    def _fall_back(self, error: Exception) -> None:
        """Stop recording activations; if they were not recorded, stop
        recording."""
        # The next recorded step traces it anew, with less to measure.
        self._programs.pop(not PLAIN)
        self._trained_model.train_function = self._programs[PLAIN]
        group = SeamGroup(self._all_seams())
        if group.observes_forward:
            group.stop_observing_forward(error)
        else:
            group.fail(error)

    def _is_ours(self, program) -> bool:
        return any(program is ours for ours in self._programs.values())

    def _give_program_back(self) -> None:
        """Give the model the program that it would have without gradscope."""
        if self._is_ours(self._trained_model.train_function):
            self._trained_model.train_function = self._programs[PLAIN]

    def _end(self):
        if self._seam is None or self._seam.suspended:
            return
        self._seam.plain = False
        if self._step and all(seam.is_idle for seam in self._all_seams()):
            message = (
                _IDLE if self._trained_model.trainable_variables else _FROZEN
            )
            name = type(self._seam.optimizer).__name__
            warnings.warn(message.format(name), GradscopeWarning, stacklevel=2)
        # A later seam may have replaced a method that an earlier one replaced.
        for seam in reversed(self._all_seams()):
            seam.suspend()
            seam.drain()
        if self._step and all(seam.has_no_record for seam in self._all_seams()):
            self._seam.run_notes.record_no_step(
                type(self._seam.optimizer).__name__,
                not self._trained_model.trainable_variables,
            )
        self._mirror_scalars()
        self._give_program_back()
        with contextlib.suppress(Exception):  # the user's own callable
            setattr(self._trained_model.train_function, _LAST, self)
        if self._findings:
            self._print_findings()
        self._sizes = self._file_sizes()

    def _print_findings(self):
        """Print the findings of each run."""
        for seam in self._all_seams():
            observer = seam.observers.latest()
            if observer is not None:
                directory = observer.drain.file.directory
                report = self._end_reports.setdefault(directory, EndReport())
                report.print_findings(
                    observer.drain, seam.step_count(), self._mirrors_of(seam)
                )

    def _mirrors_of(self, seam) -> Mirrors | None:
        # Other optimizers have the same tags.
        return self._mirrors if seam is self._seam else None

    def _mirror_scalars(self):
        """Hand the scalars that were written to other tools."""
        scalars = self._seam.observers.writer.scalars
        if self._mirrors and scalars is not None:
            points = [scalars.popleft() for _ in range(len(scalars))]
            self._mirrors.log_scalars(points)


def _state() -> dict:
    """What a callback knows of its trainings, before the first of them."""
    return {
        "_trained_model": None,
        "_seam": None,
        "_other_seams": {},
        "_programs": {},
        "_fit_arguments": None,
        "_probed_at": 0,
        "_step": 0,
        "_is_first_batch": True,
        "_two_programs": False,
        "_end_reports": {},
        "_mirrors": None,
        "_sizes": {},
    }


def _log(seam, epoch, logs):
    """Record the losses and metrics of an epoch."""
    observer = seam.observers.latest()
    if observer is None:
        return
    try:
        log = Log(seam.step_count(), int(epoch), numbers(logs))
        observer.drain.write_epoch_log(log)
    except Exception as error:
        seam.fail(error)


def _batch(probe) -> tuple | None:
    """Check the argument `probe`."""
    if probe is None:
        return None
    if not isinstance(probe, tuple | list) or not 2 <= len(probe) <= 3:
        raise ValueError(
            "`probe` must be a batch (x, y) or (x, y, sample_weight), got "
            f"{type(probe).__name__}. Pass a few hundred examples, as in "
            "probe=(x[:256], y[:256])."
        )
    return tuple(probe)
