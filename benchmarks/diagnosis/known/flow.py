"""Faults of the flow of gradients: they vanish or explode."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "vanishing-gradient",
    layers=["hidden_1", "hidden_2", "hidden_3"],
    source="StackOverflow: deep network with sigmoids stays at chance",
)
def nine_sigmoid_layers(training):
    """Somebody stacks nine sigmoid layers under SGD.

    Accuracy .08 against .93 with ReLU.
    """
    x, y, xt, yt = sources.digits()
    bend = "sigmoid" if training.broken else "relu"
    model = keras.Sequential([keras.Input([64])])
    for i in range(9):
        model.add(layers.Dense(48, activation=bend, name=f"hidden_{i + 1}"))
    model.add(layers.Dense(10, activation="softmax", name="digit"))
    optimizer = keras.optimizers.SGD(0.03, momentum=0.9)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=25, batch_size=64, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "vanishing-gradient",
    layers=["conv_1", "conv_2", "conv_3"],
    source="GitHub: own training loop, convolutions never change",
)
def sigmoid_convolutions_in_a_loop(training):
    """Six convolutions with sigmoid, in a loop with a GradientTape.

    The digits are right in .08 of the cases, against .99 with ELU.
    """
    x, y, xt, yt = sources.images()
    bend = "sigmoid" if training.broken else "elu"
    model = keras.Sequential([keras.Input([8, 8, 1])])
    for i in range(6):
        conv = layers.Conv2D(12, 3, padding="same", activation=bend)
        conv.name = f"conv_{i + 1}"
        model.add(conv)
    model.add(layers.Flatten(name="flat"))
    model.add(layers.Dense(10, name="logits"))
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9)
    optimizer = training.wrap(optimizer, model=model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(some, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(some, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )

    for rows in sources.batches(len(x), 64, 500):
        step(x[rows], y[rows])
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "vanishing-gradient",
    layers=["rnn"],
    source="StackOverflow: SimpleRNN cannot remember the start",
)
def sigmoid_recurrence(training):
    """Labels are the first word, the recurrence is a sigmoid and forgets it.

    Accuracy .24 against 1.0 with a GRU.
    """
    x, y, xt, yt = sources.recall(length=20)
    rnn = (
        layers.SimpleRNN(32, activation="sigmoid", name="rnn")
        if training.broken
        else layers.GRU(32, name="rnn")
    )
    model = keras.Sequential(
        [
            keras.Input([20], dtype="int32"),
            layers.Embedding(10, 16, name="words"),
            rnn,
            layers.Dense(4, activation="softmax", name="first"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=64)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "exploding-gradient",
    "init-too-large",
    layers=["rnn"],
    source="GitHub: IRNN with gain, loss jumps",
)
def recurrence_with_gain(training):
    """A ReLU recurrence starts from 1.4 times an orthogonal matrix.

    The loss is not a number, or far above .02 with gain 1.
    """
    x, y, xt, yt = sources.waves(800, 40)
    gain = 2.0 if training.broken else 1.0
    model = keras.Sequential(
        [
            keras.Input([40, 1]),
            layers.SimpleRNN(
                48,
                activation="relu",
                recurrent_initializer=keras.initializers.Orthogonal(gain),
                name="rnn",
            ),
            layers.Dense(4, activation="softmax", name="pitch"),
        ]
    )
    optimizer = keras.optimizers.Adam(2e-3)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=20, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "exploding-gradient",
    layers=[f"block_{i}" for i in range(10)] + ["out", "in"],
    source="StackOverflow: residual network without normalisation, NaN",
)
def residual_sums_without_norm(training):
    """Ten residual blocks double what flows through them each.

    The loss is NaN; with layer normalisation .2 remain unexplained.
    """
    x, y, xt, yt = sources.friedman()
    inputs = keras.Input([8])
    h = layers.Dense(32, name="in")(inputs)
    for i in range(10):
        before = h
        if not training.broken:
            before = layers.LayerNormalization(name=f"norm_{i}")(h)
        more = layers.Dense(
            32,
            activation="relu",
            kernel_initializer="he_normal",
            name=f"block_{i}",
        )(before)
        h = layers.Add(name=f"add_{i}")([h, more])
    if not training.broken:
        h = layers.LayerNormalization(name="norm")(h)
    model = keras.Model(inputs, layers.Dense(1, name="out")(h))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    training.fit(model, x, y, epochs=12, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "exploding-gradient",
    layers=["cube_1", "cube_2", "cube_3"],
    source="Reddit: own activation x**3 gives inf",
)
def cubes_as_activation(training):
    """Somebody's own activation is the cube, three times in a row.

    The loss is NaN and accuracy .36, against .89 with tanh.
    """
    x, y, xt, yt = sources.wine()
    bend = (lambda z: z**3) if training.broken else "tanh"
    model = keras.Sequential([keras.Input([13])])
    for i in range(3):
        model.add(layers.Dense(32, activation=bend, name=f"cube_{i + 1}"))
    model.add(layers.Dense(3, activation="softmax", name="grape"))
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(0.02), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=40, batch_size=16)
    return {"test accuracy": sources.accuracy(model, xt, yt)}
