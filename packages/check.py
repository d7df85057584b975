"""Runs a program plain, with a tape, with `gradscope.Callback` and with
`gradscope.wrap`, each in a process of its own, and compares the four.

    python packages/check.py PROGRAM [WAY DIRECTORY]

prints the comparison as a line of JSON, and exits with 1 if anything is wrong.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from observing import CALLBACK, PLAIN, TAPE, WAYS, WRAP, Observe

import gradscope
from gradscope.reading.read import runs_below

HERE = pathlib.Path(__file__).resolve().parent
#: Of a norm, and of the global norm: a gradient next to nothing is rounding.
TOLERANCE, OF_GLOBAL = 1e-5, 1e-7
#: Of a run, in seconds: more than any program takes.
LONGEST = 900


def main() -> None:
    if len(sys.argv) == 4:
        train(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = check(sys.argv[1], pathlib.Path(folder))
    print(json.dumps(result))
    sys.exit(bool(result["faults"]))


def train(program: str, way: str, directory: pathlib.Path) -> None:
    """Runs a program in one way, in this process."""
    sys.path.insert(0, str(HERE / "programs"))
    observe = Observe(way, directory)
    state = importlib.import_module(program).train(observe)
    np.savez(directory / "state.npz", **state)
    (directory / "used").write_text(" ".join(observe.used))


def check(program: str, folder: pathlib.Path) -> dict:
    """Returns what is the same and what is not."""
    faults, said = [], {}
    for way in WAYS:
        (folder / way).mkdir()
        said[way] = _run(program, way, folder / way, faults)
        if way == PLAIN:
            if faults:
                return {"program": program, "faults": faults}
            used = (folder / PLAIN / "used").read_text().split()
    result = {"program": program, "faults": faults}
    for way in (CALLBACK, WRAP):
        result[way] = "–"
        if way in used:
            result[way] = _one_way(way, folder, said[way], faults)
    result["warnings"] = sum("GradscopeWarning" in said[w] for w in WAYS)
    return result


def _run(program, way, directory, faults) -> str:
    """Runs a program in one way; returns what it said."""
    command = [sys.executable, __file__, program, way, str(directory)]
    outcome = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=LONGEST,
        cwd=directory,
        env=os.environ | _environment(directory),
    )
    # A tape ends the process, which those that started it take for an error.
    if outcome.returncode and not (directory / "tape.npz").exists():
        faults.append(f"{way}: error: {outcome.stdout[-3000:]}")
    return outcome.stdout


def _environment(directory) -> dict[str, str]:
    """Nothing of a package is written outside of the directory, nor sent."""
    return {
        "HOME": str(directory),
        "PYTHONPATH": f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        # Each process would compile the packages anew.
        "PYTHONDONTWRITEBYTECODE": "",
    }


def _one_way(way, folder, said, faults) -> dict:
    """Compares one way of observing with the plain one."""
    result = {"bits": _same_bits(folder, way, faults)}
    for warning in re.findall("GradscopeWarning: .*", said):
        faults.append(f"{way}: {warning}")
    try:
        runs = runs_below(str(folder / way / "logs"))
        records = [gradscope.read(run) for run in runs]
    except Exception as error:
        faults.append(f"{way}: {error!r}")
        return result
    if not records:
        faults.append(f"{way}: nothing was recorded")
        return result
    records.sort(key=lambda record: record.wall_times[0])
    result |= _against_tape(way, folder, records[0], faults)
    result["steps"] = sum(len(record.steps) for record in records)
    result["findings"] = []
    for record in records:
        for finding in gradscope.diagnose(record):
            text = f"{finding.severity}: {finding.kind} ({finding.layer})"
            result["findings"].append(text)
            if finding.severity != "note":
                faults.append(f"{way}: {text}: {finding.message}")
    return result


def _same_bits(folder, way, faults) -> str:
    paths = [folder / w / "state.npz" for w in (PLAIN, way)]
    if not paths[1].exists():
        return "none"
    plain, observed = (np.load(path) for path in paths)
    if plain.files != observed.files:
        faults.append(f"{way}: other things in the state")
        return "other things"
    other = [n for n in plain if plain[n].tobytes() != observed[n].tobytes()]
    if other:
        faults.append(f"{way}: other bits in {len(other)}: {other[:9]}")
        return f"{len(other)} of {len(plain.files)} differ"
    return f"all {len(plain.files)} the same"


def _against_tape(way, folder, record, faults) -> dict:
    path = folder / TAPE / "tape.npz"
    if not path.exists():
        return {"norms": "–", "activations": "–"}
    taped = np.load(path)
    norms, of_layer = {}, {}
    for name in taped:
        kind, rest = name.split("/", 1)
        (norms if kind == "norm" else of_layer)[rest] = taped[name]
    return {
        "norms": _norms(way, list(norms.values()), record, faults),
        "activations": _activations(way, of_layer, record, faults),
    }


def _norms(way, taped: list, record, faults) -> str:
    """Compares the norms of the first step's gradients, both in order of
    size: each package names its variables in its own way."""
    recorded = record["gradient_norm"][0]
    recorded = np.sort(recorded[np.isfinite(recorded)])
    taped = np.sort([float(norm) for norm in taped])
    if len(taped) != len(recorded):
        faults.append(f"{way}: {len(recorded)} norms, {len(taped)} taped")
        return "others"
    allowed = TOLERANCE * taped + OF_GLOBAL * np.linalg.norm(taped)
    apart = np.abs(recorded - taped)
    if not np.all(apart <= allowed):
        faults.append(f"{way}: norms {recorded} taped {taped}")
        return f"{int(np.sum(apart > allowed))} of {len(taped)} differ"
    relative = apart / np.maximum(taped, OF_GLOBAL * np.linalg.norm(taped))
    return f"{len(taped)} to {np.max(relative, initial=0):.0e}"


def _activations(way, of_layer: dict, record, faults) -> str:
    """Compares activations with the outputs of the layers they are in."""
    columns = ("activation_mean", "activation_rms", "zero_fraction")
    compared = 0
    for index, name in enumerate(record.activations):
        layer = name.rpartition("/")[0]
        alike = [n for n in of_layer if f"/{n}".endswith(f"/{layer}")]
        if len(alike) != 1 or not layer:
            continue
        recorded = [record[column][0, index] for column in columns]
        expected = of_layer[alike[0]]
        if not np.allclose(recorded, expected, 1e-4, 1e-6):
            faults.append(f"{way}: {name}: {recorded} for {expected}")
        compared += 1
    return f"{compared} of {len(record.activations)}"


if __name__ == "__main__":
    main()
