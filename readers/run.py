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

HERE = pathlib.Path(__file__).parent
VENVS = HERE.parent / ".venv-readers"


@dataclasses.dataclass(frozen=True)
class Tool:
    """A reader of event files.

    Attributes:
        requires: What its environment has.
        shows: Texts that its program must print.
        python: The interpreter of its environment.
        needs_tensorflow: Whether it uses TensorFlow, of the writer's Python.
    """

    requires: tuple[str, ...]
    shows: tuple[str, ...]
    python: str = sys.executable
    needs_tensorflow: bool = False


TOOLS = {
    "aim": Tool(
        ("aim==3.29.1", "tensorboard"),
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
            "mirrored gradscope/errors",
            "report.html of an artifact True",
        ),
    ),
    "mlflow": Tool(
        ("mlflow-skinny==3.17.2",),
        (
            "mirrored [(3, 1.5), (4, 2.5)]",
            "findings `dense_11`",
            "report <p>a</p>",
        ),
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
        subprocess.run([tool.python, "-m", "venv", folder], check=True)
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
