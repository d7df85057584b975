"""What `tools.house` counts of one file of JavaScript."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

KEYWORDS = frozenset(
    "async await break case catch class const continue default delete do else "
    "export extends false finally for from function if import in instanceof "
    "let new null of return static super switch this throw true try typeof "
    "undefined var void while yield".split()
)

_TOKEN = re.compile(
    r"""
      (?P<blank>  \s+ | //[^\n]* | /\*.*?\*/ )
    | (?P<text>   "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
    | (?P<name>   \#?[A-Za-z_$][\w$]* )
    | (?P<number> \d[\w.]* )
    | (?P<regex>  /(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]* )
    | (?P<sign>   \?\.(?!\d) | \.\.\. | . )
    """,
    re.VERBOSE | re.DOTALL,
)

#: A template from its beginning, or from the end of an expression in it, to
#: its end or the next expression.
_TEMPLATE = re.compile(
    r"[`}](?:\\.|\$(?!\{)|[^`\\$])*(?P<end>`|\$\{)", re.DOTALL
)

Token = tuple[int, str, str]


class Script:
    """One file."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.source = path.read_text(encoding="utf-8")
        self.lines = self.source.count("\n")

    def names(self) -> list[tuple[int, str]]:
        """List line and name of each use of a variable or function.

        Members (`a.b`) and keys (`{b: 1}`) do not count, as in Python files.
        """
        return names(self.source)

    def begins_with_comment(self) -> bool:
        return self.source.startswith(("/**", "//"))

    def returns_what(self) -> list[tuple[int, str]]:
        """List the comments that begin "Returns what", with lines."""
        return [
            (number, line.strip(" /*"))
            for number, line in enumerate(self.source.splitlines(), 1)
            if re.match(r"\s*/?\*+ Returns what\b", line)
        ]


def _ends_operand(token: Token) -> bool:
    """Tell whether a slash behind a token divides, and begins no pattern."""
    _, kind, text = token
    if kind == "name":
        return text not in KEYWORDS or text in ("this", "super")
    return kind in ("number", "text") or text in (")", "]", "}", "`")


def tokens(source: str) -> Iterator[Token]:
    """Yield line, kind and text of all tokens, without blanks and comments."""
    last: Token = (1, "sign", "")
    # The depths of braces at which an expression in a template ends.
    templates: list[int] = []
    place = depth = 0
    line = 1
    while place < len(source):
        sign = source[place]
        ends = sign == "}" and bool(templates) and templates[-1] == depth
        if ends:
            templates.pop()
        if template := (
            _TEMPLATE.match(source, place) if ends or sign == "`" else None
        ):
            if template["end"] == "${":
                templates.append(depth)
            kind, text = "text", template[0]
        else:
            match = _TOKEN.match(source, place)
            kind, text = match.lastgroup, match[0]
            if kind == "regex" and _ends_operand(last):
                kind, text = "sign", "/"
        depth += (text == "{") - (text == "}")
        if kind != "blank":
            last = (line, kind, text)
            yield last
        line += text.count("\n")
        place += len(text)


def names(source: str) -> list[tuple[int, str]]:
    """List line and name of each use of a variable or function."""
    listed = list(tokens(source))
    start: Token = (1, "sign", "")
    around = zip([start, *listed], listed, [*listed[1:], start], strict=False)
    return [
        (line, name.lstrip("#"))
        for (_, _, before), (line, kind, name), (_, _, after) in around
        if kind == "name"
        and name not in KEYWORDS
        and before not in (".", "?.")
        and not (before in ("{", ",") and after == ":")
    ]
