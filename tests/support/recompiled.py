"""A network of which something is changed after it was compiled."""

import functools

import keras
import numpy as np

import gradscope

rng = np.random.default_rng(0)

X = rng.normal(size=(32, 4)).astype("float32")

Y = rng.normal(size=(32, 2)).astype("float32")

TOLD = (
    r"`trainable` was changed after `compile`: 'base' is still {}trained\. "
    ".*again"
)

#: What records and traces fast.
FEW = {"findings": False, "activations": False, "histograms": None}


def network(frozen=False, norm=False, **options):
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inner = [keras.Input((4,)), layers.Dense(3), layers.Dropout(0.2)]
    if norm:  # which looks at `trainable`
        inner.append(layers.BatchNormalization())
    base = keras.Sequential(inner, name="base")
    model = keras.Sequential([base, layers.Dense(2)])
    base.trainable = not frozen
    model.compile("adam", "mse", **options)
    return model


def turn(model):
    base = model.get_layer("base")
    base.trainable = not base.trainable


def fit(model, callbacks=(), size=8, x=X, y=Y, **options):
    model.fit(
        x[: 2 * size],
        y[: 2 * size],
        batch_size=size,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **options,
    )


class Observed:
    """Ways to observe three fits; `callbacks` is called before each."""

    def __init__(self, how, logdir):
        self.how, self.logdir, self.fits = how, logdir, 0
        self.callback = how and gradscope.Callback(logdir, **FEW)

    def callbacks(self, model):
        self.fits += 1
        if self.how == "one":
            return [self.callback]
        if self.how == "new" or (self.how, self.fits) in (
            ("in the first", 1),
            ("in the second", 2),
        ):
            directory = self.logdir / str(self.fits)
            return [gradscope.Callback(directory, **FEW)]
        if (self.how, self.fits) in (("wrap", 2), ("unwrap", 1)):
            gradscope.wrap(model.optimizer, self.logdir, model=model)
        if self.how == "unwrap" and self.fits == 2:
            gradscope.unwrap(model.optimizer, model=model)
        return []


def trained(change, how=None, logdir=None, sizes=(8, 8, 8), **options):
    """Returns the weights after fits with a change between them."""
    model = network(**options)
    observed = Observed(how, logdir)
    for number, size in enumerate(sizes):
        if number:
            change(model)
        fit(model, observed.callbacks(model), size)
    gradscope.flush()
    return [*model.get_weights(), *map(np.asarray, model.optimizer.variables)]


#: The same without gradscope.
plainly = functools.cache(trained)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
