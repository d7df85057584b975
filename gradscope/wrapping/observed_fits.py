"""The fits that a callback observes, which may be inside of each other.

A user's callback may fit the same model or another one in the middle of a fit,
and a fit may be interrupted, of which Keras does not tell its callbacks.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

from gradscope import wrapping
from gradscope.errors import GradscopeWarning
from gradscope.wrapping.fit import fit_arguments
from gradscope.wrapping.observed_model import ObservedModel, Settings


@dataclasses.dataclass
class ObservedFit:
    """A fit, and what is observed in it.

    Attributes:
        observed: The observation of its model.
        arguments: The arguments of the fit, None if nobody asks for them.
    """

    observed: ObservedModel
    arguments: dict[str, Any] | None = None

    @property
    def model(self) -> Any:
        """The model that is trained.

        A callback's `model` is another one while that is evaluated in the
        middle of the fit.
        """
        return self.observed.model


class ObservedFits:
    """The present fit of a callback, or its last one, and those around it.

    Args:
        settings: The callback's settings.
        print_findings: Whether to print the findings at the end of a fit.
    """

    def __init__(self, settings: Settings, print_findings: bool) -> None:
        #: The fit that is running, or the last one.
        self.present: ObservedFit | None = None
        self._outer: list[ObservedFit] = []
        self._settings = settings
        self._print_findings = print_findings

    def begin(self, model: Any) -> ObservedFit:
        """Observe the `fit` of a model that begins.

        Raises:
            TypeError, ValueError, NotImplementedError: As `gradscope.wrap`.
            ImportError: As `ObservedModel`.
        """
        self._leave_last(model)
        last = None if self.present is None else self.present.observed
        self._end_observation_of(model)
        self.present = ObservedFit(self._observe(model, last))
        return self.present

    def end(self) -> None:
        """End the present fit; the fit around it goes on."""
        self._end_present()
        if self._outer:
            self.present = self._outer.pop()

    def return_from_interrupted(self) -> None:
        """Return to the outer fit if the inner one was interrupted."""
        while (
            self._outer
            and self.present is not None
            and not fit_arguments.is_running(self.present.model)
        ):
            self.end()

    def observe_next_step(self) -> ObservedModel | None:
        """Make sure that the next step is observed.

        In the middle of a fit, the user's own callbacks may call `fit`,
        `compile`, `make_train_function` and `gradscope.unwrap`.

        Returns:
            The observation of the model; None if it is not observed by this
            callback.
        """
        if self.present is None:
            return None
        observed = self.present.observed
        if observed.suspended:
            # A fit of the same model inside of this one is over.
            self._end_observation_of(observed.model)
            if observed.resume(observed.model):
                return observed
            observed.give_program_back()  # `unwrap` was called
            return None
        if observed.is_up_to_date() or self._observe_compiled():
            return self.present.observed
        return None

    def _leave_last(self, model: Any) -> None:
        """Put an outer fit aside, or end one that was interrupted."""
        present = self.present
        if present is None or present.observed.suspended:
            return
        if present.model is not model and fit_arguments.is_running(
            present.model
        ):
            self._outer.append(present)
            self.present = None
        else:
            self._end_present()

    def _end_observation_of(self, model: Any) -> None:
        """End the observation of a model by another fit.

        That fit was interrupted before `on_train_end`; or it is an outer one,
        and goes on after this one.
        """
        observed = ObservedModel.of_optimizer(model.optimizer)
        if observed is not None:
            observed.end()

    def _end_present(self) -> None:
        if self.present is not None:
            self.present.observed.end()

    def _observe(self, model: Any, last: ObservedModel | None) -> ObservedModel:
        """Begin or continue to observe a model.

        Args:
            model: The model that `fit` trains.
            last: What this callback observed before, or None.
        """
        other = ObservedModel.to_be_continued(model, self._settings)
        for observed in (last, other):
            if observed is not None and observed.resume(model):
                break
        else:
            observed = ObservedModel(model, self._settings, other or last)
        observed.prints_findings = self._print_findings
        return observed

    def _observe_compiled(self) -> bool:
        """Observe the optimizer of a `compile` in the middle of a fit.

        Returns:
            Whether it is observed by this callback.
        """
        assert self.present is not None
        observed = self.present.observed
        observed.end()
        if wrapping.seam_of(observed.model.optimizer) is not None:
            return False  # by the user's own `wrap`
        try:
            self.present.observed = self._observe(observed.model, observed)
        # Raised here, it would end the training.
        except (NotImplementedError, TypeError, ValueError) as error:
            warnings.warn(str(error), GradscopeWarning, stacklevel=4)
            return False
        return True
