"""What a program of packages/programs is given: how it is to be observed."""

from __future__ import annotations

import pathlib

import numpy as np

#: Ways of running a program: with gradscope in two ways, without, and once to
#: take its first step's gradients with a tape of our own.
PLAIN, CALLBACK, WRAP, TAPE = "plain", "callback", "wrap", "tape"
WAYS = (PLAIN, TAPE, CALLBACK, WRAP)


class Observe:
    """The one argument of a program's `train`.

    A program passes `observe.callbacks` to `fit`, has its optimizer pass
    through `observe.optimizer`, and returns `observe.state(...)`. One with a
    loop of its own calls `observe.tape` before its first step.

    Attributes:
        way: One of `WAYS`.
        directory: Where the results of this way go.
        used: Which of `CALLBACK`, `WRAP` and `TAPE` the program has a use for.
        loss: Of a model with a `train_step` of its own the loss of a batch:
            `loss(model, data)`. None where that is `model.compute_loss`.
    """

    def __init__(self, way: str, directory: pathlib.Path):
        self.way = way
        self.directory = directory
        self.used: set[str] = set()
        self.loss = None

    @property
    def logdir(self) -> str:
        """The directory of the record."""
        return str(self.directory / "logs")

    @property
    def callbacks(self) -> list:
        """Callbacks for `fit`."""
        self.used |= {CALLBACK, TAPE}
        if self.way == CALLBACK:
            import gradscope

            return [gradscope.Callback(self.logdir, findings=False)]
        return [self._tape_of_fit()] if self.way == TAPE else []

    def optimizer(self, optimizer, model=None):
        """Return an optimizer, observed or not."""
        self.used.add(WRAP)
        if self.way == WRAP:
            import gradscope

            return gradscope.wrap(optimizer, self.logdir, model=model)
        return optimizer

    def tape(self, loss, variables) -> None:
        """Take the gradients of `loss()`, and end the program.

        In all other ways it does nothing.
        """
        self.used.add(TAPE)
        if self.way == TAPE:
            import taping

            taping.take(lambda: (loss(), variables), self.directory)

    def state(self, *parts) -> dict[str, np.ndarray]:
        """Return all that has to be the same bit for bit: of each model its
        weights and its optimizer's, and of all else the numbers."""
        state = {}
        for index, part in enumerate(parts):
            for name, value in _arrays(part):
                state[f"{index}/{name}"] = value
        return state

    def _tape_of_fit(self):
        import taping

        return taping.callback(self)


def _arrays(part):
    """Yield a name and an array for each thing that a part consists of."""
    if hasattr(part, "weights") and hasattr(part, "fit"):
        yield from _arrays({"weights": part.weights})
        optimizer = getattr(part, "optimizer", None)
        if optimizer is not None:
            yield from _arrays({"optimizer": _variables(optimizer)})
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from ((f"{name}/{n}", a) for n, a in _arrays(value))
    elif isinstance(part, (list, tuple)):
        for index, value in enumerate(part):
            yield from ((f"{index}/{n}", a) for n, a in _arrays(value))
    else:
        yield "", np.asarray(part)


def _variables(optimizer):
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)
