"""What observing costs, counted and not timed: a regression shows on a machine
that is busy, too. `python -m benchmarks.overhead` has the clocks."""

import dataclasses
import os
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.format.schema import Activation, Data, Schema, Variable
from gradscope.format.step_layout import Layout
from gradscope.recording import (
    device_ring,
    drain,
    event_writer,
    tensorboard_tabs,
)

X = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
Y = np.arange(8) % 4


def deep(layers):
    hidden = [keras.layers.Dense(16, "relu") for _ in range(layers - 1)]
    last = keras.layers.Dense(4)
    return keras.Sequential([keras.Input([16]), *hidden, last])


def step_of(model, logdir=None, data=(X, Y)):
    """Returns a training step, and the model's number of variables."""
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, model=model, every=10)
    x, y = data

    def step():
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)
        return value

    return step


def operations(step):
    """Returns how many operations a step has, and each branch inside of it."""
    graph = tf.function(step).get_concrete_function().graph.as_graph_def()
    branches = [len(f.node_def) for f in graph.library.function]
    return len(graph.node), sorted(branches, reverse=True)


def test_what_a_step_takes_in_operations(tmp_path):
    model = deep(50)
    variables = len(model.trainable_variables)
    plain, _ = operations(step_of(model))
    outside, branches = operations(step_of(model, tmp_path))
    # In every step: to ask whether it is due. 122 for 100 variables.
    assert outside - plain < 25 + variables
    # In steps that are due: all that is measured, constants included, 645 for
    # 100 variables; there were 5100 before small tensors were put side by
    # side. Other branches look for what made a NaN (311), read the weights
    # before the step (301), and make the histograms (286).
    assert branches[0] < 6.6 * variables
    assert branches[1] < 3.2 * variables
    # With 50 layers, one takes few operations more.
    _, few = operations(step_of(deep(10), tmp_path / "few"))
    assert branches[0] - few[0] < 2.2 * (variables - 20)  # 174


@pytest.mark.slow
def test_what_xla_has_to_compile(tmp_path):
    """Kernels in the compiled module: each takes some 18 ms to compile."""
    found = {}
    for name, logdir in (("plain", None), ("observed", tmp_path)):
        step = tf.function(step_of(deep(10), logdir), jit_compile=True)
        text = step.experimental_get_compiler_ir()(stage="optimized_hlo")
        found[name] = text.count(" fusion(")
    # The step is computed again where it is recorded (the same kernels once
    # more), and 7 statistics of 2 matrices take some 200.
    assert found["observed"] < 2 * found["plain"] + 260, found


def test_xla_computes_convolutions_by_kernels_and_not_by_loops(tmp_path):
    """All of them in the form that Eigen takes, also where the step is computed
    again; of another form they take 30 times as long on CPUs."""
    x = np.zeros([4, 9, 9, 2], np.float32)
    y = np.arange(4)
    model = keras.Sequential(
        [
            keras.Input([9, 9, 2]),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(8, 3, padding="same"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    step = tf.function(step_of(model, tmp_path, data=(x, y)), jit_compile=True)
    text = step.experimental_get_compiler_ir()(stage="optimized_hlo")
    forms = re.findall(r" convolution\(.*dim_labels=([\w>-]+)", text)
    assert len(forms) == 10 and set(forms) == {"b01f_01io->b01f"}, forms


def network(variables):
    rows = tuple(
        Variable(f"dense_{n}/kernel", f"dense_{n}", (8, 8), "float32")
        for n in range(variables)
    )
    activations = tuple(
        Activation(f"dense_{n}/relu", "relu", 64) for n in range(variables // 2)
    )
    return Schema(rows, activations=activations)


@pytest.mark.parametrize("variables", [10, 1000, 5000])
def test_rings_of_large_models_stay_small(variables):
    widths = (
        Layout.of(network(variables)).width,
        tensorboard_tabs.width(variables),
    )
    total = 0
    for width in widths:
        ring = device_ring.ring(width, "")
        total += 4 * (ring.rows + 1) * (width + 3)
    # Of 5000 variables at least five steps' histograms must have room.
    limit = 64 * 2**20 if variables <= 1000 else 5 * 4 * sum(widths) * 1.3
    assert total < limit


def test_how_large_a_recorded_step_is_in_the_log(tmp_path):
    """At most 16 kB for 100 layers with 200 variables, all statistics of
    activations and data included, and the maps of 6400 units."""
    described = network(200)
    described = dataclasses.replace(
        described, data=tuple(map(Data, ("input", "target", "output")))
    )
    layout, random = Layout.of(described), np.random.default_rng(0)
    ring = device_ring.ring(layout.width, "")
    file = event_writer.EventWriter(str(tmp_path))
    records = drain.Drain(file, described, ring, None, [], window=1000)
    sizes = []
    for first in (0, 100):  # the schema is in the first part
        for step in range(first, first + 100):
            row = random.uniform(0.1, 1, layout.width).astype("float32")
            parts = layout.split(row)
            parts["origin"][:] = np.nan  # all is finite
            parts["activations"][:, -1] = 128  # examples
            ring.append(tf.constant(step, tf.int64), tf.constant(row))
        records.drain()
        (name,) = os.listdir(tmp_path)
        sizes.append(os.path.getsize(tmp_path / name))
    records.close()
    record = gradscope.read(tmp_path)
    assert len(record.steps) == 200 and len(record.occasional("units")[0]) > 1
    assert (sizes[1] - sizes[0]) / 100 < 16 * 1024
