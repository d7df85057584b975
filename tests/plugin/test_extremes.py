"""Runs at the edges of what one can record, read and shown in every way."""

import numpy as np
import pytest
import runs
from names import NAMES
from plugin_client import (
    BASE,
    PROVIDERS,
    loaded,
)
from tensorboard.plugins import base_plugin
from tensorboard.plugins.scalar import scalars_plugin

import gradscope
from benchmarks.fuzz import targets
from benchmarks.fuzz.provider import Memory
from gradscope.comparing import comparison_text
from gradscope.comparing.matching import match
from gradscope.format import schema
from gradscope.reading import event_files
from gradscope.recording import event_writer
from gradscope_plugin import plugin

NET = runs.network(2)


def write(directory, described, steps):
    rows = len(described.variables)
    numbers = runs.statistics(np.full([len(steps), rows], 0.1))
    runs.write(directory, "run", described, steps, numbers)
    return directory / "run"


def show(run):
    """Asks all routes about a run that is read from its files."""
    found = [
        data
        for path in event_files.event_files(str(run / schema.DIRECTORY))
        for data in event_files._records(path)
    ]
    targets.show(targets.client_of(Memory({"run": found})), "run")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read_and_shown(tmp_path, name):
    pattern = NAMES[name].replace("{", "{{").replace("}", "}}") + "{}"
    described = runs.network(2, name=pattern)
    run = write(tmp_path, described, range(3))
    assert gradscope.read(run).layers == described.layers
    targets.read(str(run))
    show(run)


@pytest.mark.parametrize(
    "steps",
    [
        [10**9, 10**9 + 1],
        [2**31 - 1, 2**31, 2**32],
        [2**53 - 1, 2**53],
        [2**62, 2**63 - 1],
    ],
)
def test_steps_beyond_int32_are_exact(tmp_path, steps):
    run = write(tmp_path, NET, steps)
    assert gradscope.read(run).steps.tolist() == steps
    targets.read(str(run))
    show(run)


@pytest.mark.parametrize(
    "steps, kept",
    [
        ([0, 1, 1, 2], [0, 1, 2]),
        ([5, 4, 3, 2], [2]),
        ([0, 1, 2, 1, 2, 3], [0, 1, 2, 3]),
        ([-5, -1, 0], [-5, -1, 0]),
    ],
)
def test_steps_that_come_again_or_go_back_take_the_place_of_others(
    tmp_path, steps, kept
):
    run = write(tmp_path, NET, steps)
    assert gradscope.read(run).steps.tolist() == kept
    targets.read(str(run))
    show(run)


def test_two_writers_in_one_directory_lose_nothing_of_the_newer_file(tmp_path):
    # One directory is one run: this is what happens where it is two all the
    # same. Files are read one after the other, as if a training was resumed.
    first = write(tmp_path, NET, [0, 1, 2, 3])
    write(tmp_path, runs.network(3), [2, 3, 4])
    record = gradscope.read(first)
    assert record.steps.tolist() == [0, 1, 2, 3, 4]
    assert record.layers == ("dense_1", "dense_2", "dense_3")
    targets.read(str(first))
    show(first)


def test_variables_of_no_size_scalars_and_no_variables_at_all(tmp_path):
    empty = schema.Variable("a/kernel", "a", (0, 3), "float32")
    scalar = schema.Variable("b/scale", "b", (), "float32")
    for number, variables in enumerate([(empty, scalar), (scalar,), ()]):
        described = schema.Schema(variables)
        run = write(tmp_path / str(number), described, range(3))
        assert len(gradscope.read(run).variables) == len(variables)
        targets.read(str(run))
        show(run)


def test_twenty_thousand_layers_are_read_compared_and_listed(tmp_path):
    described = runs.network(20_000)
    matrix = runs.statistics(np.full([1, 40_000], 0.1))[0]
    family = event_writer.family_value("variables", described.id, matrix)
    text = event_writer.schema_value(described)
    file = event_writer.EventWriter(str(tmp_path / "run" / schema.DIRECTORY))
    run = np.ones([1, len(schema.RUN_COLUMNS)])
    run = event_writer.family_value("run", described.id, run)
    file.write(0, 0.0, [family, run, text])
    file.close()
    record = gradscope.read(tmp_path / "run")
    assert record["gradient_norm"].shape == (1, 40_000)
    compared = gradscope.compare(record, record)
    assert compared.same_bits
    assert "and 19960 more layers" in comparison_text.text(compared)
    (path,) = event_files.event_files(str(tmp_path / "run" / schema.DIRECTORY))
    client = targets.client_of(
        Memory({"run": list(event_files._records(path))})
    )
    (listed,) = client.get(f"{BASE}/runs").get_json()
    assert len(listed["layers"]) == 20_000


def test_runs_with_no_common_names_and_many_rows_are_matched_soon():
    a, b = (runs.network(3000, name=f"{letter}_{{}}") for letter in "ab")
    found = match(
        [v.name for v in a.variables],
        [v.shape for v in a.variables],
        [v.name for v in b.variables],
        [v.shape for v in b.variables[:-1]],
    )
    assert found.by == "order"
    assert found.pairs == tuple((n, n) for n in range(5999))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_beside_damaged_runs_all_others_and_other_tabs_live_on(
    tmp_path, provider
):
    runs.healthy(tmp_path, layers=2, steps=20)
    file = event_writer.EventWriter(str(tmp_path / "train"))
    file.write(0, 0.0, [event_writer.scalar_value("loss", 1.0)])
    file.close()
    for name in ("cut", "flipped", "zeroed", "garbage"):
        runs.healthy(tmp_path, name, layers=2, steps=20)
        directory = str(tmp_path / name / schema.DIRECTORY)
        (path,) = event_files.event_files(directory)
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            if name == "cut":
                data = data[: len(data) * 2 // 3 + 1]
            elif name == "flipped":
                data[len(data) // 2] ^= 16
            elif name == "zeroed":
                data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
            else:
                data = b"\xff" * 5000
            file.seek(0)
            file.truncate()
            file.write(data)
    source = loaded(tmp_path, provider)
    context = base_plugin.TBContext(data_provider=source)
    application = targets.application.TensorBoardWSGI(
        [
            plugin.GradscopePlugin(context),
            scalars_plugin.ScalarsPlugin(context),
        ],
        data_provider=source,
    )
    client = targets.Client(application)
    listed = {r["name"]: r for r in client.get(f"{BASE}/runs").get_json()}
    assert listed["healthy/gradscope"]["steps"] == 20
    for name in listed:
        targets.show(client, name)
    tags = client.get("/data/plugin/scalars/tags").get_json()
    assert list(tags["train"]) == ["loss"]
    assert client.get("/data/plugins_listing").get_json()["scalars"]["enabled"]
    for name in ("cut", "flipped", "zeroed"):
        record = gradscope.read(tmp_path / name)
        assert record.damage and 0 < len(record.steps) < 20
        np.testing.assert_array_equal(
            record["gradient_norm"],
            gradscope.read(tmp_path / "healthy")["gradient_norm"][record.steps],
        )
