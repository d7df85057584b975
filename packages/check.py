"""Runs a program plain, with a tape, with `gradscope.Callback` and with
`gradscope.wrap`, each in a process of its own, and compares the four.

    python packages/check.py PROGRAM

prints the comparison as a line of JSON, and exits with 1 if anything is wrong.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import re
import signal
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

#: What is said, rightly, of folds, trials and clients with one directory.
_SEVERAL = "has the record of another training"


def main() -> None:
    if len(sys.argv) > 2:
        program, folder, *ways = sys.argv[1:]
        train_in_each_way(program, pathlib.Path(folder), ways)
        return
    with tempfile.TemporaryDirectory() as folder:
        result = check(sys.argv[1], pathlib.Path(folder))
    print(json.dumps(result))
    sys.exit(bool(result["faults"]))


def train_in_each_way(
    program: str, folder: pathlib.Path, ways: list[str]
) -> None:
    """Import a program, and run it in a process of its own for each way.

    To import a package and TensorFlow takes longer than most trainings; no
    operation has run by then, and no thread was started.
    """
    sys.path.insert(0, str(HERE / "programs"))
    module = importlib.import_module(program)
    for way in ways:
        child = os.fork()
        if not child:
            _train(module, way, folder / way)
            sys.exit()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        (folder / way / "code").write_text(str(code))


def _train(module, way: str, directory: pathlib.Path) -> None:
    signal.alarm(LONGEST)
    os.chdir(directory)
    with open("output", "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    observe = Observe(way, directory)
    state = module.train(observe)
    np.savez(directory / "state.npz", **state)
    (directory / "used").write_text(" ".join(observe.used))


def check(program: str, folder: pathlib.Path) -> dict:
    """Return what is the same and what is not."""
    faults: list[str] = []
    result = {"program": program, "faults": faults}
    said = _run(program, folder, faults)
    if faults:
        return result
    used = (folder / PLAIN / "used").read_text().split()
    for way in (CALLBACK, WRAP):
        result[way] = "-"
        if way in used:
            result[way] = _one_way(way, folder, said[way], faults)
    bits = [result[way]["bits"] for way in used if way in result]
    if any("differ (unordered" in text for text in bits):
        _check_threads(program, folder, faults)
    return result


def _run(program, folder, faults) -> dict[str, str]:
    """Run a program in each way; return what it said."""
    outcome = _start(program, folder, WAYS)
    said = {}
    for way in WAYS:
        path = folder / way / "code"
        code = path.read_text() if path.exists() else "none"
        path = folder / way / "output"
        said[way] = path.read_text(errors="replace") if path.exists() else ""
        # A tape ends the process; who started it may take that for an error.
        if code != "0" and not (folder / way / "tape.npz").exists():
            text = said[way] or outcome.stdout
            faults.append(f"{way}: exit code {code}: {text[-3000:]}")
    return said


def _start(program, folder, ways, **environment):
    """Run a program in some ways, in a process that ends with them."""
    for way in ways:
        (folder / way).mkdir(parents=True)
    return subprocess.run(
        [sys.executable, __file__, program, folder, *ways],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=folder,
        env=os.environ | _environment(folder) | environment,
    )


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
    """Compare one way of observing with the plain one."""
    other: list[str] = []
    result = {"bits": _same_bits(folder, way, other)}
    for warning in re.findall("GradscopeWarning: .*", said):
        if _SEVERAL not in warning:
            faults.append(f"{way}: {warning}")
    result["several"] = _SEVERAL in said
    try:
        runs = runs_below(str(folder / way / "logs"))
        records = [gradscope.read(run) for run in runs]
    except Exception as error:
        faults += [*other, f"{way}: {error!r}"]
        return result
    if not records:
        faults += [*other, f"{way}: nothing was recorded"]
        return result
    records.sort(key=lambda record: record.wall_times[0])
    # Of sums in no fixed order TensorFlow itself does not keep the last bit.
    if any(record.schema.unordered_sums for record in records):
        result["bits"] += " (unordered sums)"
    else:
        faults += other
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


def _check_threads(program, folder, faults) -> None:
    """Prove that TensorFlow itself does not keep the bits of a program: a plain
    training has other ones with another number of threads."""
    apart: list[str] = []
    for threads in "1", "8":
        name = f"threads_{threads}"
        _start(program, folder / name, [PLAIN], TF_NUM_INTEROP_THREADS=threads)
        _same_bits(folder, f"{name}/{PLAIN}", apart)
    if not apart:
        faults.append("its sums are in no order, but plain bits are the same")


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
        return {"norms": "-", "activations": "-"}
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
    """Compare the norms of the first step's gradients, both in order of
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
    large = taped > OF_GLOBAL / TOLERANCE * np.linalg.norm(taped)
    relative = apart[large] / taped[large]
    return f"{len(taped)} to {np.max(relative, initial=0):.0e}"


def _activations(way, of_layer: dict, record, faults) -> str:
    """Compare activations with the outputs of the layers they are in."""
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
