"""What `tools.house` counts of one Python file."""

from __future__ import annotations

import ast
import collections
import io
import pathlib
import re
import tokenize

from tools import mood

#: Tokens that are no code, and those of a text that goes over several lines.
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
TEXT = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


class Module:
    """One file, parsed."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.lines = self.text.count("\n")

    def names(self) -> list[tuple[int, str]]:
        """List line and name of each use of a variable or argument."""
        return [
            (node.lineno, node.id if isinstance(node, ast.Name) else node.arg)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Name | ast.arg)
        ]

    def imports(self) -> set[str]:
        """Lists the last names of all modules that are imported."""
        nodes = list(ast.walk(self.tree))
        imported = [
            alias.name
            for n in nodes
            if isinstance(n, ast.Import)
            for alias in n.names
        ]
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                imported += [node.module or "", *(a.name for a in node.names)]
        return {name.rpartition(".")[2] for name in imported}

    def functions(self) -> list:
        kinds = ast.FunctionDef | ast.AsyncFunctionDef
        return [n for n in ast.walk(self.tree) if isinstance(n, kinds)]

    def public(self) -> list:
        """List the public functions and classes, and methods of the latter."""
        top = _public(self.tree.body)
        classes = [node for node in top if isinstance(node, ast.ClassDef)]
        return top + [
            node
            for owner in classes
            for node in _public(owner.body)
            if not isinstance(node, ast.ClassDef)
        ]

    def docstrings(self) -> list[str]:
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        nodes = [self.tree]
        nodes += [n for n in ast.walk(self.tree) if isinstance(n, kinds)]
        return [text for text in map(ast.get_docstring, nodes) if text]

    def third_person(self) -> list[tuple[int, str]]:
        """List the functions' docstrings in the third person, with lines."""
        described = [(f, ast.get_docstring(f)) for f in self.functions()]
        return [
            (function.lineno, text.splitlines()[0])
            for function, text in described
            if text and mood.is_third_person(text)
        ]

    def comments(self) -> int:
        """Count the lines that hold a comment and nothing else."""
        return len(re.findall(r"^\s*#", self.text, re.MULTILINE))

    def all_comments(self) -> int:
        """Count the comments, with those behind code."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(token.type == tokenize.COMMENT for token in tokens)

    def code_and_docstrings(self) -> int:
        """Count the lines that are neither blank nor a comment."""
        written = sum(bool(line.strip()) for line in self.text.splitlines())
        return written - self.comments()

    def code(self, texts: bool = True) -> int:
        """Count the lines of code, without docstrings and comments.

        Args:
            texts: Whether lines count that have texts alone, as those of a
                message or of a list of names. Nobody asks why such a line is
                as it is.
        """
        types_by_line = collections.defaultdict(set)
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in NO_CODE and token.string != ",":
                for line in range(token.start[0], token.end[0] + 1):
                    types_by_line[line].add(token.type)
        count = len(types_by_line)
        if not texts:
            # Docstrings are such lines, too.
            return sum(not types <= TEXT for types in types_by_line.values())
        written = (text.count("\n") + 1 for text in self.docstrings())
        return count - sum(written)


def body_lines(function) -> int:
    """Count a function's lines without its heading and its docstring."""
    first = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - first[0].lineno + 1 if first else 0


def _public(nodes: list[ast.stmt]) -> list:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [
        node
        for node in nodes
        if isinstance(node, kinds) and not node.name.startswith("_")
    ]


def parameters(function) -> list[ast.arg]:
    """List the parameters of a function, without `self` and `cls`."""
    every_kind = function.args
    listed = every_kind.posonlyargs + every_kind.args + every_kind.kwonlyargs
    return [a for a in listed if a.arg not in ("self", "cls")]
