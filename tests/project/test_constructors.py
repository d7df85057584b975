"""A subclass completes what its base has set up, and prepares nothing for it:
no attribute is set before `super().__init__`."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted(
    path
    for package in ("gradscope", "gradscope_plugin")
    for path in (ROOT / package).rglob("*.py")
)


def early_attributes(text):
    """Returns attributes that constructors set before `super().__init__`."""
    early = []
    for function in ast.walk(ast.parse(text)):
        if getattr(function, "name", None) != "__init__":
            continue
        nodes = list(ast.walk(function))
        supers = [
            node.lineno
            for node in nodes
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) == "super().__init__"
        ]
        early += [
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and ast.unparse(node.value) == "self"
            and supers
            and node.lineno < min(supers)
        ]
    return early


@pytest.mark.parametrize(
    "body, attributes",
    [
        ("self.a = 1\n  super().__init__()", ["a"]),
        ("super().__init__()\n  self.a = 1", []),
        ("b = 1\n  super().__init__(b)\n  self.a: int = b", []),
        ("self.a = 1", []),
    ],
)
def test_what_comes_before_is_noticed(body, attributes):
    text = f"class A(B):\n def __init__(self):\n  {body}"
    assert early_attributes(text) == attributes


def test_no_constructor_prepares_attributes_for_its_base():
    early = {p.name: early_attributes(p.read_text("utf-8")) for p in FILES}
    assert len(early) > 100
    assert not {name: names for name, names in early.items() if names}
