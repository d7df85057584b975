"""What SwanLab, offline, converts, and what it gets of the mirror."""

import os
import pathlib
import subprocess
import sys
import tempfile

os.chdir(tempfile.mkdtemp())

import swanlab  # noqa: E402
from trained import fit  # noqa: E402

command = pathlib.Path(sys.executable).parent / "swanlab"
for run in ("keras", "tensorboardx", "good"):
    done = subprocess.run(
        [
            *(command, "convert", "--type", "tensorboard", "--mode", "offline"),
            *("--tb-log-dir", f"{sys.argv[1]}/{run}", "--tb-types", "scalar"),
        ],
        capture_output=True,
        text=True,
    )
    output = done.stdout + done.stderr
    print(f"converted {run}: {'ValueError' not in output}")

swanlab.init(project="mirrored", mode="offline", log_dir="logs")
fit("run", "swanlab")
swanlab.finish()
for path in pathlib.Path("logs").rglob("*"):
    if path.suffix == ".swanlab":
        content = path.read_bytes()
        for name in ("gradient_norm", "errors", "findings", "report"):
            if f"gradscope/{name}".encode() in content:
                print(f"mirrored gradscope/{name}")
    if path.suffix == ".txt" and "`dense_10`" in path.read_text():
        print("a text: the findings")
    if path.suffix == ".html" and "data-report" in path.read_text():
        print("a page: the report")
