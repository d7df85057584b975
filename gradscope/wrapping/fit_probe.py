"""Probes of a callback: of the user's batch, or of the arrays of `fit`."""

from __future__ import annotations

import contextlib
from typing import Any

from gradscope.evaluating import probe
from gradscope.wrapping.fit import fit_arguments
from gradscope.wrapping.observed_fits import ObservedFit
from gradscope.wrapping.observed_model import ObservedModel

#: Steps after which a batch is probed without a request. The next probe comes
#: when the run is twice as long, so that a loop of short fits stays fast.
_PROBED_AFTER = 100


class FitProbe:
    """Records the losses of a batch in training and in inference mode.

    Args:
        batch: The argument `probe` of `gradscope.Callback`.

    Raises:
        ValueError: If it is no batch.
    """

    def __init__(self, batch: Any) -> None:
        self._batch = None if batch is False else _check(batch)
        self._is_asked_for = batch is not None

    def arguments_of_fit(self, model: Any) -> dict[str, Any] | None:
        """The arguments of the `fit` that is running, if it is probed."""
        return None if self._is_asked_for else fit_arguments.arguments(model)

    def after_epoch(self, observed: ObservedModel) -> None:
        """Probe the user's batch."""
        if self._batch is not None:
            _probe(observed, self._batch)

    def at_end(self, fit: ObservedFit) -> None:
        """Probe a batch of `fit`'s arrays.

        The user has not asked for this probe, so a failure stays silent.
        """
        arguments, fit.arguments = fit.arguments, None
        observed = fit.observed
        # `probe` cannot restore all states of an eager program.
        if arguments is None or observed.model.run_eagerly:
            return
        steps = observed.step_count()
        if steps < max(_PROBED_AFTER, 2 * observed.probed_at):
            return
        with (
            contextlib.suppress(Exception),
            fit_arguments.without_side_effects(),
        ):
            batch = fit_arguments.batch(arguments)
            if batch is not None and fit_arguments.depends_on_mode(
                observed.model
            ):
                _probe(observed, batch)
                observed.probed_at = steps


def _probe(observed: ObservedModel, batch: tuple[Any, ...]) -> None:
    """Record the losses of a batch."""
    observer = observed.seam.observers.latest()
    if observer is None:
        return
    losses = probe.probe(observed.model, *batch)
    observed.seam.drain()  # steps come before the probe in the file
    observer.drain.write_probe(
        observed.step_count(), (losses.training_loss, losses.inference_loss)
    )


def _check(batch: Any) -> tuple[Any, ...] | None:
    """Check the argument `probe`."""
    if batch is None:
        return None
    if not isinstance(batch, tuple | list) or not 2 <= len(batch) <= 3:
        raise ValueError(
            "`probe` must be a batch (x, y) or (x, y, sample_weight), got "
            f"{type(batch).__name__}. Pass a few hundred examples, as in "
            "probe=(x[:256], y[:256])."
        )
    return tuple(batch)
