"""A run that is interrupted and resumed in the same log directory."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import X, Y, loss

import gradscope
from gradscope.reading import event_files

PER_EPOCH = 11


def network():
    # No dropout: Keras does not back up where its random stream was.
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(8, "tanh", name="first"),
            layers.Dense(3, name="logits"),
        ]
    )


class Crash(Exception):
    pass


class CrashAt(keras.callbacks.Callback):
    """Ends training in the middle of an epoch, as a power failure does."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Crash


def fit(how, logdir, backups, crash_at=None):
    """Trains three epochs, from the last backup on if there is one."""
    keras.utils.set_random_seed(7)
    model = network()
    optimizer = keras.optimizers.Adam(0.01)
    callbacks = [keras.callbacks.BackupAndRestore(backups)]
    if how == "wrap":
        gradscope.wrap(optimizer, logdir, every=1)
    elif how == "first":
        callbacks.insert(0, gradscope.Callback(logdir, every=1))
    elif how == "last":
        callbacks.append(gradscope.Callback(logdir, every=1))
    if crash_at:
        callbacks.append(CrashAt(crash_at))
    model.compile(optimizer, loss(), jit_compile=False)
    try:
        model.fit(
            X,
            Y,
            batch_size=16,
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    except Crash:
        # In truth the process is dead now.
        gradscope.unwrap(optimizer)
    gradscope.flush()
    return model


def numbers(record):
    return record["gradient_norm"], record["weight_norm"]


@pytest.mark.parametrize(
    "how", thinned(["wrap", "first", "last"], fast=["wrap"])
)
def test_backup_and_restore_leaves_no_hole_and_no_double_step(how, tmp_path):
    whole = fit(how, tmp_path / "whole", tmp_path / "a")
    fit(how, tmp_path / "run", tmp_path / "b", crash_at=PER_EPOCH + 5)
    interrupted = gradscope.read(tmp_path / "run")
    resumed = fit(how, tmp_path / "run", tmp_path / "b")
    for a, b in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    # 16 steps, back to the end of the first epoch, then on.
    assert interrupted.steps.tolist()[-1] >= PER_EPOCH + 3
    record = gradscope.read(tmp_path / "run")
    assert record.steps.tolist() == list(range(3 * PER_EPOCH))
    expected = gradscope.read(tmp_path / "whole")
    for actual, value in zip(numbers(record), numbers(expected), strict=True):
        np.testing.assert_allclose(actual, value, rtol=1e-5, atol=1e-7)
    assert (np.diff(record.wall_times) >= 0).all()
    for own in (tmp_path / "whole", tmp_path / "run"):
        assert event_files.event_files(str(own / "gradscope"))


def test_a_checkpoint_has_no_variable_of_ours_and_resumes(tmp_path):
    def make(observed):
        keras.utils.set_random_seed(7)
        variable = tf.Variable([1.0, 2.0])
        optimizer = keras.optimizers.Adam(0.1)
        if observed:
            gradscope.wrap(optimizer, tmp_path / "run", every=1)
        optimizer.build([variable])
        checkpoint = tf.train.Checkpoint(optimizer=optimizer, v=variable)
        return checkpoint, tf.function(
            lambda: optimizer.apply([2 * variable], [variable])
        )

    def names(path):
        return [name for name, _ in tf.train.list_variables(str(path))]

    plain, step = make(False)
    step()
    without = plain.write(str(tmp_path / "plain"))
    observed, step = make(True)
    for _ in range(4):
        step()
    path = observed.write(str(tmp_path / "observed"))
    assert names(path) == names(without)
    step()
    step()
    gradscope.flush()
    assert gradscope.read(tmp_path / "run").steps.tolist() == list(range(6))
    gradscope.unwrap(observed.optimizer)
    # Steps 4 and 5 were lost in the crash, and are made again.
    resumed, step = make(True)
    resumed.restore(path)
    for _ in range(4):
        step()
    record = gradscope.read(tmp_path / "run")
    assert record.steps.tolist() == list(range(8))
    assert record["recorded"].tolist() == [1, 2, 3, 4, 1, 2, 3, 4]


@pytest.mark.slow
def test_tensorboard_sees_a_resumed_run_as_we_do(tmp_path):
    from tensorboard.backend.event_processing import event_accumulator

    fit("wrap", tmp_path / "run", tmp_path / "b", crash_at=PER_EPOCH + 5)
    fit("wrap", tmp_path / "run", tmp_path / "b")
    accumulator = event_accumulator.EventAccumulator(
        str(tmp_path / "run" / "gradscope"), size_guidance={"tensors": 0}
    )
    accumulator.Reload()
    (tag,) = [
        tag
        for tag in accumulator.Tags()["tensors"]
        if tag.startswith("gradscope/variables")
    ]
    points = [
        (event.step, event.wall_time, event.tensor_proto)
        for event in accumulator.Tensors(tag)
    ]
    steps = [step for step, _, _ in points]
    record = gradscope.read(tmp_path / "run")
    from gradscope.reading import joining

    kept = [steps[index] for index in joining.valid_indices(steps)]
    assert kept == record.steps.tolist()
