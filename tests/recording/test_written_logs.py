"""What whole trainings write, as any reader of event files finds it."""

import concurrent.futures
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from drains import shown_steps, steps_of_tags
from plugin_client import PROVIDERS, loaded
from tensorboard.backend.event_processing import event_file_inspector

import gradscope
from gradscope.format import schema
from gradscope.reading import event_files

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
DATA_CLASSES = {"scalars": 1, "histograms": 2, "text": 2, "gradscope": 2}


def train_in_fits(logdir):
    """Trains three times, the last time without the first layer."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(4, "relu", kernel_initializer="zeros", name="a"),
        keras.layers.Dense(1, name="b"),
    ]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.SGD(0.1)
    callback = gradscope.Callback(
        logdir, every=1, histograms=2, include="*", window=32, probe=(X, X)
    )
    for fits in (2, 1):
        model.compile(optimizer, "mse")
        for _ in range(fits):
            model.fit(
                X, X[:, :1], 16, epochs=2, verbose=0, callbacks=[callback]
            )
        layers[0].trainable = False
    gradscope.flush()


def train_in_threads(logdir):
    """Trains two sets of variables in four threads, which also write.

    One at a time makes a step: Keras counts steps wrong otherwise.
    """
    variables = [tf.Variable([1.0, 2.0], name=name) for name in "ab"]
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(variables)
    gradscope.wrap(optimizer, logdir, every=1, histograms=2)

    lock = threading.Lock()

    def loop(number):
        some = variables[: 1 + number % 2]
        for step in range(20):
            with lock:
                optimizer.apply([tf.ones([2])] * len(some), some)
            if step % 5 == number:
                gradscope.flush()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(loop, range(4)))
    gradscope.unwrap(optimizer)


def train_with_skips(logdir):
    """Trains with a loss scale of which the first tries overflow, and writes
    after each try."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(1, name="a")])
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1),
        initial_scale=2.0**127,
        dynamic_growth_steps=3,
    )
    model.compile(optimizer, "mse")
    callback = gradscope.Callback(logdir, every=1, probe=(X, X[:, :1]))
    flush = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: gradscope.flush()
    )
    for _ in range(2):
        model.fit(
            *(X, X[:, :1], 32),
            epochs=4,
            verbose=0,
            callbacks=[callback, flush],
        )


def train_with_few_steps(logdir):
    """Trains with gradients that are summed over epochs, resumed twice, with
    batches between the fits."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(4, name="a"),
        keras.layers.BatchNormalization(name="b"),
    ]
    model = keras.Sequential(layers)
    model.compile(
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=4), "mse"
    )
    callback = gradscope.Callback(logdir, every=1, histograms=1, probe=(X, X))
    for begin in (0, 5, 9):
        model.fit(
            *(X, X, 64),
            initial_epoch=begin,
            epochs=begin + 5,
            verbose=0,
            callbacks=[callback],
        )
        model.train_on_batch(X, X)


TRAININGS = {
    "fits": train_in_fits,
    "threads": train_in_threads,
    "skips": train_with_skips,
    "few steps": train_with_few_steps,
}


@pytest.fixture(scope="module", params=TRAININGS)
def logdir(request, tmp_path_factory):
    logdir = tmp_path_factory.mktemp(request.param)
    TRAININGS[request.param](logdir / "run")
    return logdir


@pytest.fixture
def directory(logdir):
    return logdir / "run" / schema.DIRECTORY


def test_the_steps_of_each_tag_rise_and_those_of_the_file_never_fall(directory):
    of_tags, of_events = steps_of_tags(directory)
    for tag, steps in of_tags.items():
        assert steps == sorted(set(steps)), tag
    assert of_events == sorted(of_events)
    # The steps at which `tensorboard --inspect` says that points go back; of
    # one file, since it takes those of a directory in any order.
    for path in event_files.event_files(str(directory)):
        (unit,) = event_file_inspector.get_inspection_units(event_file=path)
        printed = event_file_inspector.get_dict_to_print(unit.field_to_obs)
        assert printed["tensor"]["outoforder_steps"] == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_tensorboard_shows_each_point_of_each_tag(logdir, directory, provider):
    of_tags, _ = steps_of_tags(directory)
    source = loaded(logdir, provider)
    assert shown_steps(source, "run/gradscope") == of_tags


def test_each_value_says_by_itself_what_it_is(directory):
    texts = set()
    for path in event_files.event_files(str(directory)):
        for event in event_files.events(path):
            for value in event.summary.value:
                name = value.metadata.plugin_data.plugin_name
                assert value.metadata.data_class == DATA_CLASSES[name]
                array = event_files.to_numpy(value.tensor)
                if name == "scalars":
                    assert np.isfinite(array), value.tag
                if isinstance(array, bytes):
                    texts.add(value.tag)
                assert (name == "text") == isinstance(array, bytes)
    assert texts <= {"gradscope/findings"}
