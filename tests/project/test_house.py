"""The rules of the house that `make lint` counts."""

from tools import house


def test_no_test_module_is_too_long_or_imported_by_another():
    assert house.problems_of_tests(house.ROOT / "tests") == []


def test_a_test_module_that_is_too_long_or_imported_is_named(tmp_path):
    (tmp_path / "test_long.py").write_text("x = 1\n" * 401)
    (tmp_path / "test_right.py").write_text("x = 1\n" * 400)
    (tmp_path / "test_from.py").write_text("from test_right import x\n")
    (tmp_path / "helper.py").write_text("import folder.test_long\n" * 500)
    assert house.problems_of_tests(tmp_path) == [
        "helper.py: imports the tests of test_long; move what they share to "
        "tests/support",
        "test_from.py: imports the tests of test_right; move what they share "
        "to tests/support",
        "test_long.py: 401 lines, and at most 400 are allowed; give each theme "
        "a file",
    ]


def test_examples_are_counted_by_docstrings(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(
        '"""No example."""\n\n\ndef double(x):\n    """Doubles.\n\n'
        "    >>> double(1)\n    2\n    >>> double(2)\n    4\n"
        '    """\n    return 2 * x\n'
    )
    numbers = house.counts([house.Module(file)])
    assert numbers["docstrings with an example"] == 1
