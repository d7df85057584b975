"""The page's files, with all of its modules in one.

TensorBoard's server answers some three hundred requests a second, so a module a
request would keep the page from its first picture for a third of a second. The
page's modules import and export in one form each, so that joining them takes no
tool.
"""

from __future__ import annotations

import graphlib
import importlib.resources
import json
import posixpath
import re
from collections.abc import Iterator, Mapping

_IMPORT = re.compile(r"^import (\{[^}]*\})\s+from '(\.[^']*)';$", re.MULTILINE)
_EXPORT = re.compile(
    r"^export (?=(?:async function|function|class|const) (\w+))", re.MULTILINE
)
# What begins a line that neither of them has taken.
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def page_files() -> dict[str, str]:
    """Read the page's files, by their paths below `static`."""
    folder = importlib.resources.files("gradscope_plugin") / "static"
    return dict(sorted(_files_below(folder, "")))


def _files_below(folder, path: str) -> Iterator[tuple[str, str]]:
    for file in folder.iterdir():
        if file.is_dir():
            yield from _files_below(file, f"{path}{file.name}/")
        else:
            yield f"{path}{file.name}", file.read_text(encoding="utf-8")


def bundle(files: Mapping[str, str], entry: str) -> str:
    """Join a module and all that it imports, directly or not, in one module.

    Each module is a block, so that its names are its own; what it exports is in
    an object.

    Args:
        files: The texts of modules by path; other files are ignored.
        entry: The path of the module whose exports are those of the result.

    Raises:
        ValueError: If a module imports or exports in another form than
            `import {a, b} from './path.js';`, and `export` before a function,
            a class or a constant; or if modules import each other in a circle.
    """
    imports: dict[str, list[str]] = {}
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path not in imports:
            found = _IMPORT.findall(files[path])
            imports[path] = [_target(path, name) for _, name in found]
            waiting += imports[path]
    try:
        order = list(graphlib.TopologicalSorter(imports).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ValueError(
            f"modules import each other in a circle: {circle}. Move what they "
            "share into a module of its own."
        ) from error
    blocks = [_block(path, files[path]) for path in order]
    names = ", ".join(_EXPORT.findall(files[entry]))
    return "\n".join(
        [
            "const modules = {};",
            *blocks,
            f"export const {{{names}}} = modules[{json.dumps(entry)}];\n",
        ]
    )


def _target(path: str, name: str) -> str:
    """The path of a module that another one imports by a relative path."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name))


def _block(path: str, text: str) -> str:
    """The block of a module."""

    def constants(match: re.Match[str]) -> str:
        target = json.dumps(_target(path, match[2]))
        return f"const {match[1]} = modules[{target}];"

    body = _EXPORT.sub("", _IMPORT.sub(constants, text))
    if other := _OTHER.search(body):
        raise ValueError(
            f"{path} has a line that cannot be bundled: {other[0]!r}. Write "
            "`import {a, b} from './path.js';`, or `export` before a function, "
            "a class or a constant."
        )
    exports = ", ".join(_EXPORT.findall(text))
    return f"{{\n{body}\nmodules[{json.dumps(path)}] = {{{exports}}};\n}}"
