"""What `aim convert tensorboard` takes over; its cache lists that."""

import json
import pathlib
import subprocess
import sys
import tempfile

repository = tempfile.mkdtemp()
aim = str(pathlib.Path(sys.executable).parent / "aim")
subprocess.run([aim, "init", "-y"], cwd=repository, check=True)
done = subprocess.run(
    [aim, "convert", "tensorboard", "--logdir", sys.argv[1]], cwd=repository
)
print("exit", done.returncode)
cache = pathlib.Path(repository, ".aim", "tb_logs_cache")
for directory, run in json.loads(cache.read_text()).items():
    for event_file in run["events"].values():
        name = pathlib.Path(directory).relative_to(sys.argv[1])
        print(f"{name}: {len(event_file['values'])} scalars")
