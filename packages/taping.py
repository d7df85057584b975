"""A program's first step by a tape of our own, eagerly: what gradscope's
record of that step is compared with."""

from __future__ import annotations

import os

import keras
import numpy as np
import tensorflow as tf


def callback(observe):
    """Return a callback whose `fit` takes the gradients of its first batch,
    and ends the process."""

    class Tape(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            # `fit` looks it up before each step.
            self.model.train_function = self._program

        def _program(self, iterator):
            def compute():
                loss = (observe.loss or _loss)(self.model, next(iterator))
                return loss, self.model.trainable_variables

            take(compute, observe.directory)

    return Tape()


def take(compute, directory):
    """Write the norms of the gradients of a loss, and what each layer called
    on the way returned; then end the process.

    Args:
        compute: A function of nothing that returns a loss and the variables.
        directory: Where to.
    """
    tf.config.run_functions_eagerly(True)
    with Outputs() as outputs, tf.GradientTape() as tape:
        loss, variables = compute()
        variables = [_tf_variable(v) for v in variables]
    gradients = tape.gradient(loss, variables)
    norms = {
        f"norm/{index:04}/{variable.name}": _norm(gradient)
        for index, (variable, gradient) in enumerate(
            zip(variables, gradients, strict=True)
        )
        if gradient is not None
    }
    np.savez(directory / "tape.npz", **norms, **outputs.statistics())
    # There may be trials, folds and clients still to come; nobody needs them.
    os._exit(0)


class Outputs:
    """What each layer of Keras returns while this is entered."""

    def __init__(self):
        self._outputs = {}
        self._calls = []

    def __enter__(self):
        classes = {keras.layers.Layer, tf.keras.layers.Layer}
        self._calls = [(one, one.__call__) for one in classes]
        for layer_class, call in self._calls:
            layer_class.__call__ = self._kept(call)
        return self

    def __exit__(self, *_):
        for layer_class, call in self._calls:
            layer_class.__call__ = call

    def _kept(self, call):
        def kept(layer, *args, **kwargs):
            output = call(layer, *args, **kwargs)
            if _is_output_of_its_activation(layer, output):
                name = getattr(layer, "path", None) or layer.name
                self._outputs.setdefault(name, []).append(output)
            return output

        return kept

    def statistics(self) -> dict[str, np.ndarray]:
        """Return mean, root mean square and share of zeros of the output of
        each layer that was called once."""
        return {
            f"layer/{name}": _statistics(outputs[0].numpy())
            for name, outputs in self._outputs.items()
            if len(outputs) == 1
        }


def _is_output_of_its_activation(layer, output) -> bool:
    # A function of a package may do more than the activation in it, and so may
    # what wraps a layer, as to quantize what it returns.
    if isinstance(layer, (keras.layers.Wrapper, tf.keras.layers.Wrapper)):
        return False
    function = getattr(layer, "activation", None)
    module = getattr(function, "__module__", None) or "keras"
    is_keras = module.partition(".")[0] in ("keras", "tf_keras")
    return is_keras and tf.is_tensor(output) and output.dtype.is_floating


def _statistics(output) -> np.ndarray:
    output = np.asarray(output, np.float64)
    return np.array(
        [output.mean(), np.sqrt((output**2).mean()), (output == 0).mean()]
    )


def _loss(model, data):
    """Return the loss of a batch as `fit` has it."""
    x, y, weight = tf.keras.utils.unpack_x_y_sample_weight(data)
    outputs = model(x, training=True)
    if hasattr(model, "_compute_loss"):  # Keras 3
        return model._compute_loss(x, y, outputs, weight, training=True)
    return model.compute_loss(x, y, outputs, weight)


def _norm(gradient) -> float:
    gradient = tf.convert_to_tensor(gradient)
    return float(np.linalg.norm(np.asarray(gradient, np.float64)))


def _tf_variable(variable):
    return (
        getattr(variable, "value", variable)
        if (type(variable).__module__.startswith("keras."))
        else variable
    )
