"""What whole trainings write, as any reader of event files finds it."""

import concurrent.futures
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from drains import steps_of_tags
from plugin_client import PROVIDERS, loaded, plugin_context
from tensorboard.backend.event_processing import event_file_inspector
from tensorboard.data import provider as tensorboard_provider

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


TRAININGS = {"fits": train_in_fits, "threads": train_in_threads}


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
        rising = steps if tag.startswith("gradscope/schema") else set(steps)
        assert steps == sorted(rising), tag
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
    shown = {}
    for plugin in DATA_CLASSES:
        kind = "scalars" if plugin == "scalars" else "tensors"
        by_run = getattr(source, f"read_{kind}")(
            plugin_context(),
            experiment_id="",
            plugin_name=plugin,
            downsample=10**6,
            run_tag_filter=tensorboard_provider.RunTagFilter(),
        )
        for tag, points in by_run.get("run/gradscope", {}).items():
            shown[tag] = [point.step for point in points]
    # Of a schema with two notes of one step, the last is shown.
    assert shown == {
        tag: steps if provider == "python" else sorted(set(steps))
        for tag, steps in of_tags.items()
    }


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
