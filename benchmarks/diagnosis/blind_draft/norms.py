"""Normalisation that is in the wrong mode or on the wrong axis."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


class _Freezable(layers.BatchNormalization):
    """Batch normalisation that can be frozen."""

    def __init__(self, freeze, correct, **options):
        super().__init__(**options)
        self.freeze, self.correct = freeze, correct

    def call(self, x, training=None, mask=None):
        if self.freeze:
            training = False
        elif not self.correct:
            training = True
        return super().call(x, training=training, mask=mask)


@fault(
    cause="A subclass of batch normalisation passes training = not freeze, "
    "so that it uses the batch in inference too.",
    layers=["norm_1", "norm_2"],
    source="broadinstitute/keras-resnet #47",
)
def always_in_training(training):
    """The validation results of a network whose normalisation can be frozen
    are wrong: what is not frozen is in training mode for ever. Accuracy on
    one class at a time BROKEN against REPAIRED."""
    x, y, xt, yt = sources.digit_images()
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for i, filters in enumerate([12, 16], 1):
        model.add(layers.Conv2D(filters, 3, padding="same", name=f"conv_{i}"))
        model.add(
            _Freezable(
                False, not training.broken, momentum=0.9, name=f"norm_{i}"
            )
        )
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax", name="out"))
    model.compile(
        keras.optimizers.Adam(0.005), sources.SPARSE, metrics=["accuracy"]
    )
    order = np.argsort(yt, kind="stable")
    training.fit(
        model,
        x,
        y,
        epochs=5,
        batch_size=64,
        validation_data=(xt[order], yt[order]),
        validation_batch_size=16,
    )
    p = model.predict(xt[order], batch_size=16, verbose=0)
    return {"accuracy": float(np.mean(p.argmax(1) == yt[order]))}
