"""What people combine in a training, as axes, and which cases are tested.

Any two levels of different axes that can be combined meet at least once in
`data/combinations.json`, which `make test` trains, and any three in
`triples()`, which `make test-all` trains. `make test-product` trains all there
are. After a change of the axes write the file anew with
`python tests/support/combinations.py`.
"""

import json
import pathlib

import covering
import keras
import training

import gradscope
from gradscope.schedule import Every

optimizers = keras.optimizers
FILE = pathlib.Path(__file__).parents[1] / "data" / "combinations.json"

BATCH = 16
STEPS = 8
X, Y = training.X[: BATCH * STEPS], training.Y[: BATCH * STEPS]


def multi(learning_rate, **options):
    """One optimizer for the last layer and another one for the rest."""
    return optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.SGD(learning_rate, momentum=0.9, **options),
            {".*logits.*": optimizers.Adam(learning_rate, **options)},
        )
    )


def named(name):
    """Makes optimizers of a class that an older Keras may not have."""
    return lambda *args, **options: getattr(optimizers, name)(*args, **options)


#: Every optimizer of Keras, made with a learning rate and options.
OPTIMIZERS = {
    "adadelta": optimizers.Adadelta,
    "adafactor": optimizers.Adafactor,
    "adagrad": optimizers.Adagrad,
    "adam": optimizers.Adam,
    "adamax": optimizers.Adamax,
    "adamw": optimizers.AdamW,
    "ftrl": optimizers.Ftrl,
    "lamb": named("Lamb"),
    "lion": optimizers.Lion,
    "multi": multi,
    "muon": named("Muon"),
    "nadam": optimizers.Nadam,
    "rmsprop": optimizers.RMSprop,
    "schedule_free": named("ScheduleFreeAdamW"),
    "sgd": optimizers.SGD,
}

#: Arguments that every optimizer takes; `loss_scale` is one around it.
OPTIONS = {
    "none": {},
    "clipvalue": {"clipvalue": 0.02},
    "clipnorm": {"clipnorm": 0.05},
    "global_clipnorm": {"global_clipnorm": 0.1},
    "weight_decay": {"weight_decay": 0.1},
    "ema": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    "loss_scale_factor": {"loss_scale_factor": 64.0},
    "accumulation": {"gradient_accumulation_steps": 3},
    "scheduled": {},
    "loss_scale": {},
}

#: The ways of training, cheapest first. More steps in a call than a training
#: has are in test_modes.
MODES = [
    "loop_eager",
    "fit_eager",
    "loop_function",
    "fit_graph",
    "fit_7_steps",
    "fit_jit",
]

#: All that XLA compiles, too.
ALL_MODES = [*MODES, "loop_jit", "fit_7_steps_jit"]

#: What is recorded. `Callback` knows its model, `wrap` only if it is told.
RECORDED = {
    "some steps": {"every": Every(3, dense=2), "histograms": None},
    "histograms": {"every": Every(3, dense=2), "histograms": 3},
    "model": {"every": 1, "histograms": None},
}

AXES = {
    "optimizer": list(OPTIMIZERS),
    "mode": MODES,
    "how": ["wrap", "callback"],
    "option": list(OPTIONS),
    "precision": ["float32", "mixed_bfloat16", "mixed_float16"],
    "recorded": list(RECORDED),
}


def network():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(4, activation="relu", name="first"),
            layers.Dense(3, dtype="float32", name="logits"),
        ],
        name="network",
    )


def optimizer_of(case):
    """Returns a new optimizer with its option."""
    rate = 0.01
    if case["option"] == "scheduled":
        rate = optimizers.schedules.ExponentialDecay(0.02, 3, 0.7)
    made = OPTIMIZERS[case["optimizer"]](rate, **OPTIONS[case["option"]])
    if case["option"] == "loss_scale":
        made = optimizers.LossScaleOptimizer(made, dynamic_growth_steps=3)
    return made


def train(case, logdir=None):
    """Trains a new network, observed where there is a log directory.

    Returns:
        All that training changes, as arrays: weights and the optimizer's slots.
    """
    keras.utils.set_random_seed(7)
    model, optimizer = network(), optimizer_of(case)
    observe, callbacks = dict(RECORDED[case["recorded"]]), []
    if logdir is not None and case["how"] == "callback":
        callbacks = [gradscope.Callback(logdir, **observe)]
    elif logdir is not None:
        if case["recorded"] == "model":
            observe["model"] = model
        gradscope.wrap(optimizer, logdir, **observe)
    if case["mode"].startswith("loop"):
        training.MODES[case["mode"]](model, optimizer, data=batches())
    else:
        training.MODES[case["mode"]](model, optimizer, callbacks, data=(X, Y))
    return training.state(model, optimizer)


def batches():
    """Yields the batches, all of one size: XLA compiles for each anew."""
    for start in range(0, len(X), BATCH):
        yield X[start : start + BATCH], Y[start : start + BATCH]


def is_possible(case):
    """Says whether a case, or the part of one that is there, can be trained."""
    mode, option = case.get("mode", "fit"), case.get("option")
    if case.get("how") == "callback" and not mode.startswith("fit"):
        return False  # only `fit` has callbacks
    # Refused by `wrap`: the optimizers inside keep their own count of steps.
    return not (case.get("optimizer") == "multi" and option == "accumulation")


def product(**levels):
    """All cases that can be trained, or those of some levels."""
    return covering.product(AXES, is_possible, **levels)


def read():
    """The cases that `make test` trains."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def pairs():
    """Cases among which any two levels meet."""
    cases = []
    for mode in reversed(MODES):  # the dearer, the fewer cases
        having = [("mode", mode)]
        cases = covering.covering(AXES, is_possible, 2, cases, having)
    return covering.covering(AXES, is_possible, 2, cases)


def matrix():
    """Every optimizer in every mode, with and without XLA, and nothing else."""
    plain = {name: [levels[0]] for name, levels in AXES.items()}
    changed = {"optimizer": list(OPTIMIZERS), "mode": ALL_MODES}
    return covering.product(AXES, is_possible, **plain | changed)


def triples():
    """The matrix, and cases among which any three levels meet."""
    axes = AXES | {"mode": ALL_MODES}
    return covering.covering(axes, is_possible, 3, matrix())


def as_text(cases):
    """Returns the file's text: a case a line."""
    lines = ",\n".join(map(json.dumps, cases))
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    FILE.write_text(as_text(pairs()), encoding="utf-8")
