"""One program, run in one way: see `benchmarks.programs`."""

from __future__ import annotations

import functools
import inspect
import json
import os
import random
import sys
import types
import warnings

import numpy as np
import tensorflow as tf

import gradscope
from gradscope.reading import read
from gradscope.schedule import Every

#: Some steps are recorded, and some are not.
_EVERY = Every(2, dense=3)


class Trial:
    """What happens to the optimizers and models of a program.

    Args:
        settings: As `benchmarks.programs` passes them.
    """

    def __init__(self, settings: dict):
        self.settings = settings
        self.optimizers: list = []
        self.models: list = []
        self.losses: list = []
        self._making: dict = {}

    def watch(self, library) -> None:
        """Has all optimizers and models of a library, Keras, be known."""
        kinds = {
            one
            for one in vars(library.optimizers).values()
            if isinstance(one, type) and hasattr(one, "apply_gradients")
        }
        for kind in kinds:
            kind.__init__ = self._made(kind.__init__)
        model = library.Model
        model.fit = self._fitted(model.fit)

    def _made(self, original):
        """Return an `__init__` that notes an optimizer when it is made."""

        @functools.wraps(original)
        def __init__(optimizer, *arguments, **keywords):
            depth = self._making.get(id(optimizer), 0)
            self._making[id(optimizer)] = depth + 1
            try:
                original(optimizer, *arguments, **keywords)
            finally:
                self._making[id(optimizer)] = depth
            if depth == 0 and type(optimizer).__name__ != "Optimizer":
                self.optimizers.append(optimizer)
                if self.settings["way"] == "wrap":
                    gradscope.wrap(optimizer, self._logdir(), every=_EVERY)

        return __init__

    def _fitted(self, original):
        """Return a `fit` of few steps, observed if it is to be."""

        signature = inspect.signature(original)

        @functools.wraps(original)
        def fit(model, *arguments, **keywords):
            given = signature.bind(model, *arguments, **keywords)
            given.apply_defaults()
            options = given.arguments
            self._cut(options)
            callbacks = options["callbacks"] or []
            if not isinstance(callbacks, list | tuple):
                callbacks = [callbacks]
            if self.settings["way"] == "callback":
                callbacks = [*callbacks, self._callback()]
            options["callbacks"] = list(callbacks)
            self.models.append(model)
            history = original(*given.args, **given.kwargs)
            self.losses.append(history.history)
            return history

        return fit

    def _cut(self, options: dict) -> None:
        """Has a `fit` be short and silent."""
        steps = self.settings["steps"]
        for name in ("x", "validation_data"):
            if isinstance(options[name], tf.data.Dataset):
                options[name] = options[name].take(steps)
        if not isinstance(options["x"], tf.data.Dataset):
            options["steps_per_epoch"] = steps
        epochs = options["initial_epoch"] + self.settings["epochs"]
        options["epochs"] = min(options["epochs"], epochs)
        options["verbose"] = 0

    def _callback(self):
        return gradscope.Callback(self._logdir(), every=_EVERY, findings=False)

    def _logdir(self) -> str:
        number = len(self.optimizers) + len(self.losses)
        return os.path.join(self.settings["logdir"], str(number))

    def arrays(self) -> dict:
        """Return all variables of what trained, by number and name."""
        of_optimizers = [
            [*_variables(one), *getattr(one, "_trainable_variables", ())]
            for one in self.optimizers
        ]
        arrays = {}
        for owner, variables in enumerate(
            [*of_optimizers, *(model.variables for model in self.models)]
        ):
            for number, variable in enumerate(variables):
                name = getattr(variable, "path", variable.name)
                key = f"{owner} {number} {name}".replace("/", "|")
                array = np.asarray(tf.convert_to_tensor(variable))
                arrays[key] = array.view(f"V{array.itemsize}")
        return arrays

    def findings(self) -> list[str]:
        """Return a line for each finding of each record."""
        logdir = self.settings["logdir"]
        if not os.path.isdir(logdir):
            return []
        return [
            f"{finding.severity} {finding.kind} ({finding.layer}): "
            f"{finding.message}"
            for run in read.runs_below(logdir)
            for finding in gradscope.diagnose(run)
        ]


def _variables(optimizer) -> list:
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def main() -> None:
    """Run what the command line says, in JSON."""
    settings = json.loads(sys.argv[1])
    trial = Trial(settings)
    library = tf.keras
    trial.watch(library)
    library.utils.set_random_seed(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error = _run(settings["before"]) or _run(settings["program"])
        for optimizer in trial.optimizers:
            if settings["way"] == "wrap":
                gradscope.unwrap(optimizer)
    left = {
        "error": error,
        "steps": [int(one.iterations) for one in trial.optimizers],
        "losses": trial.losses,
        "draws": [
            np.random.random(),
            random.random(),
            float(tf.random.uniform([])),
        ],
        "warnings": [
            f"{type(one.message).__name__}: {one.message}"
            for one in caught
            if isinstance(one.message, gradscope.GradscopeWarning)
        ],
        "findings": trial.findings(),
    }
    np.savez(settings["result"] + ".npz", **trial.arrays())
    with open(settings["result"] + ".json", "w") as file:
        json.dump(left, file, default=float)


def _run(path: str | None) -> str | None:
    """Run a file as a program, and return the error that it ends with."""
    if path is None:
        return None
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"], sys.argv = module, [path]
    try:
        with open(path) as file:
            exec(compile(file.read(), path, "exec"), vars(module))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    main()
