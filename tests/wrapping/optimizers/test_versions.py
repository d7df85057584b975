"""Versions of TensorFlow and Keras that are too old, or differ."""

import contextlib
import subprocess
import sys
import textwrap
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.runtime import versions
from gradscope.wrapping.forward import fallback
from gradscope.wrapping.optimizers import keras as keras_kind
from gradscope.wrapping.optimizers import keras_versions


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("2.16.2", (2, 16)),
        ("2.22.0rc0", (2, 22)),
        ("2.23.0.dev20261026", (2, 23)),
        ("3.15.1", (3, 15)),
    ],
)
def test_a_version_is_two_numbers(version, numbers, monkeypatch):
    monkeypatch.setattr(tf, "__version__", version)
    assert versions.version_of("tensorflow") == numbers


@pytest.mark.parametrize("name", ["wrap", "Callback", "probe", "check"])
def test_a_tensorflow_that_is_too_old_is_an_error_at_once(name):
    script = f"""
        import sys, types
        for name in ("tensorflow", "keras"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["tensorflow"].__version__ = "2.15.1"
        import gradscope
        try:
            gradscope.{name}
        except ImportError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
    )
    assert done.stdout == (
        "TensorFlow 2.15.1 is too old: gradscope needs TensorFlow 2.16 or "
        "newer. Run: pip install --upgrade tensorflow.\n"
    )


def test_a_keras_that_is_too_old_is_an_error_at_once(monkeypatch, tmp_path):
    optimizer = keras.optimizers.SGD()
    monkeypatch.setattr(keras, "__version__", "3.2.1")
    reason = (
        r"Keras 3\.2\.1 is too old: gradscope needs Keras 3\.3 or newer\. "
        r"Run: pip install --upgrade keras\."
    )
    with pytest.raises(NotImplementedError, match=f"optimizer: {reason}"):
        gradscope.wrap(optimizer, tmp_path)
    with pytest.raises(NotImplementedError, match=f"a `fit`: {reason}"):
        gradscope.Callback(tmp_path)


def test_a_failure_is_to_be_reported_with_the_versions(monkeypatch):
    monkeypatch.setattr(tf, "__version__", "2.22.0rc0")
    monkeypatch.setattr(keras, "__version__", "3.16.0")
    monkeypatch.setitem(sys.modules, "tf_keras", types.ModuleType("tf_keras"))
    sys.modules["tf_keras"].__version__ = "2.22.0"
    versions_in_use = "TensorFlow 2.22.0rc0, Keras 3.16.0, tf_keras 2.22.0"
    request = f"Please report this, with the versions: {versions_in_use}."
    assert versions.report_request() == request
    assert fallback.advice(AttributeError("name")) == request


def test_replicas_that_train_models_of_their_own_are_refused(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(keras, "__version__", "3.4.1")
    monkeypatch.setattr(keras_kind, "_replica_count", lambda optimizer: 2)
    with pytest.raises(
        NotImplementedError,
        match=r"Keras 3\.4\.1 does not add up the gradients of replicas, so "
        r"each trains a model of its own\. Run: pip install 'keras>=3\.5'",
    ):
        gradscope.wrap(keras.optimizers.SGD(), tmp_path)


def test_the_warning_names_what_keras_clips(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.4.1")
    warning = keras_versions.clips_first_warning()
    assert warning.startswith("Keras 3.4.1 clips the gradients of each call")
    assert "`gradient_norm`" in warning and "From Keras 3.5 on" in warning


def test_of_gradients_that_are_clipped_and_accumulated(tmp_path):
    """Their mean is clipped; before Keras 3.5, they are clipped themselves."""
    weight = keras.Variable([0.0, 0.0])
    optimizer = keras.optimizers.SGD(
        1.0, clipnorm=1.0, gradient_accumulation_steps=2
    )
    gradscope.wrap(optimizer, tmp_path, every=1)
    expected, context = [2.5, 1.0], contextlib.nullcontext()
    if versions.version_of("keras") < (3, 5):
        expected = [0.5, 0.5]
        context = pytest.warns(gradscope.GradscopeWarning, match="clips the")
    with context:
        for gradient in [[3.0, 4.0], [0.0, 0.0]] * 2:
            optimizer.apply([tf.constant(gradient)], [weight])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1]
    for statistic, value in [
        ("gradient_norm", expected[0]),
        ("clipped_gradient_norm", expected[1]),
        ("update_norm", expected[1]),
    ]:
        np.testing.assert_allclose(record[statistic], [[value]] * 2, rtol=1e-6)
