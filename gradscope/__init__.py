"""See every layer's gradients, weights and updates while a model trains.

    import gradscope

    optimizer = gradscope.wrap(keras.optimizers.Adam(), "logs/run")
    model.compile(optimizer, loss)
    model.fit(x, y)                       # then: tensorboard --logdir logs

    record = gradscope.read("logs/run")   # the same numbers in numpy
    record["gradient_norm"]               # [steps, variables]

Importing gradscope does not import TensorFlow; wrapping an optimizer does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # as in _HOMES, for editors and type checkers
    from gradscope import schedule as schedule
    from gradscope.comparing.comparison import Comparison as Comparison
    from gradscope.comparing.comparison import compare as compare
    from gradscope.diagnosis import diagnose as diagnose
    from gradscope.diagnosis.finding import Finding as Finding
    from gradscope.errors import GradscopeWarning as GradscopeWarning
    from gradscope.evaluating.check import check as check
    from gradscope.evaluating.check_result import Check as Check
    from gradscope.evaluating.probe import probe as probe
    from gradscope.evaluating.same import same as same
    from gradscope.evaluating.same_result import Sameness as Sameness
    from gradscope.notebook import show as show
    from gradscope.reading.read import read as read
    from gradscope.reading.record import Record as Record
    from gradscope.runtime.rewritten_sums import sums_in_order as sums_in_order
    from gradscope.wrapping import flush as flush
    from gradscope.wrapping import unwrap as unwrap
    from gradscope.wrapping import wrap as wrap
    from gradscope.wrapping.callback import Callback as Callback

    __version__: str

_HOMES = {
    "Callback": "gradscope.wrapping.callback",
    "Check": "gradscope.evaluating.check_result",
    "Comparison": "gradscope.comparing.comparison",
    "Finding": "gradscope.diagnosis.finding",
    "GradscopeWarning": "gradscope.errors",
    "Record": "gradscope.reading.record",
    "Sameness": "gradscope.evaluating.same_result",
    "check": "gradscope.evaluating.check",
    "compare": "gradscope.comparing.comparison",
    "diagnose": "gradscope.diagnosis",
    "flush": "gradscope.wrapping",
    "probe": "gradscope.evaluating.probe",
    "read": "gradscope.reading.read",
    "same": "gradscope.evaluating.same",
    "schedule": "gradscope.schedule",
    "show": "gradscope.notebook",
    "sums_in_order": "gradscope.runtime.rewritten_sums",
    "unwrap": "gradscope.wrapping",
    "wrap": "gradscope.wrapping",
}

_TRAINING = set(
    "Callback check flush probe same sums_in_order unwrap wrap".split()
)

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("gradscope")
    if name not in _HOMES:
        raise AttributeError(f"module 'gradscope' has no attribute {name!r}")
    try:
        if name in _TRAINING:  # an old TensorFlow is an error at once
            importlib.import_module("gradscope.runtime")
        module = importlib.import_module(_HOMES[name])
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "keras"):
            raise
        raise ModuleNotFoundError(
            f"gradscope.{name} needs {error.name}, which is not installed. "
            "Run: pip install 'gradscope[tensorflow]'. Runs can be read "
            "without it.",
            name=error.name,
        ) from error
    value = module if name == "schedule" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
