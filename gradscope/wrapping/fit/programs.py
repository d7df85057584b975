"""The two programs of a model that `fit` trains: its own, and the one that
records.

Measuring inside of a `tf.cond` would cost something in every step. Since `fit`
returns to the host before each batch, the host can choose the program: a step
that is not due runs the same program as without gradscope.
"""

from __future__ import annotations

from typing import Any

from gradscope.wrapping.fit.other_optimizers import SeamGroup
from gradscope.wrapping.fit.recording_program import RecordingProgram
from gradscope.wrapping.fit.step_trial import StepTrial
from gradscope.wrapping.optimizers.seam import Seam


class Programs:
    """The programs of a model's steps.

    Args:
        model: A Keras model; its `train_function` is the plain program, None
            before `fit` has made one.
        seams: The seams of the model's optimizers, that of `model.optimizer`
            first.
    """

    def __init__(self, model: Any, seams: list[Seam]) -> None:
        #: The model's own program.
        self.plain = model.train_function
        self._model = model
        self._seams = SeamGroup(seams)
        self._recording: StepTrial | None = None

    def choose(self, plain: bool) -> None:
        """Make one of them the model's `train_function`.

        Args:
            plain: Whether the next step is not recorded.
        """
        if self.plain is not None:
            program = self.plain if plain else self._recording_program()
            self._model.train_function = program

    def belong_to_model(self) -> bool:
        """Return whether the model runs one of them.

        It runs another one after `compile` or `make_train_function`.
        """
        program = self._model.train_function
        if program is self.plain:
            return True
        return self._recording is not None and program is self._recording

    def give_back(self) -> None:
        """Give the model the program that it would have without gradscope."""
        if self.belong_to_model():
            self._model.train_function = self.plain

    def _recording_program(self) -> StepTrial:
        if self._recording is None:
            recording = RecordingProgram(self._model, self.plain, self._seams)
            can_repeat = steps_per_execution(self._model) == 1 and (
                not self._model.run_eagerly
            )
            self._recording = StepTrial(
                recording, self._seams, self._fall_back, can_repeat
            )
        return self._recording

    def _fall_back(self, error: Exception) -> None:
        """Stop recording activations; if they were not recorded, stop
        recording."""
        # The next recorded step traces it anew, with less to measure.
        self._recording = None
        self._model.train_function = self.plain
        if self._seams.observes_forward:
            self._seams.stop_observing_forward(error)
        else:
            self._seams.fail(error)


def steps_per_execution(model: Any) -> int:
    """The number of steps that one call of the model's program makes."""
    # A number in Keras 3; in tf_keras a variable, which Keras may tune during a
    # fit.
    steps = model.steps_per_execution
    if getattr(model, "autotune_steps_per_execution", False):
        return max(2, int(steps.numpy()))
    return int(steps.numpy() if hasattr(steps, "numpy") else steps)
