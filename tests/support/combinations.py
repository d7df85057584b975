"""What people combine in a training, as axes, and which cases are tested.

`make test` trains the cases in `data/combinations.json`, among which each two
levels of different axes that can be combined meet at least once; `make
test-all` trains the full product. After a change of the axes write the file
anew with `python tests/support/combinations.py`, which needs
`pip install allpairspy`.
"""

import itertools
import json
import pathlib

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

#: The ways of training, cheapest first. XLA in a loop and with several steps in
#: one call, and more steps in a call than a training has, are in test_modes.
MODES = [
    "loop_eager",
    "fit_eager",
    "loop_function",
    "fit_graph",
    "fit_7_steps",
    "fit_jit",
]

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
    """Returns all cases that can be trained, or those of some levels."""
    levels = itertools.product(*(AXES | levels).values())
    cases = (dict(zip(AXES, case, strict=True)) for case in levels)
    return [case for case in cases if is_possible(case)]


def pairs_of(case):
    """Returns the pairs of levels of different axes that a case has."""
    return set(itertools.combinations(case.items(), 2))


def all_pairs():
    """Returns all pairs of levels that can be combined."""
    return {
        pair
        for axes in itertools.combinations(AXES, 2)
        for levels in itertools.product(*(AXES[axis] for axis in axes))
        for pair in [tuple(zip(axes, levels, strict=True))]
        if is_possible(dict(pair))
    }


def read():
    """Returns the cases that `make test` trains."""
    return json.loads(FILE.read_text(encoding="utf-8"))


#: The cheapest level of each axis.
CHEAPEST = {
    "optimizer": "sgd",
    "mode": MODES[0],
    "how": "wrap",
    "option": "none",
    "precision": "float32",
    "recorded": "some steps",
}


def covering():
    """Returns few and cheap cases that have all pairs."""
    from allpairspy import AllPairs

    def is_allowed(levels):
        return is_possible(dict(zip(AXES, levels, strict=False)))

    levels = AllPairs(list(AXES.values()), filter_func=is_allowed)
    cases = [dict(zip(AXES, case, strict=True)) for case in levels]
    # What is not possible makes it miss a few.
    covered = set().union(*map(pairs_of, cases))
    for pair in sorted(all_pairs() - covered):
        cases.append(CHEAPEST | dict(pair))
    for case in list(cases):
        make_cheaper(case, cases)
    return sorted(cases, key=lambda case: tuple(case.values()))


def make_cheaper(case, cases):
    """Changes a case to a cheaper mode, or removes it, if no pair gets lost."""
    others = set().union(*(pairs_of(c) for c in cases if c is not case))
    if others == all_pairs():
        cases[:] = [c for c in cases if c is not case]
        return
    for mode in MODES:
        other = case | {"mode": mode}
        if is_possible(other) and others | pairs_of(other) == all_pairs():
            case.update(other)
            return


def as_text(cases):
    """Returns the file's text: a case a line."""
    lines = ",\n".join(map(json.dumps, cases))
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    FILE.write_text(as_text(covering()), encoding="utf-8")
