"""Counts properties that make code easy or hard to read.

    python -m tools.house                     # a table of both packages
    python -m tools.house gradscope/reading   # of some folders
    python -m tools.house --names gradscope   # indefinite names, with lines
    python -m tools.house --mood gradscope    # docstrings in the third person
    python -m tools.house --comments          # comment density of each folder
    python -m tools.house --check             # in `make lint`: the limits,
                                              # and those of tests and page

The counts are of Python files, without tests, and a second table is of the
page's JavaScript. Well-kept libraries have 0 to 2
indefinite names in 1000, "what" in 0.1 to 0.3 of 1000 words of docstrings, and
comments of 6 to 14 % of the code.
"""

from __future__ import annotations

import argparse
import ast
import collections
import pathlib
import re
import statistics
import sys

from tools.javascript import Script
from tools.module import Module, body_lines, parameters

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("gradscope", "gradscope_plugin")

#: Names that say nothing of what they hold.
INDEFINITE = set(
    "found one told seen kept own given made known there here whole rest some "
    "others wanted chosen present every what".split()
)

INDEFINITE_NAMES = "indefinite names per 1000"

#: The limits of `--check`; a count that has fallen takes its ceiling along.
CEILINGS = {
    INDEFINITE_NAMES: 3.0,
    '"what" per 1000 words': 2.0,
    '"Returns what"': 0,
    "docstrings in the third person": 0,
}
FLOORS = {
    "comments, % of code": 5.3,
    "comments, % of code without texts": 5.9,
}

#: Lines of a test module, above which it has more than one theme.
MOST_TEST_LINES = 400


def percent(part: int, total: int) -> float:
    return 100 * part / total if total else 0.0


def spread(numbers: list[int]) -> str:
    """Median, ninth decile and maximum."""
    if not numbers:
        return "-"
    ninth = sorted(numbers)[int(0.9 * (len(numbers) - 1))]
    return f"{statistics.median(numbers):.0f}/{ninth}/{max(numbers)}"


def counts(modules: list[Module]) -> dict[str, object]:
    """Counts, by name, over some modules."""
    functions = [f for m in modules for f in m.functions()]
    public = [node for m in modules for node in m.public()]
    declared = [f for f in public if not isinstance(f, ast.ClassDef)]
    arguments = [a for f in declared for a in parameters(f)]
    names = [name for m in modules for _, name in m.names()]
    docstrings = [text for m in modules for text in m.docstrings()]
    words = re.findall(r"[a-z']+", " ".join(docstrings).lower())
    folders = collections.Counter(m.path.parent for m in modules)
    per_1000 = {
        f'"{word}" per 1000 words': 1000 * words.count(word) / len(words)
        for word in ("what", "it", "there")
    }
    return {
        "files": len(modules),
        "lines": sum(m.lines for m in modules),
        "lines of a file": spread([m.lines for m in modules]),
        "modules with a docstring, %": percent(
            sum(bool(ast.get_docstring(m.tree)) for m in modules), len(modules)
        ),
        "lines of a function": spread([body_lines(f) for f in functions]),
        "comments, % of code": percent(
            sum(m.comments() for m in modules), sum(m.code() for m in modules)
        ),
        "comments, % of code without texts": percent(
            sum(m.comments() for m in modules),
            sum(m.code(texts=False) for m in modules),
        ),
        "comments, % of code and docstrings": percent(
            sum(m.all_comments() for m in modules),
            sum(m.code_and_docstrings() for m in modules),
        ),
        "public names with a docstring, %": percent(
            sum(bool(ast.get_docstring(node)) for node in public), len(public)
        ),
        "their arguments annotated, %": percent(
            sum(1 for a in arguments if a.annotation), len(arguments)
        ),
        "their returns annotated, %": percent(
            sum(1 for f in declared if f.returns), len(declared)
        ),
        "functions of more than 5 parameters": sum(
            len(parameters(f)) > 5 for f in functions
        ),
        "files of the largest folder": max(folders.values()),
        **per_1000,
        '"Returns what"': sum(
            text.startswith("Returns what") for text in docstrings
        ),
        "docstrings in the third person": sum(
            len(m.third_person()) for m in modules
        ),
        "docstrings": len(docstrings),
        "docstrings with an example": sum(">>>" in text for text in docstrings),
        INDEFINITE_NAMES: indefinite(names),
    }


def counts_of_page(scripts: list[Script]) -> dict[str, object]:
    """Counts, by name, over files of JavaScript."""
    folders = collections.Counter(s.path.parent for s in scripts)
    return {
        "files": len(scripts),
        "lines": sum(s.lines for s in scripts),
        "lines of a file": spread([s.lines for s in scripts]),
        "files with a comment that says what they are, %": percent(
            sum(s.begins_with_comment() for s in scripts), len(scripts)
        ),
        "files of the largest folder": max(folders.values()),
        INDEFINITE_NAMES: indefinite(
            [name for s in scripts for _, name in s.names()]
        ),
    }


def indefinite(names: list[str]) -> float:
    """Count the indefinite names in 1000."""
    return 1000 * sum(name in INDEFINITE for name in names) / len(names)


def files_of(paths: list[str], ending: str) -> list[pathlib.Path]:
    """List all files with an ending, of some folders or by name."""
    return [
        file
        for path in paths
        for file in (
            [ROOT / path] * path.endswith(ending)
            if (ROOT / path).is_file()
            else sorted((ROOT / path).rglob(f"*{ending}"))
        )
    ]


def modules_of(paths: list[str]) -> list[Module]:
    """Parse all modules of some folders or files."""
    return [Module(file) for file in files_of(paths, ".py")]


def scripts_of(paths: list[str]) -> list[Script]:
    """Read all JavaScript of some folders or files."""
    return [Script(file) for file in files_of(paths, ".js")]


def show_names(modules: list[Module | Script]) -> None:
    """Print each indefinite name with file and lines."""
    for module in modules:
        lines = collections.defaultdict(list)
        for line, name in module.names():
            if name in INDEFINITE:
                lines[name].append(line)
        for name, where in lines.items():
            print(f"{module.path.relative_to(ROOT)}: {name}: {where}")


def show_moods(modules: list[Module]) -> None:
    """Print each function's docstring that is in the third person."""
    for module in modules:
        for line, text in module.third_person():
            print(f"{module.path.relative_to(ROOT)}:{line}: {text}")


def show_comments(modules: list[Module]) -> None:
    """Print the comment density of each folder."""
    folders = collections.defaultdict(list)
    for module in modules:
        folders[module.path.parent.relative_to(ROOT)].append(module)
    for folder, files in folders.items():
        density = percent(
            sum(m.comments() for m in files), sum(m.code() for m in files)
        )
        print(f"| {folder} | {density:.1f} % |")


_HINT = (
    "see `python -m tools.house --names`, `--mood` and `--comments`, each with "
    "gradscope gradscope_plugin"
)


def above_ceilings(numbers: dict[str, object]) -> list[str]:
    """Describe each count that is above its ceiling."""
    return [
        f"{name}: {numbers[name]:.1f}, and at most {most} are allowed; {_HINT}"
        for name, most in CEILINGS.items()
        if name in numbers and numbers[name] > most
    ]


def below_floors(numbers: dict[str, object]) -> list[str]:
    """Describe each count that is below its floor."""
    return [
        f"{name}: {numbers[name]:.1f}, and at least {least} are needed; {_HINT}"
        for name, least in FLOORS.items()
        if numbers[name] < least
    ]


#: The options that print lists instead of counts.
SHOWN = {"names": show_names, "mood": show_moods, "comments": show_comments}


def problems_of_tests(folder: pathlib.Path) -> list[str]:
    """Lists test modules that are too long, and imports of test modules.

    What tests share is in `tests/support`: a test module that another imports
    cannot be split, moved or run without a look at the other.
    """
    modules = [Module(path) for path in sorted(folder.rglob("*.py"))]
    names = {m.path.stem for m in modules if m.path.stem.startswith("test_")}
    problems = []
    for module in modules:
        name = module.path.relative_to(folder)
        if module.path.stem in names and module.lines > MOST_TEST_LINES:
            problems.append(
                f"{name}: {module.lines} lines, and at most {MOST_TEST_LINES} "
                "are allowed; give each theme a file"
            )
        problems += [
            f"{name}: imports the tests of {imported}; move what they share "
            "to tests/support"
            for imported in module.imports() & names
        ]
    return problems


def problems_of_page(folder: pathlib.Path) -> list[str]:
    """List what of the page is outside the limits that Python files have."""
    scripts = scripts_of([str(folder)])
    return [
        f"{script.path.relative_to(folder)}:{number}: {line} Name it."
        for script in scripts
        for number, line in script.returns_what()
    ] + [
        f"{folder.name}: {problem}"
        for problem in above_ceilings(counts_of_page(scripts))
    ]


def print_table(numbers: dict[str, object]) -> None:
    for name, number in numbers.items():
        text = f"{number:.1f}" if isinstance(number, float) else str(number)
        print(f"| {name} | {text} |")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="*", default=PACKAGES)
    for name in SHOWN:
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    modules = modules_of(list(options.paths))
    scripts = scripts_of(list(options.paths))
    for name, show in SHOWN.items():
        if getattr(options, name):
            show([*modules, *scripts] if name == "names" else modules)
            return 0
    if options.check:
        problems = below_floors(counts(modules))
        for path in options.paths:
            numbers = counts(modules_of([path]))
            problems += [f"{path}: {text}" for text in above_ceilings(numbers)]
        problems += problems_of_tests(ROOT / "tests")
        problems += problems_of_page(ROOT / "gradscope_plugin" / "static")
        print("\n".join(problems), file=sys.stderr)
        return 1 if problems else 0
    if modules:
        print_table(counts(modules))
    if scripts:
        print("\nJavaScript\n")
        print_table(counts_of_page(scripts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
