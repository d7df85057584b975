"""What ClearML, offline, gets of TensorFlow's writers and of the mirror."""

import collections
import json
import os
import pathlib
import tempfile

directory = pathlib.Path(tempfile.mkdtemp())
os.environ["CLEARML_CACHE_DIR"] = str(directory / "cache")
os.environ["CLEARML_CONFIG_FILE"] = str(directory / "none.conf")
os.chdir(directory)

import clearml  # noqa: E402

clearml.Task.set_offline(True)
task = clearml.Task.init("project", "task", auto_resource_monitoring=False)

import keras  # noqa: E402
import numpy as np  # noqa: E402

import gradscope  # noqa: E402


def fit(name, mirror=None):
    """Train a network beside Keras's own callback."""
    layers = [
        keras.layers.Dense(
            4, "relu", kernel_initializer="zeros", name="dense_10"
        ),
        keras.layers.Dense(1, name="dense_11"),
    ]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    callbacks = [gradscope.Callback(f"logs/{name}", mirror=mirror)]
    if mirror is None:
        callbacks.append(keras.callbacks.TensorBoard("logs/keras"))
    model.fit(x, x[:, :1], 2, epochs=2, verbose=0, callbacks=callbacks)


def events(folder):
    """Count what the task has logged, by kind and name."""
    task.flush(wait_for_uploads=True)
    counts = collections.Counter()
    for path in folder.rglob("*metrics.jsonl"):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            for each in event if isinstance(event, list) else [event]:
                name, series = each["metric"], each["variant"]
                if each["type"] == "training_stats_scalar":
                    counts["scalar", name] += 1
                else:
                    counts["file", f"{name}/{series}"] += 1
    return counts


folder = pathlib.Path(task.get_offline_mode_folder())
fit("plain")
before = events(folder)
for (kind, name), count in sorted(before.items()):
    print(f"without a mirror, {kind} {name}: {count}")
fit("mirrored", "clearml")
for (kind, name), count in sorted((events(folder) - before).items()):
    print(f"mirrored {kind} {name}: {count}")
for path in folder.rglob("*.md"):
    print("findings", path.read_text().splitlines()[0])
task.close()
