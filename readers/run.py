"""Opens a directory of logs with other tools, and says what each shows.

    python readers/run.py PYTHON [TOOL ...]

PYTHON is one with gradscope and TensorFlow, which writes the logs; tensorboardX
adds a run. Each tool gets an environment of its own in `.venv-readers`, of a
fixed version; a program `readers/TOOL_reader.py` prints what it shows, and this
one fails if that has changed. `docs/other-tools.md` has the table.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
VENVS = HERE.parent / ".venv-readers"
sys.path.insert(0, str(HERE.parent))

from tools import pythons  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Tool:
    """A reader of event files.

    Attributes:
        requires: What its environment has.
        shows: Texts that its program must print.
        python: The interpreter of its environment; empty for that of this
            program.
        needs_tensorflow: Whether it uses TensorFlow, of the writer's Python.
    """

    requires: tuple[str, ...]
    shows: tuple[str, ...]
    python: str = ""
    needs_tensorflow: bool = False


TOOLS = {
    "aim": Tool(
        ("aim==3.29.1", "tensorboard==2.21.0"),
        (
            "good: 8 scalars",
            "keras: 2 scalars",
            "tensorboardx: 2 scalars",
            "exit 0",
        ),
        needs_tensorflow=True,
    ),
    "terminalboard": Tool(
        ("terminalboard==0.5.3",),
        (
            "good: 8 histograms",
            "69 gradscope/gradient_norm",
            "1 text",
            "tensorboardx: 1 histograms",
        ),
    ),
    "tboardfs": Tool(
        ("tboardfs==0.2.3",),
        ("good: 8 scalars", "good: 524 entries", "tensorboardx: 1 scalars"),
        python="python3.12",
    ),
    "tbparse": Tool(
        ("tbparse==0.0.9",), ("69 gradscope/gradient_norm", "3 texts")
    ),
    "tensorboard_book": Tool(
        ("tensorboard-book==0.9.0",),
        (
            "good: 8 scalars, 1 texts",
            "69 gradscope/gradscope/gradient_norm",
            "tensorboardx: 1 scalars, 1 texts",
            "error None",
        ),
    ),
    "tb_like": Tool(
        ("tb-like==0.3.6",),
        (
            "good: 8 scalars, 1 texts",
            "69 gradscope/gradscope/gradient_norm",
            "tensorboardx: 1 scalars, 1 texts",
        ),
    ),
    "wandb": Tool(
        ("wandb==0.31.0", "tensorboard==2.21.0"),
        (
            "synced gradscope/gradient_norm",
            "mirrored gradscope/gradient_norm",
            "mirrored gradscope/errors",
            "mirrored gradscope/findings",
            "mirrored report.html",
        ),
        needs_tensorflow=True,
    ),
    "mlflow": Tool(
        ("mlflow-skinny==3.17.2",),
        (
            "gradscope/gradient_norm: 40 points, of steps 0 to 39",
            "gradscope/errors: 1 points",
            "gradscope/findings.md: `dense_10`",
            "gradscope/report.html: the page",
        ),
        needs_tensorflow=True,
    ),
    "clearml": Tool(
        ("clearml==2.1.12",),
        (
            "mirrored scalar gradscope/gradient_norm: 40",
            "mirrored file gradscope/report: 1",
            "findings",
            "`dense_10`",
        ),
        needs_tensorflow=True,
    ),
    "trackio": Tool(
        ("trackio==0.43.0", "tbparse==0.0.9"),
        (
            "imported tensorboardx",
            "gradscope/gradient_norm: 40 points, of steps 0 to 39",
            "gradscope/findings: 1 points",
            "an artifact: the page",
        ),
        needs_tensorflow=True,
    ),
    "swanlab": Tool(
        ("swanlab==0.10.3", "tensorboard==2.21.0"),
        (
            "converted keras: False",
            "converted good: False",
            "mirrored gradscope/gradient_norm",
            "mirrored gradscope/errors",
            "a text: the findings",
            "a page: the report",
        ),
        needs_tensorflow=True,
    ),
    "s3": Tool(
        (
            "moto[server]==5.2.5",
            "s3fs==2026.9.0",
            "aiobotocore==3.10.0",
            "boto3==1.43.117",
        ),
        (
            "read: 40 steps, as many as of a local run: True",
            "diagnose s3://bucket/logs/run: ['zero-init']",
            "plugin: run/gradscope: 40 steps",
            "plugin: run/again/gradscope: 40 steps",
        ),
        needs_tensorflow=True,
    ),
}

#: Writes a run, too.
TENSORBOARDX = Tool(("tensorboardX==2.6.5",), ())


def main(writer: str, names: list[str]) -> int:
    """Open the logs with all tools, or with some; return how many failed."""
    logdir = pathlib.Path(tempfile.mkdtemp()) / "logs"
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    other_writer = _environment("tensorboardx", TENSORBOARDX, writer)
    for command in (
        [writer, HERE / "write_logs.py"],
        [other_writer, HERE / "write_tensorboardx.py"],
    ):
        subprocess.run(
            [*command, logdir], env=environment, check=True, capture_output=True
        )
    failures = 0
    for name in names or TOOLS:
        tool = TOOLS[name]
        try:
            python = _environment(name, tool, writer)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name}: no environment: {error}", flush=True)
            failures += 1
            continue
        done = subprocess.run(
            [python, HERE / f"{name}_reader.py", logdir],
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        missing = [text for text in tool.shows if text not in done.stdout]
        print(f"{name}: {'ok' if not missing else f'lacks {missing}'}")
        print("  " + done.stdout.strip().replace("\n", "\n  "), flush=True)
        if missing:
            failures += 1
            print(done.stderr[-2000:])
    shutil.rmtree(logdir.parent)
    return failures


def _environment(name: str, tool: Tool, writer: str) -> pathlib.Path:
    """Make the tool's environment; return its Python."""
    folder = VENVS / name
    python = folder / "bin" / "python"
    if not python.exists():
        base = pythons.find(tool.python) if tool.python else sys.executable
        subprocess.run([base, "-m", "venv", folder], check=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *tool.requires], check=True
    )
    if tool.needs_tensorflow:
        command = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = [
            subprocess.check_output([each, "-c", command], text=True).strip()
            for each in (python, writer)
        ]
        (pathlib.Path(site[0]) / "zz_tensorflow.pth").write_text(site[1])
    return python


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
