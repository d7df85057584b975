"""What ClearML, offline, gets of TensorFlow's writers and of the mirror."""

import collections
import json
import os
import pathlib
import sys
import tempfile

directory = pathlib.Path(tempfile.mkdtemp())
os.environ["CLEARML_CACHE_DIR"] = str(directory / "cache")
os.environ["CLEARML_CONFIG_FILE"] = str(directory / "none.conf")
os.chdir(directory)

import clearml  # noqa: E402

clearml.Task.set_offline(True)
task = clearml.Task.init("project", "task", auto_resource_monitoring=False)

import keras  # noqa: E402
from trained import fit  # noqa: E402


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
fit("logs/plain", None, keras.callbacks.TensorBoard("logs/keras"))
before = events(folder)
for (kind, name), count in sorted(before.items()):
    print(f"without a mirror, {kind} {name}: {count}")
fit("logs/mirrored", "clearml")
for (kind, name), count in sorted((events(folder) - before).items()):
    print(f"mirrored {kind} {name}: {count}")
for path in folder.rglob("*.md"):
    print("findings", path.read_text().splitlines()[0])
sys.stdout.flush()
# To close the task may take minutes, in which ClearML looks at all packages.
os._exit(0)
