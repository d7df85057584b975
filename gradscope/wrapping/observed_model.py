"""A model whose optimizers are observed while `fit` trains it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections import deque
from typing import Any

from gradscope import wrapping
from gradscope.errors import GradscopeWarning
from gradscope.format.epoch_logs import Log, numbers
from gradscope.mirroring import Mirrors
from gradscope.wrapping.end_report import EndReport
from gradscope.wrapping.fit import (
    fit_arguments,
    other_optimizers,
    other_steps,
)
from gradscope.wrapping.fit.programs import Programs, steps_per_execution
from gradscope.wrapping.optimizers.loss_scale import innermost
from gradscope.wrapping.optimizers.seam import Seam

#: Attribute of a `train_function`: the `ObservedModel` that ran it last.
_LAST = "_gradscope_observed_model"

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


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a callback records, and where.

    Attributes:
        logdir: As for `gradscope.wrap`.
        mirror: As for `gradscope.Callback`.
        options: The other arguments of `gradscope.wrap`, by name.
    """

    logdir: str | os.PathLike[str]
    mirror: Any
    options: dict[str, Any]


class ObservedModel:
    """The observation of all fits of a model with the same optimizers.

    It begins observed. `end` gives the optimizers their own methods back, and
    `resume` goes on in a later `fit`.

    Args:
        model: A compiled Keras model.
        settings: The callback's settings.
        last: What the same callback observed before, or None.

    Raises:
        TypeError, ValueError, NotImplementedError: As `gradscope.wrap`.
        ImportError: If the tool of `mirror` is not installed.
    """

    def __init__(
        self, model: Any, settings: Settings, last: ObservedModel | None = None
    ) -> None:
        self.model = model
        self.settings = settings
        logdir, trial = settings.logdir, fit_arguments.trial_name(model)
        if trial is not None:
            logdir = os.path.join(logdir, trial)
        # Before `wrap`: if a tool is not installed, nothing is observed.
        self._mirrors = Mirrors(settings.mirror)
        self._seams = [self._start(model.optimizer, logdir)]
        self.seam.watch(model)
        self._other_steps = other_steps.OtherSteps(model, self._record_all)
        self.seam.notice_other_steps(self._other_steps)
        if self._mirrors:
            self.seam.observers.writer.scalars = deque(maxlen=_MOST_MIRRORED)
        for name, other in wrapping.unobserved_optimizers(model).items():
            self._start_other(name, other, os.path.join(logdir, name))
        self._programs = Programs(model, self._seams)
        self._reports: dict[str, EndReport] = (
            {} if last is None else last._reports
        )
        #: The optimizer's step at the last probe that nobody asked for.
        self.probed_at: int = 0 if last is None else last.probed_at
        #: Whether `end` prints the findings of each run.
        self.prints_findings = True
        # Sizes of the record's files when the last `fit` ended.
        self._sizes: dict[str, int] = {}
        self.begin_fit()

    @property
    def seam(self) -> Seam:
        """The seam of `model.optimizer`."""
        return self._seams[0]

    @property
    def suspended(self) -> bool:
        """Whether the optimizers have their own methods for the present."""
        return self.seam.suspended

    def _start(self, optimizer: Any, logdir: str | os.PathLike[str]) -> Seam:
        wrapping.wrap(optimizer, logdir, **self.settings.options)
        seam = wrapping.seam_of(optimizer)
        assert seam is not None  # since `wrap` has raised no error
        seam.observed_model = self
        return seam

    def _start_other(self, name: str, optimizer: Any, logdir: str) -> None:
        """Observe an optimizer of the model besides `model.optimizer`."""
        try:
            seam = self._start(optimizer, logdir)
        except NotImplementedError as error:
            warnings.warn(str(error), GradscopeWarning, stacklevel=5)
            return
        seam.watch_loss(self.model, other_optimizers.loss_name(name))
        self._seams.append(seam)

    @staticmethod
    def of_optimizer(optimizer: Any) -> ObservedModel | None:
        """The observation that an optimizer belongs to; None without one."""
        seam = wrapping.seam_of(optimizer)
        return None if seam is None else seam.observed_model

    @staticmethod
    def to_be_continued(model: Any, settings: Settings) -> ObservedModel | None:
        """The last observation of a model, if its record can be continued.

        A loop that makes a callback for each `fit` traces each program once.
        """
        last = getattr(model.train_function, _LAST, None)
        if (
            isinstance(last, ObservedModel)
            and last.model is model
            and last.settings == settings
            and last._sizes
            and last._sizes == last._file_sizes()
        ):
            return last
        return None

    def resume(self, model: Any) -> bool:
        """Continue with the programs of the last `fit`, if the model still has
        them.

        A loop of many short fits traces each program once.

        Args:
            model: The model that `fit` trains now.

        Returns:
            Whether it is observed from now on.
        """
        if (
            model is not self.model
            or not self.suspended
            or not wrapping.is_open(self.seam)
            or self.seam.optimizer is not innermost(model.optimizer)
            or self._programs.plain is not model.train_function
        ):
            return False
        for seam in self._seams:
            seam.resume()
        self.begin_fit()
        return True

    def begin_fit(self) -> None:
        """Count steps from the optimizer's present one."""
        self._step = self._counted_from = self.step_count()
        self._is_first_batch = True
        self._two_programs = (
            steps_per_execution(self.model) == 1
            and not self.model.run_eagerly
            and len(self._seams) == 1  # steps of others are not counted here
            and not self._other_steps.were_missed
        )

    def choose_program(self) -> None:
        """Choose the program of the next step."""
        self._choose(self._two_programs and not self.seam.due(self._step))
        # Counted here: to read the optimizer's step from the device would wait
        # for the steps before it.
        self._step += 1

    def _choose(self, plain: bool) -> None:
        """Put the next step's program in its place."""
        self.seam.plain_in_traces = plain
        self._programs.choose(plain)

    def _record_all(self) -> None:
        """Use one program from now on, since other code makes steps, too."""
        # After an interrupted fit, `compile` may have taken the program away.
        if self._two_programs and self._programs.belong_to_model():
            self._two_programs = False
            self._choose(False)

    def is_up_to_date(self) -> bool:
        """Return whether the model has the program and the optimizer that are
        observed.

        In the middle of a fit, the user's own callbacks may call `compile` and
        `make_train_function`. A new program is observed as well.
        """
        if self._programs.belong_to_model():
            return True
        self._programs = Programs(self.model, self._seams)
        return innermost(self.model.optimizer) is self.seam.optimizer

    def give_program_back(self) -> None:
        """Give the model the program that it would have without gradscope."""
        self._programs.give_back()

    def count_step(self) -> None:
        """Count a step, so that the rings are drained before they overflow."""
        if not self.seam.plain_in_traces:
            steps = steps_per_execution(self.model)
            for seam in self._seams:
                seam.observers.count_steps(steps)
        self.seam.plain_in_traces = False
        # Only a step shows whether the host's count is right: an optimizer may
        # accumulate gradients over batches, and then counts fewer steps.
        if self._is_first_batch:
            self._is_first_batch = False
            self._check_count()

    def read_step(self) -> None:
        """Read the optimizer's step at the beginning of an epoch."""
        self._check_count()
        self._step = self._counted_from = self.step_count()

    def end_epoch(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Write all steps, and the epoch's losses and metrics."""
        for seam in self._seams:
            seam.drain()  # steps come before the epoch's log in the file
            _write_log(seam, epoch, logs)
        self._mirror_scalars()
        self._check_count()

    def step_count(self) -> int:
        """The optimizer's step."""
        return self.seam.step_count()

    def _check_count(self) -> None:
        """Use one program if the host cannot choose between two.

        It must be able to count the optimizer's steps by batches, and both
        programs must draw their random numbers from the same state. A warning
        names the steps that were missed.
        """
        if not self._two_programs or self.suspended:
            return
        last = self.step_count()
        self._two_programs = (
            last == self._step
            and not self.seam.has_program_state
            and self.seam.optimizer is self.model.optimizer
        )
        first, batches = self._counted_from, self._step - self._counted_from
        if last != self._step:
            missing = self.seam.missing_steps(first, last)
            if missing:
                self._other_steps.were_missed = True
                self.seam.warn_once(
                    other_steps.warning(missing, first, last, batches)
                )

    def end(self) -> None:
        """Restore the model's optimizers, and write the record."""
        if self.suspended:
            return
        self.seam.plain_in_traces = False
        is_trainable = bool(self.model.trainable_variables)
        name = type(self.seam.optimizer).__name__
        if self._step and all(seam.is_idle for seam in self._seams):
            message = (_IDLE if is_trainable else _FROZEN).format(name)
            warnings.warn(message, GradscopeWarning, stacklevel=3)
        # A later seam may have replaced a method that an earlier one replaced.
        for seam in reversed(self._seams):
            seam.suspend()
            seam.drain()
        if self._step and all(seam.has_no_record for seam in self._seams):
            self.seam.run_notes.record_no_step(name, not is_trainable)
        self._mirror_scalars()
        self.give_program_back()
        with contextlib.suppress(Exception):  # the user's own callable
            setattr(self.model.train_function, _LAST, self)
        if self.prints_findings:
            self._print_findings()
        self._sizes = self._file_sizes()

    def _file_sizes(self) -> dict[str, int]:
        observer = self.seam.observers.latest()
        if observer is None:
            return {}
        try:
            with os.scandir(observer.drain.file.directory) as entries:
                return {entry.name: entry.stat().st_size for entry in entries}
        # The directory is remote, or somebody removes a file just now. Without
        # sizes the record is not continued, and the training goes on.
        except OSError:
            return {}

    def _print_findings(self) -> None:
        """Print the findings of each run."""
        for seam in self._seams:
            observer = seam.observers.latest()
            if observer is None:
                continue
            directory = observer.drain.file.directory
            report = self._reports.setdefault(directory, EndReport())
            # Other optimizers have the same tags.
            mirrors = self._mirrors if seam is self.seam else None
            report.print_findings(observer.drain, seam.step_count(), mirrors)

    def _mirror_scalars(self) -> None:
        """Hand the scalars that were written to other tools."""
        scalars = self.seam.observers.writer.scalars
        if self._mirrors and scalars is not None:
            points = [scalars.popleft() for _ in range(len(scalars))]
            self._mirrors.log_scalars(points)


def _write_log(seam: Seam, epoch: int, logs: dict[str, Any] | None) -> None:
    """Record the losses and metrics of an epoch."""
    observer = seam.observers.latest()
    if observer is None:
        return
    try:
        log = Log(seam.step_count(), int(epoch), numbers(logs))
        observer.drain.write_epoch_log(log)
    except Exception as error:
        seam.fail(error)
