"""Trainings whose sizes are not known while they are traced."""

import keras
import numpy as np
import tensorflow as tf
from image_sizes import BATCHES, FITS, LOOPS, data, images

import gradscope

random = np.random.default_rng(0)


def train(mode, logdir=None, how="wrap", make=images, batches=None, **options):
    """Trains a new model; returns it and its optimizer."""
    keras.utils.set_random_seed(5)
    model, optimizer = make(), keras.optimizers.SGD(0.05, momentum=0.9)
    callbacks = []
    if logdir is not None and how == "callback":
        callbacks = [gradscope.Callback(logdir, every=1, findings=False)]
    elif logdir is not None:
        gradscope.wrap(optimizer, logdir, every=1, model=model, **options)
    batches = batches or BATCHES
    if mode in LOOPS:
        model.build(batches[0][0].shape)
        optimizer.build(model.trainable_variables)

        def step(x, y):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
            grads = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(grads, model.trainable_variables)

        step = LOOPS[mode](step)
        for x, y in batches:
            step(tf.constant(x), tf.constant(y))
    else:
        model.compile(optimizer, "mse", **FITS[mode])
        model.fit(data(batches), verbose=0, callbacks=callbacks)
    if logdir is not None and how == "wrap":
        gradscope.unwrap(optimizer)
    return model, optimizer
