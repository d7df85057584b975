"""Runs a part of the tests beside older and newer libraries.

    python versions/run.py [--table] [--parts PART ...] [--sets SET ...]

Each file in versions/sets pins a set of libraries, as somebody may have them
installed: it gets a virtual environment of its own, `.venv-versions/SET`, with
the Python that its first line names. Then gradscope's wheel is installed, which
must move no package and bring no TensorFlow, and the tests of
versions/parts.json run, without those that versions/left_out.json explains.
`--table` writes the table of docs/versions.md, from all results that there are.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from tools import pythons  # noqa: E402

ENVIRONMENTS = ROOT / ".venv-versions"
RESULTS = ENVIRONMENTS / "results"
DOCUMENT = ROOT / "docs" / "versions.md"
#: What the table names, as pip does.
LIBRARIES = "tensorflow keras tf_keras tensorboard protobuf numpy".split()
TESTS = ("pytest", "pytest-xdist", "hypothesis", "playwright")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sets = sorted(path.stem for path in (HERE / "sets").glob("*.txt"))
    parts = _parts()
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--sets", nargs="*", choices=sets, default=sets)
    parser.add_argument("--parts", nargs="*", choices=parts, default=[*parts])
    parser.add_argument("--processes", default="2", help="of the tests")
    arguments = parser.parse_args()
    parts = {part: parts[part] for part in arguments.parts}
    failed = [
        name
        for name in arguments.sets
        if not try_set(name, parts, arguments.processes)
    ]
    if arguments.table:
        write_table()
    if failed:
        sys.exit(f"something is wrong with: {', '.join(failed)}")


def try_set(name: str, parts: dict[str, list[str]], processes: str) -> bool:
    """Install a set, run its tests, write its result, and return whether all
    is right (or may be wrong)."""
    versions = (HERE / "sets" / f"{name}.txt").read_text()
    python = install(name, versions)
    moved = install_gradscope(python)
    result = {
        "date": f"{datetime.date.today()}",
        "python": _output(python, "--version").split()[1],
        "versions": _versions(python),
        "moved": moved,
    }
    path = RESULTS / f"{name}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    same = before.get("versions") == result["versions"]
    result["parts"] = before["parts"] if same else {}
    left_out = _left_out(result["versions"])
    for part, tests in parts.items():
        if part == "examples" and "# with the examples" not in versions:
            continue
        counts = run_tests(python, tests, left_out, processes)
        result["parts"][part] = counts
        print(f"{name}: {part}: {counts}", flush=True)
        RESULTS.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1))
    right = not result["moved"] and not any(
        counts["failed"] for counts in result["parts"].values()
    )
    print(f"{name}: {'right' if right else 'wrong'}", flush=True)
    return right or "# may fail" in versions


def install(name: str, versions: str) -> pathlib.Path:
    """Return the Python of a set, which is installed if it is not yet."""
    environment = ENVIRONMENTS / name
    python = environment / "bin" / "python"
    stamp = environment / "installed.txt"
    if not stamp.exists() or stamp.read_text() != versions:
        print(f"{name}: is being installed", flush=True)
        base = pythons.find(re.search(r"python3\.\d+", versions)[0])
        venv = [base, "-m", "venv", "--clear", environment]
        subprocess.run(venv, check=True)
        path = HERE / "sets" / f"{name}.txt"
        pip = [python, "-m", "pip", "install", "--quiet", "--prefer-binary"]
        subprocess.run([*pip, "--requirement", path, *TESTS], check=True)
        stamp.write_text(versions)
    return python


def install_gradscope(python: pathlib.Path) -> list[str]:
    """Install gradscope's wheel, and return which packages that moves: those
    that pip replaces, and a TensorFlow that it brings."""
    before = _versions(python)
    wheel = _wheel(python)
    pip = [python, "-m", "pip", "install", "--quiet"]
    report = json.loads(_output(*pip, "--dry-run", "--report", "-", wheel))
    names = {package["metadata"]["name"] for package in report["install"]}
    # A wheel of the same version would not be installed again.
    subprocess.run([*pip, "--force-reinstall", "--no-deps", wheel], check=True)
    subprocess.run([*pip, wheel], check=True)
    return sorted(
        name
        for name in names - {"gradscope"}
        if _plain(name) in before or _plain(name) == "tensorflow"
    )


def run_tests(
    python: pathlib.Path, tests: list[str], left_out: list[str], processes: str
) -> dict:
    """Run tests, and return how many passed, failed and were left out."""
    report = ENVIRONMENTS / "report.xml"
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "-q", "--tb=short", "-m", "not slow"]
    command += ["-n", processes, "--dist", "loadfile", f"--junitxml={report}"]
    command += [f"--deselect={test}" for test in left_out]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TENSORBOARD": str(python.parent / "tensorboard"),
    }
    log = ENVIRONMENTS / f"{python.parents[1].name}.log"
    with open(log, "a") as file:
        subprocess.run(
            [*command, *tests], cwd=ROOT, env=environment, stdout=file
        )
    if not report.exists():
        return {"passed": 0, "failed": ["did not run"]}
    cases = list(xml.parse(report).getroot().iter("testcase"))
    failed = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    seconds = sum(float(case.get("time")) for case in cases)
    return {
        "passed": len(cases) - len(failed),
        "failed": failed,
        "seconds": round(seconds),
    }


def write_table() -> None:
    """Write all results, and what is left out, into docs/versions.md.

    A set without a result here keeps its row, which another machine may have
    written.
    """
    text = DOCUMENT.read_text()
    lines = re.findall(r"^(\| `(\S+)` .*)$", text, re.MULTILINE)
    rows = {name: line for line, name in lines}
    for path in RESULTS.glob("*.json"):
        rows[path.stem] = _line(_row(path.stem, json.loads(path.read_text())))
    sets = sorted(path.stem for path in (HERE / "sets").glob("*.txt"))
    heads = ["set", "Python", *LIBRARIES, "parts", "tests", "left out", "date"]
    table = [_line(heads), _line(["---"] * len(heads))]
    table += [rows[name] for name in sets if name in rows]
    left_out = [
        f"* {entry['library']} before {entry['before']}: {entry['why']} "
        f"(`{_file(entry['tests'][0])}`)"
        for entry in _entries()
    ]
    for name, lines in (("the table", table), ("what is left out", left_out)):
        begin, end = f"<!-- begin of {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        after = rest.split(end)[1]
        text = "\n".join([f"{before}{begin}", *lines, f"{end}{after}"])
    DOCUMENT.write_text(text)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(name: str, result: dict) -> list[str]:
    parts = result["parts"].values()
    passed = sum(part["passed"] for part in parts)
    failed = sum(len(part["failed"]) for part in parts)
    return [
        f"`{name}`",
        result["python"],
        *(result["versions"].get(_plain(n), "-") for n in LIBRARIES),
        f"{len(parts)} of {len(_parts())}",
        f"{passed} passed"
        + (f", {failed} failed" if failed else "")
        + "".join(f", {name} replaced" for name in result["moved"]),
        f"{sum(_fits(e, result['versions']) for e in _entries()) or '-'}",
        result["date"],
    ]


def _left_out(versions: dict[str, str]) -> list[str]:
    """Return the tests that do not fit these versions."""
    return [
        test
        for entry in _entries()
        if _fits(entry, versions)
        for test in entry["tests"]
    ]


def _parts() -> dict[str, list[str]]:
    return json.loads((HERE / "parts.json").read_text())


def _fits(entry: dict, versions: dict[str, str]) -> bool:
    """Return whether tests are left out with these versions."""
    version = versions[entry["library"]]
    return _numbers(version) < _numbers(entry["before"])


def _entries() -> list[dict]:
    return json.loads((HERE / "left_out.json").read_text())


def _file(test: str) -> str:
    return test.split("::")[0].rsplit("/", 1)[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _wheel(python: pathlib.Path) -> pathlib.Path:
    """Build gradscope's wheel, from the files of this folder."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import install_wheel

    source, target = ENVIRONMENTS / "source", ENVIRONMENTS / "wheel"
    for folder in (source, target):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    # A copy: builds leave files behind that the next one would pick up.
    install_wheel.copy_sources(source)
    pip = [python, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", target, source], check=True)
    (wheel,) = target.glob("*.whl")
    return wheel


def _versions(python: pathlib.Path) -> dict[str, str]:
    """Return the versions of all packages that are installed."""
    listed = json.loads(_output(python, "-m", "pip", "list", "--format=json"))
    return {_plain(p["name"]): p["version"] for p in listed}


def _plain(name: str) -> str:
    """Return a package's name in one spelling, without `-nightly`."""
    name = name.lower().replace("_", "-").removesuffix("-nightly")
    return "tensorflow" if name == "tf" else name


def _output(*command: str | pathlib.Path) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    main()
