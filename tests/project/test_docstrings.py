"""The examples in docstrings print what they say."""

import doctest
import importlib
import pathlib
import warnings

import pytest

import gradscope

ROOT = pathlib.Path(__file__).parents[2]

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def with_examples():
    """Lists the names of all modules of which a docstring has an example."""
    paths = sorted((ROOT / "gradscope").rglob("*.py"))
    paths += sorted((ROOT / "gradscope_plugin").rglob("*.py"))
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
            ".__init__"
        )
        for path in paths
        if ">>> " in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("module", with_examples())
def test_every_example_prints_what_it_says(module, tmp_path, monkeypatch):
    module = importlib.import_module(module)
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    report = []
    for number, test in enumerate(doctest.DocTestFinder().find(module)):
        # Each has a folder of its own for `logs/run`.
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        with warnings.catch_warnings():
            runner.run(test, out=report.append)
        gradscope.flush()
    assert runner.summarize(verbose=False).attempted
    assert not report, "".join(report)


#: Has no numbers to show: an operation's sums differ from run to run.
WITHOUT = {"sums_in_order"}


@pytest.mark.parametrize("name", sorted(set(gradscope.__all__) - WITHOUT))
def test_every_public_name_has_an_example(name):
    public = getattr(gradscope, name)
    inside = vars(public).values() if isinstance(public, type) else ()
    texts = [getattr(item, "__doc__", None) for item in (public, *inside)]
    if name == "schedule":
        texts += [value.__doc__ for value in vars(public).values()]
    assert any(">>> " in (text or "") for text in texts)
