"""The rules of the house that `make lint` counts."""

import pytest

from tools import house, mood
from tools.javascript import names


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Computes the norm.", True),
        ("Compute the norm.", False),
        ("Copies a row.", True),
        ("Copies of a row.", False),
        ("Catches\nwhat is raised.", False),
        ("Matches\nrows.", True),
        ("Weights so small that nothing passes.", False),
        ("Names, in forward order.", False),
    ],
)
def test_a_docstring_begins_with_a_verb_or_with_a_noun(docstring, expected):
    assert mood.is_third_person(docstring) is expected


def test_functions_in_the_third_person_are_counted_and_classes_are_not(
    tmp_path,
):
    path = tmp_path / "module.py"
    path.write_text(
        'class Reader:\n    """Reads."""\n\n    def read(self):\n'
        '        """Reads a file."""\n\n\n'
        '# One line of three is a comment.\ndef f():\n    """Read."""\n'
    )
    module = house.Module(path)
    assert module.third_person() == [(4, "Reads a file.")]
    numbers = house.counts([module])
    assert numbers["docstrings in the third person"] == 1
    assert numbers["comments, % of code"] == pytest.approx(100 / 3)
    (problem,) = house.above_ceilings(numbers)
    assert "third person: 1.0, and at most 0 are allowed" in problem
    assert house.below_floors(numbers) == []
    numbers["comments, % of code"] = 1.0
    (problem,) = house.below_floors(numbers)
    assert "1.0, and at least 5.3 are needed" in problem


def test_lines_that_have_texts_alone_are_no_code_to_give_reasons_for(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        '"""A module."""\n\nNAMES = (\n    "a",\n    "b",\n)\n'
        '# One of the other three lines.\nprint("a" "b")\n'
    )
    module = house.Module(path)
    assert module.code() == 5
    assert module.code(texts=False) == 3
    numbers = house.counts([module])
    share = numbers["comments, % of code without texts"]
    assert share == pytest.approx(100 / 3)


def test_the_packages_keep_the_limits(capsys):
    assert house.main(["--check"]) == 0
    assert house.main(["--mood"]) == 0
    assert capsys.readouterr().out == ""


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


def test_a_function_of_the_page_that_returns_what_is_named(tmp_path):
    (tmp_path / "view.js").write_text(
        "/** Returns what is shown. */\nfunction shown() {}\n"
        "/**\n * Returns the view.\n */\nfunction view() {}\n"
    )
    assert house.problems_of_page(tmp_path) == [
        "view.js:1: Returns what is shown. Name it."
    ]


def test_indefinite_names_of_the_page_are_counted_and_listed(tmp_path, capsys):
    (tmp_path / "view.js").write_text("const found = 1;\nuse(found, row);\n")
    (problem,) = house.problems_of_page(tmp_path)
    assert "indefinite names per 1000: 500.0, and at most 3.0" in problem
    house.main([str(tmp_path)])
    assert "| indefinite names per 1000 | 500.0 |" in capsys.readouterr().out


def test_names_in_javascript_are_neither_members_nor_keys_nor_texts():
    source = (
        "// one\n/* two */ const {three: four, five} = a.six?.seven;\n"
        "const text = `eight ${nine(`ten ${eleven}`)} twelve`;\n"
        "x = b / thirteen / 2; y = /fourteen[/]/g; #z = 'it\\'s fifteen';\n"
    )
    assert names(source) == [
        (2, "four"),
        (2, "five"),
        (2, "a"),
        (3, "text"),
        (3, "nine"),
        (3, "eleven"),
        (4, "x"),
        (4, "b"),
        (4, "thirteen"),
        (4, "y"),
        (4, "z"),
    ]
