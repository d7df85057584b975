"""`make lint` counts docstrings in the third person, and comments."""

import pytest

from tools import house, mood


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
    (problem,) = house.outside_limits(numbers)
    assert "third person: 1.0, and at most 0 are allowed" in problem
    numbers["comments, % of code"] = 1.0
    assert (
        "1.0, and at least 3.0 are needed" in house.outside_limits(numbers)[1]
    )


def test_the_packages_keep_the_limits(capsys):
    assert house.main(["--check"]) == 0
    assert house.main(["--mood"]) == 0
    assert capsys.readouterr().out == ""
