"""A layer has one name in a run for its weights, activations, state and
configuration."""

import itertools

import keras
import pytest
import tensorflow as tf
import tf_keras
from thinning import thinned
from training import X, Y, loss

import gradscope
from gradscope.runtime import scopes

INNER = {"block_0/hidden", "block_0/gate", "block_1/hidden", "block_1/gate"}


class Block(keras.layers.Layer):
    """Layers with weights, and without, inside of one."""

    def __init__(self, width, **options):
        super().__init__(**options)
        layers = keras.layers
        self.hidden = layers.Dense(width, "relu", name="hidden")
        self.gate = layers.Dense(width, name="gate")
        self.bend = layers.Activation("tanh", name="bend")
        self.drop = layers.Dropout(0.1, name="drop")

    def build(self, shape):
        self.hidden.build(shape)
        self.gate.build(shape)
        self.built = True

    def call(self, x, training=None):
        bent = self.bend(self.gate(self.hidden(x)))
        return x + self.drop(bent, training=training)


def backbone():
    """Its layers are built before anything holds it: their weights' paths do
    not know its name, and the scopes of operations do."""
    inputs = keras.Input((12,))
    h = inputs
    for number in range(2):
        h = Block(12, name=f"block_{number}")(h)
    return keras.Model(inputs, h, name="backbone")


def functional():
    inner = backbone()
    outputs = keras.layers.Dense(3, name="logits")(inner(inner.input))
    return keras.Model(inner.input, outputs, name="task")


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="task")
        self.inner = backbone()
        self.logits = keras.layers.Dense(3, name="logits")

    def call(self, x, training=None):
        return self.logits(self.inner(x, training=training))


def layer_of(name: str) -> str:
    return name.rpartition("/")[0]


@pytest.mark.parametrize(
    ("make", "how"),
    thinned(
        list(
            itertools.product(
                [functional, Subclassed], ["callback", "wrap", "loop"]
            )
        ),
        fast=[(functional, "callback"), (Subclassed, "loop")],
    ),
)
def test_a_model_inside_of_another_has_one_name_for_each_layer(
    make, how, tmp_path
):
    keras.backend.clear_session()
    model, optimizer = make(), keras.optimizers.SGD(0.1)
    callbacks = []
    if how == "callback":
        callbacks = [
            gradscope.Callback(tmp_path, every=1, findings=False, probe=False)
        ]
    else:
        gradscope.wrap(optimizer, tmp_path, every=1)
    if how == "loop":

        @tf.function
        def step():
            with tf.GradientTape() as tape:
                value = loss()(Y[:16], model(X[:16], training=True))
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(value, variables), variables)

        step()
    else:
        model.compile(optimizer, loss(), jit_compile=False)
        model.fit(X[:16], Y[:16], verbose=0, callbacks=callbacks)
    gradscope.flush()
    record = gradscope.read(tmp_path)
    assert INNER <= set(record.layers)
    assert {*map(layer_of, record.activations)} == {
        f"block_{n}/{name}" for n in range(2) for name in ("hidden", "bend")
    }
    states = {state.name for state in record.schema.states}
    assert states == {"block_0/drop", "block_1/drop"}
    if how == "callback":
        names = {facts["name"] for facts in record.schema.model["layers"]}
        rows = {*record.layers, *map(layer_of, record.activations), *states}
        assert rows <= names
        assert names - rows == {"block_0", "block_1"}


class Wrapper(tf_keras.layers.Wrapper):
    """Named as those of TensorFlow's model optimization."""

    def __init__(self, layer):
        super().__init__(layer, name=f"prune_low_magnitude_{layer.name}")

    def call(self, x, training=None):
        if isinstance(self.layer, tf_keras.layers.BatchNormalization):
            return self.layer.call(x, training=training)
        return self.layer.call(x)


def test_a_layer_that_is_wrapped_keeps_the_name_of_its_weights(tmp_path):
    layers = tf_keras.layers
    plain = tf_keras.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(8, "relu", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, name="logits"),
        ]
    )
    model = tf_keras.Sequential(
        [layers.Input((12,)), *map(Wrapper, plain.layers)]
    )
    optimizer = tf_keras.optimizers.SGD(0.1)
    gradscope.wrap(optimizer, tmp_path, every=1)
    compiled = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, compiled)
    model.fit(X[:16], Y[:16], verbose=0)
    record = gradscope.read(tmp_path)
    assert record.layers == ("first", "norm", "logits")
    assert record.activations == ("first/relu",)
    assert [state.name for state in record.schema.states] == ["norm"]


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        # A layer with weights, and others in a model or a layer without any.
        ("task/block/dense", "block/dense"),
        ("task/bend", "bend"),
        ("bend", "bend"),
        ("task/other/bend", "other/bend"),
        # Layers inside of a layer that has others with weights.
        ("task/block/bend", "block/bend"),
        ("task/backbone/block/bend", "block/bend"),
        ("task/backbone/block/inner/bend", "block/inner/bend"),
        ("task/backbone/block", "block"),
    ],
)
def test_the_layer_of_a_scope(scope, name):
    names = scopes.LayerNames([], {}, {"block/dense", "logits"})
    assert names.layer(scope) == name


def test_only_a_scope_that_reads_a_layers_weights_is_that_of_its_wrapper():
    owners = {
        "net/quant_first/MatMul/ReadVariableOp/resource:0": "first",
        "net/second/MatMul/ReadVariableOp/resource:0": "second",
    }
    names = scopes.LayerNames([], owners, {"first", "second"})
    assert names.layer("net/quant_first") == "first"
    assert names.layer("net/bend_first") == "bend_first"
    assert names.layer("net/bend_second") == "bend_second"


def test_parents_are_all_beginnings_of_layers():
    assert scopes.parent_paths({"a/b/c", "d"}) == {"a", "a/b"}


def test_a_path_without_a_parent_has_no_name():
    assert scopes.path_in_parent(("x", "y"), set()) is None
