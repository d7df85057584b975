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
    "sums_in_order": "gradscope.runtime.rewritten_sums",
    "unwrap": "gradscope.wrapping",
    "wrap": "gradscope.wrapping",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name == "__version__":
        from importlib.metadata import version

        return version("gradscope")
    if name not in _HOMES:
        raise AttributeError(f"module 'gradscope' has no attribute {name!r}")
    try:
        module = importlib.import_module(_HOMES[name])
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "keras"):
            raise
        raise ModuleNotFoundError(
            f"gradscope.{name} needs {error.name}, which is not installed: "
            "pip install 'gradscope[tensorflow]'. Reading runs does without.",
            name=error.name,
        ) from error
    value = module if name == "schedule" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
