"""tf2onnx: converts a network after its training, which goes on then."""

import keras
import tensorflow as tf
import tf2onnx
from data import points
from nets import compiled, dense

PACKAGE = "tf2onnx"


def train(observe):
    keras.utils.set_random_seed(0)
    x, y = points()
    model = compiled(observe, dense())
    converted = []
    for _ in range(2):
        model.fit(x, y, epochs=2, verbose=0, callbacks=observe.callbacks)
        program = tf.function(
            model, input_signature=[tf.TensorSpec([None, 4], tf.float32)]
        )
        onnx, _ = tf2onnx.convert.from_function(
            program, program.input_signature
        )
        converted += [sorted(w.raw_data for w in onnx.graph.initializer)]
    return observe.state(model, converted)
