"""Loops of many short fits: a program is traced once, and reports wait."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import gradscope
from gradscope.wrapping import end_report

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


CALLS: list = []


class Counted(keras.layers.Layer):
    """Counts how often it is traced."""

    def call(self, x):
        CALLS.append(x)
        return x


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), Counted()]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    return model


def fits(model, callbacks):
    """Returns how often layers were traced in each of a list of fits."""
    counts = []
    for each in callbacks:
        CALLS.clear()
        model.fit(X, X[:, :3], batch_size=8, verbose=0, callbacks=each)
        counts.append(len(CALLS))
    return counts


def test_a_new_callback_with_the_same_arguments_goes_on(tmp_path):
    plain, model = network(), network()
    fits(plain, [None] * 4)
    callbacks = [[gradscope.Callback(tmp_path)] for _ in range(4)]
    assert fits(model, callbacks)[1:] == [0, 0, 0]
    for weight, expected in zip(
        model.get_weights(), plain.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(16))
    assert gradscope.read(tmp_path).schema == record.schema
    assert [path.name for path in tmp_path.iterdir()] == ["gradscope"]


@pytest.mark.parametrize(
    "change",
    [
        lambda path, model: gradscope.Callback(path / "other"),
        lambda path, model: gradscope.Callback(path, every=1),
        lambda path, model: (
            model.compile(model.optimizer, "mse", jit_compile=False),
            gradscope.Callback(path),
        )[1],
    ],
    ids=["directory", "argument", "compile"],
)
def test_another_callback_or_program_begins_anew(change, tmp_path):
    model = network()
    fits(model, [[gradscope.Callback(tmp_path)]])
    (count,) = fits(model, [[change(tmp_path, model)]])
    assert count > 0


def test_a_record_that_was_removed_is_begun_anew(tmp_path):
    model = network()
    fits(model, [[gradscope.Callback(tmp_path)]])
    for path in (tmp_path / "gradscope").iterdir():
        path.unlink()
    fits(model, [[gradscope.Callback(tmp_path)]])
    assert gradscope.read(tmp_path).steps.tolist() == list(range(4, 8))


def test_a_record_whose_files_cannot_be_listed_is_begun_anew(
    tmp_path, monkeypatch
):
    def refuse(directory):
        raise PermissionError(directory)

    monkeypatch.setattr(os, "scandir", refuse)
    model = network()
    callbacks = [[gradscope.Callback(tmp_path, findings=False)] for _ in "12"]
    assert min(fits(model, callbacks)) > 0


class Clock:
    """A report that takes one second on a clock of its own."""

    def __init__(self, monkeypatch):
        self.now, self.printed = 0.0, []
        monkeypatch.setattr(end_report.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(
            end_report.EndReport, "_print_findings", self.print_findings
        )

    def print_findings(self, *arguments):
        self.printed.append(self.now)
        self.now += 1


def test_reports_take_a_twentieth_of_the_time_at_most(monkeypatch):
    clock, report = Clock(monkeypatch), end_report.EndReport()
    for _ in range(100):
        clock.now += 1
        report.print_findings(None, 0)
    assert clock.printed == [1, 22, 43, 64, 85]
    report._print_at_exit()
    assert len(clock.printed) == 6
    report._print_at_exit()  # nothing has come since
    assert len(clock.printed) == 6


PROGRAM = """
import keras, numpy as np, gradscope
from gradscope.wrapping import end_report

end_report.PAUSE = 1e6
x = np.ones((32, 4), "f")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
for value in (1.0, float("nan")):
    model.fit(x, value * x[:, :1], batch_size=8, verbose=0,
        callbacks=[gradscope.Callback(r"{}")])
print("trained", flush=True)
"""


@pytest.mark.long
def test_a_report_that_waits_is_printed_at_the_programs_end(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    before, after = process.stdout.split("trained\n")
    assert "non-finite" not in before and "NaN" in after
