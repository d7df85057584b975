"""In a session, too, a layer of Keras has one name for its weights, activations
and states."""

import pytest
import tensorflow as tf
import tf_keras
from thinning import thinned
from training import X, Y

import gradscope

v1 = tf.compat.v1
layers = tf_keras.layers


class Block(layers.Layer):
    """Layers with weights, and without, inside of one."""

    def __init__(self, name):
        super().__init__(name=name)
        self.hidden = layers.Dense(12, "relu", name="hidden")
        self.norm = layers.BatchNormalization(name="norm")
        self.bend = layers.Activation("tanh", name="bend")
        self.drop = layers.Dropout(0.1, name="drop")

    def call(self, x, training=None):
        bent = self.bend(self.norm(self.hidden(x), training=training))
        return x + self.drop(bent, training=training)


def nested():
    """A model inside of another one."""
    inputs = tf_keras.Input((12,))
    outputs = Block("block_1")(Block("block_0")(inputs))
    backbone = tf_keras.Model(inputs, outputs, name="backbone")
    logits = layers.Dense(3, name="logits")(backbone(inputs))
    return tf_keras.Model(inputs, logits, name="task")


# A model that was called before has scopes with numbers: `task_1`.
@pytest.mark.parametrize("calls", thinned([1, 2], fast=[2]))
def test_a_layer_has_one_name(calls, tmp_path):
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 12])
        y = v1.placeholder(tf.int64, [None])
        model = nested()
        for _ in range(calls):
            logits = model(x, training=True)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        optimizer = v1.train.AdamOptimizer(0.01)
        gradscope.wrap(optimizer, tmp_path, every=1)
        train_op = optimizer.minimize(tf.reduce_mean(loss))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(train_op, {x: X[:16], y: Y[:16]})
    gradscope.flush()
    record = gradscope.read(tmp_path)
    blocks = ("block_0", "block_1")
    of_blocks = [f"{b}/{name}" for b in blocks for name in ("hidden", "norm")]
    assert record.layers == (*of_blocks, "logits")
    assert record.activations == tuple(
        f"{b}/{name}" for b in blocks for name in ("hidden/relu", "bend/tanh")
    )
    states = [(state.name, state.layer) for state in record.schema.states]
    assert states == [
        (f"{b}/{name}",) * 2 for b in blocks for name in ("norm", "drop")
    ]
