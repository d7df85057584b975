"""The sets of `make test-versions`, and what the requirements promise."""

import configparser
import importlib.util
import json
import pathlib
import re

from gradscope.runtime import versions

ROOT = pathlib.Path(__file__).parents[2]
SETS = ROOT / "versions" / "sets"


def pinned(name):
    """Returns the versions of a set, as major and minor number."""
    text = (SETS / f"{name}.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^(\w+)==(\d+)\.(\d+)", text, re.MULTILINE)
    return {name: (int(major), int(minor)) for name, major, minor in pins}


def required():
    """Returns the requirements of gradscope, each with its lower end."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["install_requires"].split()
    found = [re.fullmatch(r"(\w+)>=(\d+)\.(\d+)[\d.]*", line) for line in lines]
    return {m[1]: (int(m[2]), int(m[3])) for m in found}


def test_the_oldest_set_has_the_oldest_versions_that_are_allowed():
    oldest = pinned("2.16")
    for module, (version, _) in versions.OLDEST.items():
        assert oldest[module] == version
    for name, version in required().items():
        assert oldest[name] == version


def test_no_requirement_is_tensorflow_or_has_an_upper_end():
    # `required` has matched each line as a whole.
    assert set(required()) == {"numpy", "protobuf", "tensorboard"}


def test_there_is_a_set_for_each_tensorflow_and_one_of_what_comes():
    names = {path.stem for path in SETS.glob("*.txt")}
    assert names == {*(f"2.{minor}" for minor in range(16, 22)), "nightly"}
    assert "# may fail" in (SETS / "nightly.txt").read_text()
    for name in names - {"nightly"}:
        assert pinned(name)["tensorflow"] == tuple(map(int, name.split(".")))


def test_parts_and_what_is_left_out_name_tests_that_there_are():
    parts = json.loads((ROOT / "versions" / "parts.json").read_text())
    left_out = json.loads((ROOT / "versions" / "left_out.json").read_text())
    entries = [test for entry in left_out for test in entry["tests"]]
    chosen = [test for tests in parts.values() for test in tests]
    for test in [*chosen, *entries]:
        path, *name = test.split("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not name or f"def {name[0].split('[')[0]}(" in text, test
    files = {test.split("::")[0] for test in chosen}
    assert {test.split("::")[0] for test in entries} <= files


def test_the_table_keeps_the_rows_of_sets_that_were_tried_elsewhere(
    monkeypatch, tmp_path
):
    spec = importlib.util.spec_from_file_location("run", SETS.parent / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    document = tmp_path / "versions.md"
    before = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    document.write_text(before, encoding="utf-8")
    monkeypatch.setattr(run, "DOCUMENT", document)
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    run.write_table()
    assert document.read_text(encoding="utf-8") == before

    result = {
        "date": "2026-12-01",
        "python": "3.14.0",
        "versions": {"tensorflow": "99.0", "keras": "99.1"},
        "moved": ["numpy"],
        "parts": {"bits": {"passed": 5, "failed": ["a"]}},
    }
    for name in ("2.17", "1.15"):  # of the second, there is no set
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    run.write_table()
    parts = len(json.loads((SETS.parent / "parts.json").read_text()))
    row = (
        "| `2.17` | 3.14.0 | 99.0 | 99.1 | - | - | - | - "
        f"| 1 of {parts} | 5 passed, 1 failed, numpy replaced "
        "| - | 2026-12-01 |"
    )
    after = re.sub(r"^\| `2\.17` .*", row, before, flags=re.MULTILINE)
    assert document.read_text(encoding="utf-8") == after
