"""Observing that fails, and trainings that must not notice."""

import contextlib
import functools
import re
import warnings

import numpy as np
import training

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.measuring import data as measuring_data
from gradscope.measuring import statistics

REQUEST = (
    r"Please report this, with the versions: "
    r"TensorFlow \d+\.\d+\S*, Keras \d+\.\d+\S*\."
)

LESS = (
    r"gradscope cannot observe the activations of this model: {reason}.*"
    r"Its gradients are still recorded\. " + REQUEST
)

NOTHING = (
    r"gradscope cannot observe {optimizer}: {reason}.*"
    r"Training goes on without gradscope\. " + REQUEST
)


def told(caught, *patterns):
    """Asserts that gradscope's warnings are these, in this order."""
    texts = [
        str(one.message)
        for one in caught
        if issubclass(one.category, GradscopeWarning)
    ]
    assert len(texts) == len(patterns), texts
    for text, pattern in zip(texts, patterns, strict=True):
        assert re.match(pattern, text, re.DOTALL), text


#: What fails, and what of the record is left.
FORWARD = (measuring_data, "measure")

VARIABLES = (statistics, "measure")


def fit(library, logdir, how="callback", model=None, caught=None, **options):
    """Trains with `fit`; returns all that it changes, and warnings."""
    caught = [] if caught is None else caught
    library.utils.set_random_seed(7)
    layers = library.layers
    model = model or library.Sequential(
        [
            library.Input((12,)),
            layers.Dense(8, activation="relu", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, name="logits"),
        ],
        name="network",
    )
    optimizer = library.optimizers.Adam(0.01)
    callbacks = []
    if logdir and how == "callback":
        callbacks = [gradscope.Callback(logdir, every=1, probe=False)]
    elif logdir:
        gradscope.wrap(optimizer, logdir, every=1, model=model)
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], **options)
    with contextlib.ExitStack() as stack:
        heard = stack.enter_context(warnings.catch_warnings(record=True))
        stack.callback(lambda: caught.extend(heard))
        warnings.simplefilter("always")
        history = model.fit(
            training.X[:80],
            training.Y[:80],
            batch_size=16,
            epochs=2,
            verbose=0,
            callbacks=callbacks,
        )
        if logdir and how == "wrap":
            gradscope.unwrap(optimizer)
    numbers = [v.numpy() for v in [*model.variables, *optimizer.variables]]
    return [*numbers, *history.history["loss"]], caught


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@functools.cache
def plain_fit(library, **options):
    """One for all tests of a library and a mode."""
    return fit(library, None, **options)[0]


def trains_as_it_would(train, logdir):
    """Returns the warnings of a training with gradscope, which is the one
    without.

    Args:
        train: A function of a log directory, or of None; or `fit` with the
            rest of its arguments, as `functools.partial`.
        logdir: A log directory.
    """
    if isinstance(train, functools.partial):
        options = {k: v for k, v in train.keywords.items() if k != "how"}
        plain = plain_fit(*train.args, **options)
    else:
        plain, _ = train(None)
    observed, caught = train(logdir)
    same(plain, observed)
    return caught
