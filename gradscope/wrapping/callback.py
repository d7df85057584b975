"""`Callback`: observes `fit`."""

from __future__ import annotations

import os
from typing import Any

import keras

from gradscope.runtime import versions
from gradscope.schedule import EVERY, HISTOGRAMS, Schedule
from gradscope.wrapping.fit import fit_arguments
from gradscope.wrapping.fit_probe import FitProbe
from gradscope.wrapping.observed_fits import ObservedFits
from gradscope.wrapping.observed_model import Settings


# Keras has no types.
class Callback(keras.callbacks.Callback):  # type: ignore[misc]
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
        options = {
            "every": every,
            "histograms": histograms,
            "include": include,
            "exclude": exclude,
            "activations": activations,
            "window": window,
        }
        self._settings = Settings(logdir, mirror, options)
        self._print_findings = findings
        self._fit_probe = FitProbe(probe)
        self._fits = self._no_fits()

    def _no_fits(self) -> ObservedFits:
        return ObservedFits(self._settings, self._print_findings)

    def __getstate__(self) -> dict[str, Any]:
        # A copy starts untrained: the record belongs to this optimizer in this
        # process.
        untrained: dict[str, Any] = vars(keras.callbacks.Callback())
        return vars(self) | untrained | {"_fits": self._no_fits()}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Wrap the model's optimizers, or resume their last `fit`."""
        # Not in `set_model`, which `evaluate` and `predict` call, too. `fit`
        # has made its function by now, but has not traced it, or has traced it
        # before: then it is the plain program.
        fit = self._fits.begin(self.model)
        fit.arguments = self._fit_probe.arguments_of_fit(fit.model)
        choices = fit_arguments.odd_choices(fit.model)
        fit.observed.seam.run_notes.record_wiring(choices)

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Choose the program of the next step."""
        self._fits.return_from_interrupted()
        observed = self._fits.observe_next_step()
        if observed is not None:
            observed.choose_program()

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Count the step, so that the ring is drained before it overflows."""
        if self._fits.present is not None:
            self._fits.present.observed.count_step()

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Read the optimizer's step."""
        self._fits.return_from_interrupted()
        if self._fits.present is not None:
            self._fits.present.observed.read_step()

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Write all steps, the probe and the epoch's losses and metrics."""
        self._fits.return_from_interrupted()
        if self._fits.present is not None:
            observed = self._fits.present.observed
            self._fit_probe.after_epoch(observed)
            observed.end_epoch(epoch, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the model's optimizers, and print the findings."""
        self._fits.return_from_interrupted()
        if self._fits.present is not None:
            self._fit_probe.at_end(self._fits.present)
        self._fits.end()

    # The CallbackList of tf_keras requires these of a callback.

    _supports_tf_logs = True

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False
