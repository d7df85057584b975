"""`fit` with two programs: the user's own, and one that also looks.

A conditional around the measurement costs something in every step. `fit`
comes back to the host before each batch, so there the host can choose: a step
that is not due runs the very program that it would run without gradscope.
"""

from __future__ import annotations

import contextlib
import os
import warnings

import keras

from gradscope import wrapping
from gradscope.errors import GradscopeWarning
from gradscope.evaluating import probe
from gradscope.format.epoch_logs import Log, numbers
from gradscope.schedule import Schedule
from gradscope.wrapping.end_report import Teller
from gradscope.wrapping.fit import other_optimizers, running_fit
from gradscope.wrapping.fit.other_optimizers import Several
from gradscope.wrapping.fit.recording_program import Twin
from gradscope.wrapping.fit.step_trial import Trial
from gradscope.wrapping.optimizers.loss_scale import innermost

PLAIN = True

#: Steps that a run must have for a batch of it to be probed unasked; and again
#: when it is twice as long, so that a loop of many short fits is not slowed.
_PROBED_AFTER = 100

_IDLE = (
    "gradscope.Callback saw no step: this `fit` made none with "
    "`model.optimizer`, a {}, nor with another one that is an attribute of the "
    "model. Where others train it, pass each of them to gradscope.wrap, with a "
    "directory of its own."
)
_FROZEN = (
    "gradscope.Callback saw no step: this `fit` trained nothing with "
    "`model.optimizer`, a {}, since `trainable` is False for all weights that "
    "the model has, if any. Set it to True, and call `model.compile` again. (A "
    "part of another model, as a GAN's discriminator, is frozen in its own "
    "training, too, if `trainable` is set to False before that has begun.)"
)


class Callback(keras.callbacks.Callback):
    """Observes a `fit`: `model.fit(x, y, callbacks=[Callback("logs/run")])`.

    It wraps the optimizer of the compiled model when training starts, and
    restores it when training ends. Steps that are not recorded cost nothing.
    Other optimizers that are attributes of the model, as of a GAN, are wrapped
    as well; each is a run of its own, as in `"logs/run/d_optimizer"`.
    (Keras does not tell callbacks of a `KeyboardInterrupt`: after one, the
    optimizer stays observed until the next `fit` or `gradscope.unwrap`.)
    Copied or pickled, it is a new one with the same arguments.

    Args:
        logdir: As for `gradscope.wrap`.
        every, histograms, include, exclude, activations, window: As for
            `gradscope.wrap`.
        findings: Whether to print at the end of training what is wrong, as
            `gradscope diagnose` does; a healthy run prints nothing.
        probe: A batch `(x, y)` or `(x, y, sample_weight)`: after each epoch its
            loss in training and in inference mode is recorded, see
            `gradscope.probe`. Without one, a batch of the arrays that `fit`
            was given is probed once, when training ends after 100 steps or
            more of a model with batch norm, dropout or layers of its own that
            take `training` (not with `run_eagerly=True`); False leaves that
            out.

    Raises:
        TypeError, ValueError: As `gradscope.wrap`, when training starts.
    """

    def __init__(
        self,
        logdir: str | os.PathLike,
        *,
        every: int | Schedule = 10,
        histograms: int | Schedule | None = 100,
        include: str | list[str] | None = None,
        exclude: str | list[str] | None = None,
        activations: bool = True,
        window: int = 1000,
        findings: bool = True,
        probe: tuple | bool | None = None,
    ):
        super().__init__()
        self._logdir = logdir
        self._batch = None if probe is False else _batch(probe)
        self._probes_unasked = probe is None
        self._findings = findings
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
        """Returns the attributes of a callback that has seen no training."""
        return vars(keras.callbacks.Callback()) | {
            "_seam": None,
            "_others": {},
            "_programs": {},
            "_given": None,
            "_probed_at": 0,
            "_step": 0,
            "_unsure": True,
            "_two_programs": False,
            "_tellers": {},
        }

    def __getstate__(self):
        # Copied or pickled, it is what it was before its first training: that
        # one's record is of this optimizer in this process.
        return vars(self) | self._untrained()

    def on_train_begin(self, logs=None):
        # Not in `set_model`, which `evaluate` and `predict` call too. That
        # `fit` has made its function by now is no harm: none is traced yet,
        # or it was traced before and is the plain program.
        self._end_interrupted()
        if not self._resume():
            self._start()
        self._step = self._iterations()
        self._unsure = True
        if self._probes_unasked:
            self._given = running_fit.arguments(self.model)
        self._two_programs = (
            self._steps_per_execution() == 1
            and not self.model.run_eagerly
            and not self._others  # whose steps the host does not count
        )

    def on_train_batch_begin(self, batch, logs=None):
        if self._seam is None:
            return
        self._seam.plain = self._two_programs and not self._seam.due(self._step)
        if not self._holds(self.model.train_function):
            # Somebody made it anew: `make_train_function(force=True)`.
            self._programs = {PLAIN: self.model.train_function}
        if self._programs[PLAIN] is not None:
            self.model.train_function = self._program(self._seam.plain)
        self._step += 1

    def on_train_batch_end(self, batch, logs=None):
        if self._seam is None:
            return
        if not self._seam.plain:
            for seam in self._seams():
                seam.stepped(self._steps_per_execution())
        self._seam.plain = False
        if self._unsure:
            self._unsure = False
            self._two_programs = self._two_programs and self._host_knows()

    def on_epoch_begin(self, epoch, logs=None):
        if self._seam is not None:
            self._step = self._iterations()

    def on_epoch_end(self, epoch, logs=None):
        if self._seam is not None:
            self._probe(self._batch)
            for seam in self._seams():
                seam.drain()  # a step is written before what came after it
                _log(seam, epoch, logs)
            self._two_programs = self._two_programs and self._host_knows()

    def on_train_end(self, logs=None):
        if self._seam is not None and self._given is not None:
            self._probe_unasked()
        self._end()

    # What the CallbackList of tf_keras asks for in a callback.

    _supports_tf_logs = True

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False

    def _probe_unasked(self):
        """Records the losses of a batch of what `fit` was given. Nobody has
        asked for it, and so nobody is told where it cannot be done."""
        given, self._given = self._given, None
        steps = self._iterations()
        if steps < max(_PROBED_AFTER, 2 * self._probed_at):
            return
        if self.model.run_eagerly:  # there not all can be put back, see `probe`
            return
        with contextlib.suppress(Exception), running_fit.nothing_moved():
            batch = running_fit.batch(given)
            if batch is not None and running_fit.differs(self.model):
                self._probe(batch)
                self._probed_at = steps

    def _probe(self, batch):
        """Records the losses of a batch."""
        observer = self._seam.latest()
        if batch is None or observer is None:
            return
        losses = probe.probe(self.model, *batch)
        self._seam.drain()  # a step is written before what came after it
        observer.drain.probed(
            self._iterations(), (losses.training_loss, losses.inference_loss)
        )

    def _end_interrupted(self):
        """Ends what a training that was interrupted left without an end."""
        present = wrapping.seam_of(self.model.optimizer)
        if isinstance(getattr(present, "callback", None), Callback):
            present.callback._end()

    def _start(self):
        logdir, trial = self._logdir, running_fit.trial(self.model)
        if trial is not None:
            logdir = os.path.join(logdir, trial)
        wrapping.wrap(self.model.optimizer, logdir, **self._arguments)
        self._seam = wrapping.seam_of(self.model.optimizer)
        self._seam.callback = self
        self._seam.watch(self.model)
        self._others = {}
        for name, other in wrapping.others_of(self.model).items():
            self._start_other(name, other, os.path.join(logdir, name))
        self._programs = {PLAIN: self.model.train_function}

    def _start_other(self, name: str, other, logdir: str):
        """Observes an optimizer of the model that is not `model.optimizer`."""
        try:
            wrapping.wrap(other, logdir, **self._arguments)
        except NotImplementedError as error:
            warnings.warn(str(error), GradscopeWarning, stacklevel=4)
            return
        seam = wrapping.seam_of(other)
        seam.watch_loss(self.model, other_optimizers.loss_of(name))
        self._others[name] = seam

    def _seams(self) -> list:
        return [self._seam, *self._others.values()]

    def _resume(self) -> bool:
        """Goes on with the programs of the last `fit`, if they still are the
        model's: a loop of many short ones traces each of them once."""
        if (
            self._seam is None
            or not self._seam.suspended
            or self._seam.plain
            or self._seam.optimizer is not innermost(self.model.optimizer)
            or self._programs.get(PLAIN) is not self.model.train_function
        ):
            return False
        for seam in self._seams():
            seam.resume()
        return True

    def _steps_per_execution(self) -> int:
        # A number in Keras 3. In tf_keras a variable, which may be tuned in
        # the course of a fit.
        steps = self.model.steps_per_execution
        if getattr(self.model, "autotune_steps_per_execution", False):
            return max(2, int(steps.numpy()))
        return int(steps.numpy() if hasattr(steps, "numpy") else steps)

    def _iterations(self) -> int:
        return self._seam.steps_made()

    def _host_knows(self) -> bool:
        """Returns whether counting batches gives the optimizer's step, and
        whether random numbers allow for two programs."""
        return (
            self._iterations() == self._step
            and not self._seam.has_program_state
            and self._seam.optimizer is self.model.optimizer
        )

    def _program(self, plain: bool):
        """Returns the model's `train_function`, of its own or observed."""
        if self._programs.get(plain) is None:
            together = Several(self._seams())
            twin = Twin(self.model, self._programs[PLAIN], together)
            can = self._steps_per_execution() == 1 and (
                not self.model.run_eagerly
            )
            trial = Trial(twin, together, self._fall_back, can)
            self._programs[plain] = trial
        return self._programs[plain]

    def _fall_back(self, error: Exception) -> None:
        """Records less: no activations, and nothing if it was that already."""
        self._programs.pop(not PLAIN)
        self.model.train_function = self._programs[PLAIN]
        together = Several(self._seams())
        if together.sees_forward:
            together.stop_seeing(error)
        else:
            together.fail(error)

    def _holds(self, program) -> bool:
        return any(program is own for own in self._programs.values())

    def _end(self):
        if self._seam is None or self._seam.suspended:
            return
        self._seam.plain = False
        if self._step and all(seam.is_idle for seam in self._seams()):
            message = _IDLE if self.model.trainable_variables else _FROZEN
            name = type(self._seam.optimizer).__name__
            warnings.warn(message.format(name), GradscopeWarning, stacklevel=2)
        for seam in reversed(self._seams()):  # they stand in for one another
            seam.suspend()
            seam.drain()
        if self._holds(self.model.train_function):
            self.model.train_function = self._programs[PLAIN]
        if self._findings:
            self._tell()

    def _tell(self):
        """Prints the findings of each run."""
        for seam in self._seams():
            observer = seam.latest()
            if observer is not None:
                directory = observer.drain.file.directory
                teller = self._tellers.setdefault(directory, Teller())
                teller.tell(observer.drain)


def _log(seam, epoch, logs):
    """Records what an epoch's losses and metrics were."""
    observer = seam.latest()
    if observer is None:
        return
    try:
        log = Log(seam.steps_made(), int(epoch), numbers(logs))
        observer.drain.logged(log)
    except Exception as error:
        seam.fail(error)


def _batch(probe) -> tuple | None:
    """Returns the checked argument `probe`."""
    if probe is None:
        return None
    if not isinstance(probe, tuple | list) or not 2 <= len(probe) <= 3:
        raise ValueError(
            "`probe` must be a batch (x, y) or (x, y, sample_weight), got "
            f"{type(probe).__name__}. Pass a few hundred examples, as in "
            "probe=(x[:256], y[:256])."
        )
    return tuple(probe)
