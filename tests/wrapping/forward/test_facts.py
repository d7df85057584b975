"""What a Keras model says of itself."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from training import X

import gradscope
from gradscope.format import model_facts
from gradscope.format.schema import Schema, SchemaError
from gradscope.runtime.described_variables import DescribedVariables

LIBRARIES = pytest.mark.parametrize("library", [keras, tf_keras])


def network(library):
    """A model in a model, with layers of all kinds."""
    layers = library.layers
    inner = library.Sequential(
        [
            library.Input((8,)),
            layers.Dense(8, "tanh", name="deep"),
            layers.Dropout(0.25, name="inner_drop"),
        ],
        name="inner",
    )
    return library.Sequential(
        [
            library.Input((12,)),
            layers.Dense(8, use_bias=False, name="first"),
            layers.BatchNormalization(momentum=0.5, center=False, name="norm"),
            layers.ReLU(name="rectified"),
            inner,
            layers.Dropout(0.5, name="drop"),
            layers.Dense(
                3,
                "softmax",
                kernel_initializer="zeros",
                kernel_regularizer=library.regularizers.L2(0.5),
                name="out",
            ),
        ],
        name="network",
    )


def fit(model, logdir, library=keras, how="wrap", loss="mse", y=None, **more):
    optimizer = library.optimizers.SGD(0.01)
    callbacks = []
    if how == "wrap":
        gradscope.wrap(optimizer, logdir, every=1, model=model)
    else:
        callbacks = [gradscope.Callback(logdir, every=1)]
    options = {} if library is tf_keras else {"jit_compile": False}
    model.compile(optimizer, loss, **{**options, **more})
    if y is None:
        y = np.ones([16, *model.output_shape[1:]], "float32")
    model.fit(X[:16], y, verbose=0, callbacks=callbacks)
    gradscope.flush()
    return gradscope.read(logdir)


def told(model):
    """Returns what a model tells where nothing is recorded."""
    known = model.trainable_variables
    return gradscope.wrapping.forward.model_facts.describe_model(
        model, DescribedVariables.of(known), Schema(())
    )


@LIBRARIES
@pytest.mark.parametrize("how", ["wrap", "callback"])
def test_layers_have_the_names_of_the_rows(library, how, tmp_path):
    record = fit(network(library), tmp_path, library, how)
    named = {one["name"]: one for one in record.schema.model["layers"]}
    assert [one["class"] for one in named.values()] == [
        "Dense",
        "BatchNormalization",
        "ReLU",
        "Dense",
        "Dropout",
        "Dropout",
        "Dense",
    ]
    rows = {*record.layers, *(s.layer for s in record.schema.states)}
    rows |= {a.rpartition("/")[0] for a in record.activations}
    assert set(named) == rows
    assert len(record.layers) == 4 and len(record.schema.states) == 3


@LIBRARIES
@pytest.mark.parametrize("eager", [False, True])
def test_a_configuration_says_what_rules_ask_for(library, eager, tmp_path):
    record = fit(network(library), tmp_path, library, run_eagerly=eager)
    layers = record.schema.model["layers"]
    first, norm, rectified, deep, _, drop, out = (
        one["config"] for one in layers
    )
    assert first["units"] == 8 and first["use_bias"] is False
    assert first["activation"] == "linear"
    assert first["kernel_initializer"]["class_name"] == "GlorotUniform"
    assert norm["momentum"] == 0.5 and norm["epsilon"] == 0.001
    assert norm["axis"] in (-1, [1])
    assert rectified == {"trainable": True}
    assert deep["activation"] == "tanh" and deep["trainable"] is True
    assert drop["rate"] == 0.5
    assert out["kernel_initializer"] == {"class_name": "Zeros", "config": {}}
    assert out["kernel_regularizer"] == {
        "class_name": "L2",
        "config": {"l2": 0.5},
    }
    assert out["bias_regularizer"] is None
    assert all(set(one["config"]) <= set(model_facts.LAYER) for one in layers)


@LIBRARIES
@pytest.mark.parametrize(
    "loss, expected",
    [
        ("mse", ("mean_squared_error", None)),
        ("binary_crossentropy", ("binary_crossentropy", False)),
        (
            lambda library: library.losses.BinaryCrossentropy(from_logits=True),
            ("BinaryCrossentropy", True),
        ),
        (lambda library: own_loss, ("own_loss", None)),
        (lambda library: library.losses.MeanAbsoluteError(), None),
    ],
)
def test_the_loss_is_told_by_its_name(library, loss, expected):
    loss = loss(library) if callable(loss) else loss
    model = network(library)
    model.compile("sgd", loss, metrics=["accuracy"])
    model = told(model)
    name, from_logits = expected or ("MeanAbsoluteError", None)
    assert model["loss"]["class"] == name
    assert model["loss"]["config"].get("from_logits") is from_logits
    assert model["metrics"] == ["accuracy"]


def own_loss(y_true, y_pred):
    return tf.reduce_mean((y_true - y_pred) ** 2)


@LIBRARIES
def test_each_output_has_a_loss(library, tmp_path):
    inputs = library.Input((12,))
    outputs = {
        name: library.layers.Dense(2, name=name)(inputs) for name in "ab"
    }
    model = library.Model(inputs, outputs)
    y = {name: np.ones([16, 2], "float32") for name in "ab"}
    loss = {"b": "mae", "a": "mse"}
    metrics = {"a": ["mse", library.metrics.MeanSquaredError(name="own")]}
    record = fit(model, tmp_path, library, loss=loss, y=y, metrics=metrics)
    model = record.schema.model
    assert [one["class"] for one in model["loss"]] == [
        "mean_squared_error",
        "mean_absolute_error",
    ]
    assert model["metrics"] == ["mse", "own"]


class Odd(keras.layers.Layer):
    """Knows nothing of how it was made, and looks at its weights for it."""

    def __init__(self, size, how):
        super().__init__(name="odd")
        self.size = size
        self.how = how

    def build(self, shape):
        self.scale = self.add_weight(shape=[self.size])

    def call(self, inputs):
        return inputs * self.scale

    def get_config(self):
        return self.how(self)


def fails(layer):
    raise NotImplementedError("no configuration")


@pytest.mark.parametrize(
    "how, expected",
    [
        (fails, {}),
        (lambda layer: None, {}),
        (lambda layer: 7, {}),
        (lambda layer: {"units": object(), "rate": 0.5}, {"rate": 0.5}),
        (lambda layer: {"units": np.ones(3)}, {}),
        (lambda layer: {"units": np.int64(3)}, {"units": 3}),
        (lambda layer: {"activation": "x" * 300}, {"activation": "x" * 200}),
        (lambda layer: {"activation": tf.nn.relu}, {"activation": "relu"}),
        (lambda layer: {"strides": list(range(1000))}, {}),
        (
            lambda layer: {"rate": float(tf.reduce_sum(layer.scale * 0))},
            {"rate": 0.0},
        ),
    ],
)
def test_an_odd_layer_is_told_as_far_as_it_can_be(how, expected):
    model = keras.Sequential([keras.Input((12,)), Odd(12, how)])

    @tf.function
    def traced():
        layers.extend(told(model)["layers"])

    layers = told(model)["layers"]
    traced()
    layer = {"name": "odd", "class": "Odd", "config": expected}
    assert layers == [layer, layer]


@pytest.mark.parametrize("eager", [False, True])
def test_an_odd_layer_does_not_end_a_training(eager, tmp_path):
    model = keras.Sequential([keras.Input((12,)), Odd(12, fails)])
    record = fit(model, tmp_path, run_eagerly=eager)
    (layer,) = record.schema.model["layers"]
    assert layer["config"] == {} and len(record.steps) == 1


def test_asking_adds_nothing_to_the_graph(tmp_path):
    model = keras.Sequential(
        [keras.Input((12,)), Odd(12, lambda x: {"rate": x.scale + 1.0})]
    )
    model.compile("sgd", "mse")

    @tf.function
    def step():
        before = len(tf.compat.v1.get_default_graph().get_operations())
        layers = told(model)["layers"]
        after = len(tf.compat.v1.get_default_graph().get_operations())
        assert len(layers) == 1 and before == after

    step()


def test_layers_that_are_too_many_are_cut(monkeypatch):
    monkeypatch.setattr(
        gradscope.wrapping.forward.model_facts, "MOST_LAYERS", 2
    )
    assert len(told(network(keras))["layers"]) == 2


def test_a_layer_without_variables_is_named_by_its_path(tmp_path):
    class Block(keras.layers.Layer):
        def __init__(self, name):
            super().__init__(name=name)
            self.dense = keras.layers.Dense(12, name="dense")
            self.drop = keras.layers.Dropout(0.1, name="drop")

        def call(self, x):
            return self.drop(keras.activations.relu(self.dense(x)))

    model = keras.Sequential(
        [keras.Input((12,)), Block("one"), Block("two")], name="network"
    )
    record = fit(model, tmp_path)
    names = [one["name"] for one in record.schema.model["layers"]]
    assert names == [
        "one",
        "one/dense",
        "one/drop",
        "two",
        "two/dense",
        "two/drop",
    ]
    assert [s.name for s in record.schema.states] == ["one/drop", "two/drop"]
    assert record.layers == ("one/dense", "two/dense")


def test_without_a_model_there_is_nothing(tmp_path):
    kernel = keras.Variable(np.ones([12, 1], "float32"), name="kernel")
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path, every=1)
    optimizer.apply([tf.ones([12, 1])], [kernel])
    assert gradscope.read(tmp_path).schema.model == {}


TOLD = {
    "layers": [{"name": "a", "class": "Dense", "config": {"units": 3}}],
    "loss": {"class": "mean_squared_error", "config": {}},
    "metrics": ["accuracy"],
}


def with_model(model) -> str:
    return json.dumps({**json.loads(Schema(()).to_json()), "model": model})


@pytest.mark.parametrize(
    "model", [TOLD, {}, {**TOLD, "loss": None}, {**TOLD, "loss": [None] * 2}]
)
def test_a_model_survives_json(model):
    schema = Schema((), model=model)
    assert Schema.from_json(schema.to_json()) == schema
    assert schema.id == Schema(()).id


@pytest.mark.parametrize(
    "model",
    [
        None,
        [],
        "model",
        {"layers": []},
        {**TOLD, "layers": {"a": 1}},
        {**TOLD, "layers": [7]},
        {**TOLD, "layers": [{"name": "a", "class": "Dense"}]},
        {**TOLD, "layers": [{"name": "a", "class": 1, "config": {}}]},
        {**TOLD, "loss": "mse"},
        {**TOLD, "metrics": None},
    ],
)
def test_a_damaged_model_is_refused(model):
    with pytest.raises(SchemaError, match="damaged gradscope schema"):
        Schema.from_json(with_model(model))
