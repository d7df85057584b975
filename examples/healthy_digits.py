"""A healthy network to compare with: every layer gets its share of gradient.

A multilayer perceptron learns the 1797 handwritten digits that come with
scikit-learn. It is what the other examples are broken versions of.

Run `python examples/digits.py`, then `tensorboard --logdir logs`, tab
Gradscope. The layers' gradient norms stay within a factor of ten of each
other and fade together as the loss does; the update-to-weight ratio is near
0.001 in each layer. Look at this picture first: a picture of an ill network
says more to those who have seen a healthy one.
"""

import argparse
import os

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import gradscope


def network():
    return keras.Sequential(
        [
            keras.Input([64]),
            keras.layers.Dense(128, "relu", name="first"),
            keras.layers.Dense(64, "relu", name="middle"),
            keras.layers.Dense(10, name="last"),
        ]
    )


def data():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    return train_test_split(images, labels, test_size=0.2, random_state=0)


def train(logdir):
    """Returns the model's accuracy on images that it has not seen."""
    train_images, test_images, train_labels, test_labels = data()
    model = network()
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        train_images,
        train_labels,
        batch_size=32,
        epochs=20,
        verbose=0,
        callbacks=[gradscope.Callback(logdir)],
    )
    return model.evaluate(test_images, test_labels, verbose=0)[1]


def report(accuracy, record):
    print(f"digits: accuracy on unseen images {accuracy:.3f}")
    norms = np.median(record.by_layer("gradient_norm"), axis=0)
    ratios = np.median(record.by_layer("update_to_weight_ratio"), axis=0)
    for layer, norm, ratio in zip(record.layers, norms, ratios, strict=True):
        print(
            f"{layer:>8}: median gradient norm {norm:.2g}, "
            f"update-to-weight ratio {ratio:.2g}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logdir", default="logs")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    run = os.path.join(arguments.logdir, "digits", "healthy")
    accuracy = train(run)
    report(accuracy, gradscope.read(run))
    print(f"Now: tensorboard --logdir {arguments.logdir}, tab Gradscope")


if __name__ == "__main__":
    main()
