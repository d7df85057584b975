"""What is saved is what would be saved without gradscope, in the middle of a
training, which goes on as it would."""

import os
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf import saved_model_pb2

import gradscope

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = X[:, :1]
EPOCHS, STEPS = 3, 9


def subclass(kind, decorate=lambda method: method):
    class Net(kind.Model):
        def __init__(self):
            super().__init__(name="net")
            self.first = kind.layers.Dense(3, "relu")
            self.second = kind.layers.Dense(1)

        @decorate
        def call(self, x, training=False):
            if training:
                x = x + 1
            return self.second(self.first(x))

    return Net()


def sequential(kind):
    layers = [kind.layers.Dense(3, "relu"), kind.layers.Dense(1)]
    return kind.Sequential([kind.layers.InputLayer((4,)), *layers])


def around(kind, model):
    """Returns a model that holds another one."""

    class Around(kind.Model):
        def __init__(self):
            super().__init__(name="around")
            self.inner = model

        def call(self, x, training=False):
            return 2 * self.inner(x, training=training)

    outer = Around()
    outer.predict(X, verbose=0)
    return outer


def checkpoint(model, path):
    parts = {"model": model, "optimizer": model.optimizer}
    tf.train.Checkpoint(**parts).write(path)


GRAPH = {
    "graph": lambda kind, model, path: tf.saved_model.save(model, path),
}
NESTED = {
    "nested": lambda kind, model, path: tf.saved_model.save(
        around(kind, model), path
    ),
}
SAVED = {"saved": lambda kind, model, path: model.save(path)}
FILES = {
    "exported": lambda kind, model, path: model.export(path),
    "whole": lambda kind, model, path: model.save(path + ".keras"),
    "some": lambda kind, model, path: model.save_weights(path + ".weights.h5"),
    "some.ckpt": lambda kind, model, path: checkpoint(model, path),
}

#: Which Keras, the model, the ways to save it, and how it is observed.
CASES = {
    "subclass": (keras, subclass, GRAPH | NESTED, "wrap"),
    "sequential": (keras, sequential, FILES, "callback"),
    "tf_keras subclass": (tf_keras, subclass, SAVED | NESTED, "callback"),
    "tf_keras sequential": (tf_keras, sequential, FILES | SAVED, "wrap"),
    "tf_keras function": (
        tf_keras,
        lambda kind: subclass(kind, tf.function),
        GRAPH | SAVED,
        "wrap",
    ),
}


def trained(kind, make, ways, directory, how):
    """Saves after the second of three epochs, and returns weights and losses.

    Args:
        kind: `keras` or `tf_keras`.
        make: Makes the model.
        ways: To save it, by name.
        directory: Of files of these names.
        how: To observe it, None for not at all.
    """

    class Saves(kind.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            for name, save in ways.items() if epoch == 1 else ():
                save(kind, self.model, str(directory / name))

    kind.backend.clear_session()
    kind.utils.set_random_seed(0)
    directory.mkdir()
    model, optimizer, callbacks = make(kind), kind.optimizers.Adam(0.1), []
    if how == "wrap":
        gradscope.wrap(optimizer, directory / "run", model=model)
    if how == "callback":
        observe = gradscope.Callback(directory / "run", findings=False)
        callbacks.append(observe)
    model.compile(optimizer, "mse")
    history = model.fit(
        X,
        Y,
        batch_size=8,
        epochs=EPOCHS,
        callbacks=[*callbacks, Saves()],
        verbose=0,
    )
    if how is not None:
        gradscope.flush()
        steps = gradscope.read(directory / "run").steps
        assert steps.tolist() == list(range(STEPS))
    return [*model.get_weights(), np.array(history.history["loss"])]


def content(path: str) -> dict:
    """Returns what a file or directory holds, by name."""
    if os.path.isdir(path):
        tensors = values(path + "/variables/variables").values()
        # Keras 3 exports the variables of one model in one order or another.
        return {"graph": graph(path), "values": sorted(map(repr, tensors))}
    if path.endswith(".keras"):
        with zipfile.ZipFile(path) as file:
            config = file.read("config.json").decode()
            # An address in memory.
            config = re.sub(r'"shared_object_id": \d+', "", config)
            with file.open("model.weights.h5") as weights:
                return {"config": config} | arrays(weights)
    return arrays(path) if path.endswith(".h5") else values(path)


def values(path: str) -> dict:
    reader = tf.train.load_checkpoint(path)
    names = reader.get_variable_to_shape_map()
    # The proto of the objects has numbers of one process in it.
    return {
        name: None if name.startswith("_CHECK") else reader.get_tensor(name)
        for name in sorted(names)
    }


def arrays(file) -> dict:
    found = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(file) as opened:
        opened.visititems(add)
    return found


def graph(path: str) -> list:
    """Returns all of a SavedModel that has no number of this process."""
    saved = saved_model_pb2.SavedModel()
    with open(path + "/saved_model.pb", "rb") as file:
        saved.ParseFromString(file.read())
    (graph,) = saved.meta_graphs
    functions = [
        (f.signature.name, [(node.op, node.name) for node in f.node_def])
        for f in graph.graph_def.library.function
    ]
    described = [
        *graph.object_graph_def.nodes,
        *functions,
        *graph.signature_def,
    ]
    return sorted(re.sub(r"\d+", "", str(part)) for part in described)


@pytest.mark.parametrize("case", CASES)
def test_saved_in_the_middle_of_a_training(case, tmp_path):
    kind, make, ways, how = CASES[case]
    plain = trained(kind, make, ways, tmp_path / "plain", None)
    observed = trained(kind, make, ways, tmp_path / "observed", how)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)
    for file in sorted(os.listdir(tmp_path / "plain")):
        if file.startswith("some.ckpt"):  # which is two files
            file = "some.ckpt"
        expected = content(str(tmp_path / "plain" / file))
        actual = content(str(tmp_path / "observed" / file))
        np.testing.assert_equal(actual, expected, err_msg=file)
