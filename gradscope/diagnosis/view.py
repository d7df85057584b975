"""View of a run for the rules: its rows, and how its loss and metrics went."""

from __future__ import annotations

import functools

import numpy as np

from gradscope.diagnosis.guessing_loss import guessing_loss
from gradscope.diagnosis.run_rows import RunRows
from gradscope.diagnosis.spells import median


class View(RunRows):
    """A record, and quantities that several rules derive from it.

    Arguments and attributes are those of `RunRows`.
    """

    @functools.cached_property
    def loss(self) -> np.ndarray:
        """Loss in training mode, [T]; NaN where it was not recorded."""
        return self.get("loss").astype(float)

    @functools.cached_property
    def first_loss(self) -> float:
        """Median loss of the first tenth of the records, three to ten of them.

        Where the loss explodes at once, this is the loss of the first step, or
        that of guessing, if that is larger.
        """
        typical = float(median(self.loss[: max(3, min(10, self.count // 10))]))
        first = float(self.loss[0])
        if 0 < first < typical / 10:
            return first
        return min(typical, max(self.uniform_loss, first))

    @property
    def uniform_loss(self) -> float:
        """Cross-entropy of equal probabilities: ln C for C classes (CS231n).

        Infinite where the loss is no cross-entropy or is not known.
        """
        outputs = self.data_rows("output")
        if "crossentropy" not in self.loss_name or len(outputs) != 1:
            return np.inf
        shape = self.schema.data[outputs[0]].shape
        # A single output decides between two classes.
        return float(np.log(max(2, shape[-1] if shape else 2)))

    @functools.cached_property
    def last_loss(self) -> float:
        """Median loss of the last tenth of the records, at least five."""
        return float(median(self.loss[self.end.slice]))

    @property
    def loss_fall(self) -> float:
        """Fall of the loss as a share of the first loss; NaN if not known.

        A loss that ends no better than guessing has not fallen.
        """
        if not np.isfinite(self.first_loss):
            return np.nan
        # A first loss of zero has no share.
        size = max(abs(self.first_loss), 1e-12)
        fall = (self.first_loss - self.last_loss) / size
        is_guessing = self.last_loss > 0.95 * self.uniform_loss
        return min(fall, 0.0) if is_guessing else fall

    @property
    def went_well(self) -> bool:
        """Whether the training ended with hardly an error in training mode.

        That is an accuracy of 0.95 or, where none was logged, a twentieth of
        the first loss that is also clearly below the loss of guessing.
        """
        if self.accuracy is not None:
            return bool(self.accuracy[-1] >= 0.95)
        guess = guessing_loss(self)
        is_guessing = guess > 0 and self.last_loss > 0.5 * guess
        return bool(self.loss_fall > 0.95 and not is_guessing)

    @functools.cached_property
    def logs(self) -> dict[str, np.ndarray]:
        """Logs of `fit` by name: an array [epochs] for each."""
        logs = getattr(self.record, "logs", ())
        names = dict.fromkeys(n for log in logs for n in log.values)
        return {
            name: np.array([log.values.get(name, np.nan) for log in logs])
            for name in names
        }

    @property
    def accuracy(self) -> np.ndarray | None:
        """Training accuracy of each epoch, [epochs]; None if not logged."""
        return self._logged("acc", validation=False)

    @property
    def validation_accuracy(self) -> np.ndarray | None:
        """Validation accuracy of each epoch, [epochs]; None if not logged."""
        return self._logged("acc", validation=True)

    def _logged(self, word: str, *, validation: bool) -> np.ndarray | None:
        for name, values in self.logs.items():
            if name.startswith("val_") == validation and word in name:
                return values
        return None

    @property
    def loss_name(self) -> str:
        """Name of the compiled loss, as in `"sparsecategoricalcrossentropy"`.

        It is in lower case without underscores, and empty if not known.
        """
        loss = self.model.get("loss")
        name = loss.get("class", "") if isinstance(loss, dict) else ""
        return str(name).lower().replace("_", "")

    @property
    def is_regression(self) -> bool:
        """Whether the loss measures the size of an error, as `mse` does.

        Such an error can always get ten times smaller. A cross-entropy of .01
        is as good as zero.
        """
        name = self.loss_name
        return "error" in name or "huber" in name or "cosh" in name

    @property
    def loss_takes_logits(self) -> bool:
        """Whether the loss takes logits, and computes probabilities itself."""
        loss = self.model.get("loss")
        config = loss.get("config") if isinstance(loss, dict) else None
        return bool((config or {}).get("from_logits", False))
