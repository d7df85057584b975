"""What `wrap`, `unwrap` and `flush` refuse, and what they say of it."""

import keras
import pytest
import tensorflow as tf
from small_steps import adam

import gradscope


def test_what_is_not_an_optimizer_is_refused(tmp_path):
    for wrong in ("adam", None, object(), keras.optimizers.Adam):
        with pytest.raises(
            TypeError, match="must be an optimizer of Keras 3 with"
        ):
            gradscope.wrap(wrong, tmp_path)


@pytest.mark.parametrize(
    "strategy",
    [
        tf.distribute.experimental.CentralStorageStrategy,
        tf.distribute.experimental.ParameterServerStrategy,
        tf.distribute.TPUStrategy,
    ],
)
def test_a_strategy_that_is_not_supported_is_refused(strategy, tmp_path):
    optimizer = keras.optimizers.SGD()
    # Made without its hardware, which is not at hand.
    optimizer._distribution_strategy = strategy.__new__(strategy)
    with pytest.raises(
        NotImplementedError,
        match=rf"belongs to a {strategy.__name__}.*, but only Mirrored.* are "
        r"supported\. Train with one of these",
    ):
        gradscope.wrap(optimizer, tmp_path)


def test_an_optimizer_is_wrapped_once(tmp_path):
    optimizer = gradscope.wrap(adam(), tmp_path / "a")
    with pytest.raises(ValueError, match="is already observed and writes to"):
        gradscope.wrap(optimizer, tmp_path / "b")


@pytest.mark.parametrize("every", [0, -1, 2.5, "10", True, None])
def test_every_must_be_a_count_or_a_schedule(every, tmp_path):
    with pytest.raises(ValueError, match="`every` must be a whole number"):
        gradscope.wrap(adam(), tmp_path, every=every)


@pytest.mark.parametrize("histograms", [0, "all"])
def test_histograms_must_be_a_count_or_a_schedule(histograms, tmp_path):
    with pytest.raises(ValueError, match="`histograms` must be a whole number"):
        gradscope.wrap(adam(), tmp_path, histograms=histograms)


def test_a_log_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"must be a directory, .* is a file"):
        gradscope.wrap(adam(), tmp_path / "file")
    with pytest.raises(TypeError, match="`logdir` must be a path"):
        gradscope.wrap(adam(), None)


@pytest.mark.parametrize("name", ["include", "exclude"])
def test_patterns_must_be_strings(name, tmp_path):
    with pytest.raises(TypeError, match=f"`{name}` must be a pattern"):
        gradscope.wrap(adam(), tmp_path, **{name: [1]})


def test_after_a_refusal_the_optimizer_is_not_wrapped(tmp_path):
    optimizer = adam()
    with pytest.raises(ValueError):
        gradscope.wrap(optimizer, tmp_path, every=0)
    assert "apply" not in vars(optimizer)


def test_only_an_observed_optimizer_can_be_unwrapped_or_flushed():
    with pytest.raises(ValueError, match=r"not observed.*can be unwrapped"):
        gradscope.unwrap(adam())
    with pytest.raises(ValueError, match=r"not observed.*or None to flush all"):
        gradscope.flush(adam())
