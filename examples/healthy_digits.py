"""A healthy network for comparison: the gradient reaches every layer.

A multilayer perceptron learns handwritten digits. The other examples are broken
versions of such a network.

What gradscope shows: the gradient norms of the layers stay within a factor of
ten of each other and decrease together with the loss. The update-to-weight
ratio is near 0.001 in each layer, and there are no findings. Look at this run
first: a broken network is easier to recognise if you have seen a healthy one.
"""

import keras
from gradscope_examples import data, running

import gradscope


def train(options):
    x, y, test_x, test_y = data.images(options.data, size=8)
    model = keras.Sequential(
        [
            keras.Input([64]),
            keras.layers.Dense(128, "relu", name="first"),
            keras.layers.Dense(64, "relu", name="middle"),
            keras.layers.Dense(10, name="last"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.fit(
        data.flat(x),
        y,
        batch_size=32,
        epochs=20,
        verbose=0,
        callbacks=[gradscope.Callback(options.logdir, findings=False)],
    )
    _, accuracy = model.evaluate(data.flat(test_x), test_y, verbose=0)
    return {"accuracy": accuracy}


VARIANTS = {"healthy": train}

if __name__ == "__main__":
    running.main(__file__, __doc__, VARIANTS)
