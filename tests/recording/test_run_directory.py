"""Several trainings into one directory: all are kept, and all are shown."""

import os
import subprocess
import sys
import textwrap
import types
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.format.schema import Schema, Variable
from gradscope.reading import read
from gradscope.recording import event_writer, run_directory

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
TOLD = "already has the record of another training, so this training is"


@pytest.fixture(autouse=True)
def untold():
    run_directory._announced.clear()


def network(units=3, library=keras):
    layers = library.layers
    model = library.Sequential(
        [library.Input((4,)), layers.Dense(units, "relu"), layers.Dense(1)]
    )
    model.compile(library.optimizers.SGD(0.01), "mse")
    return model


def fit(model, logdir, epochs=1, others=()):
    """Trains four steps an epoch, each of which is recorded."""
    callback = gradscope.Callback(logdir, every=1, findings=False)
    model.fit(X, X[:, :1], 8, epochs, verbose=0, callbacks=[callback, *others])


def runs(directory):
    """Returns the steps of all runs by their name below a directory."""
    gradscope.flush()
    found = {}
    for path in read.runs_below(str(directory)):
        run = os.path.dirname(path)
        found[os.path.relpath(run, directory)] = gradscope.read(run).steps[-1]
    return {name: int(last) + 1 for name, last in found.items()}


@pytest.mark.parametrize("library", thinned([keras, tf_keras], fast=[keras]))
def test_each_training_is_a_run_of_its_own(library, tmp_path):
    fit(network(3, library), tmp_path, epochs=3)
    with pytest.warns(GradscopeWarning, match=TOLD) as told:
        fit(network(5, library), tmp_path)
    assert str(tmp_path / "run_2") in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it was said
        fit(network(3, library), tmp_path, epochs=2)
    assert runs(tmp_path) == {".": 12, "run_2": 4, "run_3": 8}
    second = gradscope.read(tmp_path / "run_2")
    assert second.schema.variables[0].shape == (4, 5)
    assert len(gradscope.read(tmp_path).schema.variables) == 4


def test_one_that_goes_on_is_one_run(tmp_path):
    model = network()
    fit(model, tmp_path)
    fit(model, tmp_path)
    model.compile(model.optimizer, "mae")
    fit(model, tmp_path)
    assert runs(tmp_path) == {".": 12}


def test_that_which_goes_on_is_the_last_one_of_the_model(tmp_path):
    first, second = network(3), network(5)
    fit(first, tmp_path)
    with pytest.warns(GradscopeWarning, match=TOLD):
        fit(second, tmp_path)
    fit(network(3), tmp_path)
    fit(second, tmp_path, epochs=2)
    assert runs(tmp_path) == {".": 4, "run_2": 12, "run_3": 4}


def test_another_model_is_another_run_whatever_its_step(tmp_path):
    fit(network(3), tmp_path)
    model = network(5)
    model.fit(X, X[:, :1], 8, verbose=0)
    fit(model, tmp_path)
    assert runs(tmp_path) == {".": 4, "run_2": 8}


@pytest.mark.parametrize(
    "names, directory",
    [("ab", "."), ("a", "."), ("abc", "."), ("ac", "run_2"), ("c", "run_2")],
)
def test_a_model_goes_on_if_all_variables_of_one_are_in_the_other(
    names, directory, tmp_path
):
    def described(names):
        variables = (Variable(n, n, (2, 2), "float32") for n in names)
        return Schema(tuple(variables))

    requested = str(tmp_path / "gradscope")
    file = event_writer.EventWriter(requested)
    file.write(0, 0.0, [event_writer.schema_value(described("ab"))])
    file.close()
    chosen = run_directory.choose(requested, described(names), first_step=5)
    assert os.path.relpath(os.path.dirname(chosen), tmp_path) == directory


def test_what_is_thawed_with_its_optimizer_goes_on(tmp_path):
    model = network()
    model.layers[0].trainable = False
    optimizer = tf_keras.optimizers.legacy.SGD(0.01)
    variables = [tf.Variable([1.0], name=name) for name in ("head", "base")]
    gradscope.wrap(optimizer, tmp_path, every=1)
    optimizer.apply_gradients([(tf.constant([1.0]), variables[0])])
    gradscope.unwrap(optimizer)
    gradscope.wrap(optimizer, tmp_path, every=1)
    optimizer.apply_gradients([(tf.constant([1.0]), v) for v in variables])
    gradscope.unwrap(optimizer)
    assert runs(tmp_path) == {".": 2}


def test_two_optimizers_with_one_directory_have_a_run_each(tmp_path):
    variable = tf.Variable([1.0])
    both = [
        gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path, every=1)
        for _ in range(2)
    ]
    for optimizer in both:
        optimizer.build([variable])
    with pytest.warns(GradscopeWarning, match=TOLD):
        for _ in range(3):
            for optimizer in both:
                optimizer.apply([tf.constant([1.0])])
        both[0].apply([tf.constant([1.0])])
        gradscope.flush()
    for optimizer in both:
        gradscope.unwrap(optimizer)
    assert sorted(runs(tmp_path).values()) == [3, 4]


def test_a_graph_of_tensorflow_1_goes_by_its_first_record(tmp_path):
    v1 = tf.compat.v1

    def train(first, steps):
        with tf.Graph().as_default():
            step = v1.train.get_or_create_global_step()
            weight = v1.get_variable("weight", initializer=[1.0])
            optimizer = v1.train.GradientDescentOptimizer(0.1)
            gradscope.wrap(optimizer, tmp_path, every=1)
            train_op = optimizer.minimize(weight**2, step)
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                session.run(step.assign(first))
                for _ in range(steps):
                    session.run(train_op)
            gradscope.unwrap(optimizer)

    train(0, 5)
    train(5, 2)
    with pytest.warns(GradscopeWarning, match=TOLD):
        train(0, 3)
    assert runs(tmp_path) == {".": 7, "run_2": 3}


def test_trials_of_keras_tuner_are_named_by_trial(tmp_path):
    for name in ("00", "01", "01"):
        trial = keras.callbacks.Callback()
        trial.trial = types.SimpleNamespace(trial_id=name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit(network(), tmp_path, others=[trial])
    assert runs(tmp_path) == {"00": 4, "01": 4, "01/run_2": 4}


def test_the_findings_are_told_of_the_run_that_has_them(tmp_path, capsys):
    def train():
        model = network()
        model.set_weights([0 * w for w in model.get_weights()])
        callback = gradscope.Callback(tmp_path, every=1)
        model.fit(X, X[:, :1], 8, 2, verbose=0, callbacks=[callback])
        return capsys.readouterr().err

    assert f"gradscope: {tmp_path}:" in train()
    with pytest.warns(GradscopeWarning, match=TOLD):
        assert f"gradscope: {tmp_path / 'run_2'}:" in train()


PROCESS = """
import sys, time, keras, numpy as np, gradscope
x = np.ones([32, 4], "float32")
model = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
model.compile("sgd", "mse")
while time.time() < float(sys.argv[2]):
    pass
model.fit(x, x[:, :1], 8, verbose=0, callbacks=[
    gradscope.Callback(sys.argv[1], every=1, findings=False)])
"""


@pytest.mark.slow
def test_processes_that_begin_at_once_have_a_run_each(tmp_path):
    import time

    code = textwrap.dedent(PROCESS)
    begin = str(time.time() + 30)
    all_of_them = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, begin])
        for _ in range(3)
    ]
    assert [one.wait(240) for one in all_of_them] == [0, 0, 0]
    assert runs(tmp_path) == {".": 4, "run_2": 4, "run_3": 4}


def test_a_damaged_schema_is_no_record_to_go_on_with(tmp_path):
    model = network()
    fit(model, tmp_path)
    (path,) = (tmp_path / "gradscope").iterdir()
    path.write_bytes(path.read_bytes()[:60])
    fit(model, tmp_path)
    assert runs(tmp_path / "run_2") == {".": 8}
