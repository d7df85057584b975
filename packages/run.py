"""Observes the programs of packages/programs, and writes docs/packages.md.

    python packages/run.py [--table] [GROUP or PROGRAM ...]

Each group of packages that can live together has a file in packages/groups
with exact versions (`NAME.in` with those that are asked for, and `NAME.txt`
with all that they bring along, as `uv pip compile` writes it), and is
installed into a virtual environment of its own, `.venv-packages/NAME`.
`--table` writes the table of docs/packages.md, from all results that there
are.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".venv-packages"
RESULTS = ENVIRONMENTS / "results"
DOCUMENT = HERE.parent / "docs" / "packages.md"
BEGIN, END = "<!-- begin of the table -->", "<!-- end of the table -->"
HEAD = (
    "| package | what the program does | bits with `Callback` | with `wrap` "
    "| norms | activations | warnings and findings |\n"
    "|---|---|---|---|---|---|---|\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    failed = [
        program
        for program, group in programs(arguments.names).items()
        if not observe(program, group)
    ]
    if arguments.table:
        write_table()
    if failed:
        sys.exit(f"something is wrong with: {', '.join(failed)}")


def programs(names: list[str]) -> dict[str, str]:
    """Return the programs that are asked for, with their groups.

    Args:
        names: Names of groups and programs; all if there are none.
    """
    known = {}
    for path in sorted((HERE / "programs").glob("*.py")):
        constants = _constants(path)
        known[path.stem] = _group_of(constants["PACKAGE"])
    unknown = set(names) - set(known) - set(known.values())
    if unknown:
        sys.exit(
            f"unknown: {', '.join(sorted(unknown))}. Give groups "
            f"({', '.join(sorted(set(known.values())))}) or programs "
            f"({', '.join(known)})."
        )
    return {
        program: group
        for program, group in known.items()
        if not names or program in names or group in names
    }


def observe(program: str, group: str) -> bool:
    """Run a program, keep its result, and return whether all is right."""
    command = [install(group), HERE / "check.py", program]
    output = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
    ).stdout
    lines = output.splitlines() or ['{"faults": ["the check did not end"]}']
    result = json.loads(lines[-1])
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{program}.json").write_text(json.dumps(result, indent=1))
    print(f"{program}: {'; '.join(result['faults']) or 'right'}", flush=True)
    return not result["faults"]


def install(group: str) -> pathlib.Path:
    """Return the Python of a group, which is installed if it is not yet."""
    environment = ENVIRONMENTS / group
    python = environment / "bin" / "python"
    versions = (HERE / "groups" / f"{group}.txt").read_text()
    stamp = environment / "installed.txt"
    if not stamp.exists() or stamp.read_text() != versions:
        print(f"{group}: is being installed", flush=True)
        venv = [sys.executable, "-m", "venv", "--clear", environment]
        subprocess.run(venv, check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--no-deps"]
        path = HERE / "groups" / f"{group}.txt"
        subprocess.run([*pip, "--requirement", path], check=True)
        stamp.write_text(versions)
    return python


def write_table() -> None:
    """Write a row for each result into docs/packages.md."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        if (HERE / "programs" / f"{path.stem}.py").exists():
            rows.append(_row(path.stem, json.loads(path.read_text())))
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    table = HEAD + "".join(sorted(rows, key=str.casefold))
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


def _row(program: str, result: dict) -> str:
    path = HERE / "programs" / f"{program}.py"
    package = _constants(path)["PACKAGE"]
    does = ast.get_docstring(ast.parse(path.read_text())).split(": ", 1)[1]
    ways = [result.get(way, "-") for way in ("callback", "wrap")]
    looked = next((way for way in ways if way != "-"), {})
    findings = sorted(
        {f for way in ways if way != "-" for f in way["findings"]}
    )
    several = ["several in one directory"] if looked.get("several") else []
    cells = [
        f"`{package}` {_version(package)}",
        " ".join(does.split()).rstrip("."),
        *(way if way == "-" else way["bits"] for way in ways),
        looked.get("norms", "-"),
        looked.get("activations", "-"),
        ", ".join(several + findings) or "none",
    ]
    return f"| {' | '.join(cells)} |\n"


def _group_of(package: str) -> str:
    for path in sorted((HERE / "groups").glob("*.in")):
        if _versions(path).get(package):
            return path.stem
    sys.exit(f"no file in packages/groups has `{package}`.")


def _version(package: str) -> str:
    return _versions(HERE / "groups" / f"{_group_of(package)}.in")[package]


def _versions(path: pathlib.Path) -> dict[str, str]:
    pairs = [line.split("==") for line in path.read_text().split()]
    return {name.split("[")[0]: version for name, version in pairs}


def _constants(path: pathlib.Path) -> dict:
    """Return the constants of a program, without its package being there."""
    return {
        node.targets[0].id: node.value.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }


if __name__ == "__main__":
    main()
