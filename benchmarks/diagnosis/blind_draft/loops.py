"""Steps that forget."""

from __future__ import annotations

import keras
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The model is compiled anew before each epoch, which throws the "
    "moments of Adam away.",
    source="pythoncymetric/cymetric #4",
)
def compiled_each_epoch(training):
    """Training is not smooth and ends at a higher loss: `compile` is called
    in the loop over the epochs, with few steps in each. Explained share
    BROKEN against REPAIRED."""
    x, y, xt, yt = sources.split(*sources.sine())
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(64, activation="tanh", name="hidden_1"),
            layers.Dense(64, activation="tanh", name="hidden_2"),
            layers.Dense(1, name="out"),
        ]
    )
    epochs = 12

    def build():
        model.compile(keras.optimizers.Adam(0.01), "mse")

    build()
    if not training.broken:
        training.fit(model, x, y, epochs=epochs, batch_size=30)
        return sources.r2(model, xt, yt)
    for _ in range(epochs):
        build()
        training.fit(model, x, y, epochs=1, batch_size=30)
    return sources.r2(model, xt, yt)
