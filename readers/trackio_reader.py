"""What Trackio, without network, imports, and what it gets of the mirror."""

import os
import pathlib
import sys
import tempfile

directory = tempfile.mkdtemp()
os.environ |= {"TRACKIO_DIR": directory, "HF_HUB_OFFLINE": "1"}

import trackio  # noqa: E402
from trackio.sqlite_storage import SQLiteStorage  # noqa: E402
from trained import fit  # noqa: E402

trackio.import_tf_events(sys.argv[1], project="imported")
for run in trackio.Api().runs("imported"):
    print("imported", run.name)

trackio.init(project="mirrored", name="run", embed=False)
fit(f"{directory}/logs", "trackio")
trackio.finish()
steps: dict = {}
for point in SQLiteStorage.get_logs("mirrored", "run"):
    for tag in point.keys() - {"timestamp", "step"}:
        steps.setdefault(tag, []).append(point["step"])
for tag, of_tag in sorted(steps.items()):
    print(f"{tag}: {len(of_tag)} points, of steps {of_tag[0]} to {of_tag[-1]}")
for blob in pathlib.Path(directory, "artifacts").rglob("*"):
    if blob.is_file() and b"data-report" in blob.read_bytes():
        print("an artifact: the page")
