"""Ray Tune: two trials with a Keras network, each in a worker."""

import pathlib

import numpy as np
import ray
from data import points
from ray import tune

PACKAGE = "ray"


def trial(config):
    import keras
    from nets import compiled, dense

    observe = config["observe"]
    keras.utils.set_random_seed(0)
    model = compiled(observe, dense(), config["rate"])
    history = model.fit(
        *points(), epochs=3, verbose=0, callbacks=observe.callbacks
    )
    state = observe.state(model, history.history)
    np.savez(observe.directory / f"rate_{config['rate']}.npz", **state)
    tune.report({"loss": history.history["loss"][-1]})


def train(observe):
    import os
    import sys

    ray.init(
        num_cpus=1,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )
    observe.used |= {"callback", "wrap"}
    rates = tune.grid_search([0.01, 0.02])
    space = {"rate": rates, "observe": observe}
    tune.Tuner(trial, param_space=space).fit()
    ray.shutdown()
    paths = sorted(pathlib.Path(observe.directory).glob("rate_*.npz"))
    return observe.state(*(dict(np.load(path)) for path in paths))
