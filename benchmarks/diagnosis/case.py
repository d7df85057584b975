"""One network of the benchmark: how it is trained, and what is wrong with it.

A *fault* is a program that somebody could have written, and its repair: one
function, that looks at `training.broken`. A *healthy* network is one function,
trained with several options and seeds.

    @fault("zero-init", layers=["dense"], source="seeds/000")
    def all_weights_zero(training):
        start = "zeros" if training.broken else "glorot_uniform"
        ...
        training.fit(model, x, y, epochs=5, batch_size=32)

    @healthy(optimizer=["sgd", "adam"], seed=[0, 1])
    def small_convolutions(training):
        model.compile(training.options["optimizer"], ...)
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import pkgutil
from collections.abc import Callable

#: `seen`, `known`, `report` and those named `blind` were reported on when they
#: were new; the rules were tuned on `tune`, `seen`, `known` and `wild`.
#: `blind3` and `blind4` name no kinds yet.
SETS = [
    "tune",
    "seen",
    "known",
    "report",
    "wild",
    "blind",
    "blind2",
    "blind3",
    "blind4",
]


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of a set.

    Attributes:
        name: Of its function.
        train: Trains it, given a `Training`.
        kinds: Kinds of finding that name the fault; the first is the best.
            Empty for a healthy network.
        layers: Names of layers that are a right place for it; empty where it
            has no place.
        harmless: Whether the fault is there and does no harm: a note is right
            and a warning is a false alarm.
        source: Where people met it.
        options: Of a healthy network, one combination.
        cause: What is wrong, in one sentence, of a fault that was described
            before anybody looked for a kind that names it.
        invisible: Why nothing that is recorded could show it; empty for a
            fault that leaves a trace.
    """

    name: str
    train: Callable
    kinds: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    harmless: bool = False
    source: str = ""
    options: dict = dataclasses.field(default_factory=dict)
    cause: str = ""
    invisible: str = ""

    @property
    def faulty(self) -> bool:
        """Whether it is a fault with its repair, and no healthy network."""
        return bool(self.kinds or self.cause)

    @property
    def title(self) -> str:
        """The name with its options."""
        told = ",".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.name}[{told}]" if told else self.name


@dataclasses.dataclass
class Training:
    """What a case is given.

    Attributes:
        logdir: Directory of the run.
        broken: Whether the fault is to be there.
        options: Of a healthy network.
    """

    logdir: str
    broken: bool = False
    options: dict = dataclasses.field(default_factory=dict)
    wrapped: list = dataclasses.field(default_factory=list)

    def fit(self, model, *arguments, **options):
        """Call `model.fit` as a user of gradscope would, and return the
        history."""
        import gradscope

        callback = gradscope.Callback(self.logdir, findings=False)
        callbacks = [*options.pop("callbacks", []), callback]
        options = {"verbose": 0} | options
        return model.fit(*arguments, callbacks=callbacks, **options)

    def wrap(self, optimizer, **options):
        """Wrap the optimizer of a loop of its own, and return it."""
        import gradscope

        optimizer = gradscope.wrap(optimizer, self.logdir, **options)
        self.wrapped.append(optimizer)
        return optimizer


_CASES: list[Case] = []


def fault(
    *kinds: str,
    layers=(),
    source: str = "",
    harmless: bool = False,
    cause: str = "",
    invisible: str = "",
):
    """Register a network with a fault; see `Case`."""

    def register(train):
        _CASES.append(
            Case(
                train.__name__,
                train,
                kinds,
                tuple(layers),
                harmless,
                source,
                cause=cause,
                invisible=invisible,
            )
        )
        return train

    return register


def healthy(**options):
    """Register a healthy network, once for each combination of options."""

    def register(train):
        for values in itertools.product(*options.values()):
            chosen = dict(zip(options, values, strict=True))
            _CASES.append(Case(train.__name__, train, options=chosen))
        return train

    return register


def load(name: str) -> list[Case]:
    """Return the cases of one of `SETS`."""
    package = importlib.import_module(f"benchmarks.diagnosis.{name}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return [
        c
        for c in _CASES
        if c.train.__module__.startswith(f"{package.__name__}.")
    ]
