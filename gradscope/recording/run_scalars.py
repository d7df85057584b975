"""Plain scalars that every dashboard can show, under the prefix `gradscope`.

They say in a few charts whether a training is well, also in tools that have no
plugin. A number that is undefined in a step has no scalar there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from gradscope.format.schema import (
    ACTIVATION_COLUMNS,
    PLUGIN_NAME,
    RUN_COLUMNS,
    Schema,
)
from gradscope.recording import tensorboard_tabs
from gradscope.schedule import Thinning

#: Of the recorded steps, those with scalars: TensorBoard keeps a thousand.
SCHEDULE = Thinning(1, first=100)

#: Scalars by their columns of the family `run`.
_OF_RUN = {
    "gradient_norm": "global_gradient_norm",
    "learning_rate": "learning_rate",
    "loss_scale": "loss_scale",
    "skipped": "skipped",
}


def of_step(
    schema: Schema, tables: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Compute the scalars of a step, by tag.

    Args:
        schema: The schema of the record.
        tables: The tables of the step, `[rows, columns]` by family.
    """
    (run,) = tables["run"]
    numbers = {
        name: float(run[RUN_COLUMNS.index(column)])
        for name, column in _OF_RUN.items()
    }
    ratios = tensorboard_tabs.layer_ratios(
        schema.variables, tables["variables"], "update_norm"
    )
    numbers["update_to_weight"] = _reduce(np.median, list(ratios.values()))
    activations = tables.get("activations", np.zeros([0, 1]))
    dead = activations[:, ACTIVATION_COLUMNS.index("dead_fraction")]
    numbers["dead_fraction"] = _reduce(np.max, dead)
    return {_tag(name): number for name, number in numbers.items()}


def of_findings(severities: Iterable[str]) -> dict[str, float]:
    """Count findings by their severity, by tag.

    Args:
        severities: The severity of each finding.
    """
    counts = Counter(severities)
    return {
        _tag(f"{severity}s"): float(counts[severity])
        for severity in ("error", "warning", "note")
    }


def _tag(name: str) -> str:
    return f"{PLUGIN_NAME}/{name}"


def _reduce(function, numbers) -> float:
    """Reduce the finite ones of some numbers; NaN without any."""
    finite = np.asarray(numbers, np.float64)
    finite = finite[np.isfinite(finite)]
    return float(function(finite)) if finite.size else float("nan")
