"""Observed trainings of a model in every mode, as records."""

import functools

import keras
import tensorflow as tf
from training import BATCH, X, Y, loop, loss

import gradscope

#: Keyword arguments of `compile`, or what a loop's step is wrapped in.
FITS = {
    "fit_graph": {"jit_compile": False},
    "fit_jit": {"jit_compile": True},
    "fit_3_steps": {"jit_compile": False, "steps_per_execution": 3},
    "fit_3_steps_jit": {"jit_compile": True, "steps_per_execution": 3},
    "fit_eager": {"run_eagerly": True},
}


LOOPS = {
    "loop_eager": lambda step: step,
    "loop_function": tf.function,
    "loop_jit": functools.partial(tf.function, jit_compile=True),
}


MODES = [*FITS, *LOOPS]


#: Those that take different ways through gradscope, where all would be many.
FEW = ["fit_graph", "fit_3_steps_jit", "loop_eager", "loop_function"]


def train(mode, model, logdir, optimizer=None, how="wrap", **options):
    optimizer = optimizer or keras.optimizers.SGD(0.05)
    callbacks = []
    if how == "callback":
        callbacks = [gradscope.Callback(logdir, every=1, **options)]
    else:
        gradscope.wrap(optimizer, logdir, every=1, model=model, **options)
    if mode in LOOPS:
        loop(model, optimizer, wrapper=LOOPS[mode])
    else:
        model.compile(optimizer, loss(), **FITS[mode])
        model.fit(
            X,
            Y,
            batch_size=BATCH,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    if how == "wrap":
        gradscope.unwrap(optimizer)
    return gradscope.read(logdir)
