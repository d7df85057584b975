"""The steps of every tag rise, through fits, callbacks, logs and findings."""

import collections

import keras
import numpy as np
import pytest

import gradscope
from gradscope.reading import event_files
from gradscope.wrapping import end_report


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """The events of each file of a run of four fits with two callbacks."""
    logdir = tmp_path_factory.mktemp("logs")
    keras.backend.clear_session()  # the names are those of a first model
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Dense(4, "relu", kernel_initializer="zeros"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(48, 3)).astype("float32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(end_report, "PAUSE", 0)  # short fits would have none
        for window in (1000, 999):  # other arguments: another file
            callback = gradscope.Callback(
                logdir, every=10, histograms=10, window=window
            )
            for epochs in (2, 1):
                model.fit(
                    x,
                    x[:, :1],
                    batch_size=2,
                    epochs=epochs,
                    verbose=0,
                    callbacks=[callback],
                )
        gradscope.flush()
    return [
        [event for event in event_files.events(path) if event.summary.value]
        for path in event_files.event_files(str(logdir / "gradscope"))
    ]


def test_the_steps_of_a_file_never_fall(events):
    assert len(events) == 2  # each callback has one
    for file in events:
        steps = [event.step for event in file]
        assert steps == sorted(steps)
    assert events[0][-1].step <= events[1][0].step


def test_the_steps_of_a_tag_rise_over_all_files(events):
    steps = collections.defaultdict(list)
    for event in (event for file in events for event in file):
        for value in event.summary.value:
            steps[value.tag].append(event.step)
    for tag, of_tag in steps.items():
        assert of_tag == sorted(set(of_tag)), tag
    assert steps["gradscope/findings"][0] == 48
    assert steps["gradscope/errors"] == [48, 72, 120, 144]
    assert steps["gradscope/learning_rate"][-1] == 140
    assert steps["gradients/dense/kernel"][-1] == 140


def test_no_scalar_is_undefined(events):
    scalars = [
        event_files.to_numpy(value.tensor)
        for file in events
        for event in file
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "scalars"
    ]
    assert len(scalars) > 200 and np.isfinite(scalars).all()
