"""Steps of an optimizer as small as they can be, and scripts."""

import subprocess
import sys
import textwrap

import keras
import tensorflow as tf


def adam():
    return keras.optimizers.Adam(0.01)


def step_eagerly(optimizer, variable, steps=1):
    for _ in range(steps):
        optimizer.apply([tf.ones_like(variable)], [variable])


def run_script(script, check=True):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not check or result.returncode == 0, result.stderr[-3000:]
    return result.stdout
