"""What the plugin answers of numbers is what `gradscope.read` returns."""

import dataclasses

import numpy as np
import pytest
import runs
from plugin_client import (
    BASE,
    PROVIDERS,
    client_of,
    get_matrix,
    loaded,
)

import gradscope
from gradscope.format import schema
from gradscope.recording import event_writer


@pytest.mark.parametrize("rows", ["layers", "kernels", "variables"])
@pytest.mark.parametrize("run", ["healthy", "abnormal", "restarted"])
def test_matrices_are_what_gradscope_read_returns(client, logdir, run, rows):
    record = gradscope.read(logdir / run)
    for statistic in ("gradient_norm", "update_to_weight_ratio"):
        steps, values = get_matrix(client, f"{run}/gradscope", statistic, rows)
        expected = {
            "layers": record.by_layer(statistic),
            "kernels": record[statistic][:, ::2],
            "variables": record[statistic],
        }[rows]
        np.testing.assert_array_equal(steps, record.steps)
        np.testing.assert_array_equal(values, expected.T)


def test_values_are_exact_by_hand(client):
    _, values = get_matrix(client, "abnormal/gradscope")
    assert np.all(values[0, 30:] == 0)
    assert np.all(np.isnan(values[2:4, 60:]))
    assert np.all(values[4:6, 80] == np.inf)
    assert np.all(np.isnan(values[6:, 90:]))
    assert np.all(np.isfinite(values[:, :30]))


def test_a_restarted_run_is_the_same_through_both_providers(sources):
    first, second = (
        get_matrix(client_of(source), "restarted/gradscope")
        for source in sources.values()
    )
    np.testing.assert_array_equal(first[0], np.arange(81))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_sampled_run_says_how_many_records_there_were(tmp_path, provider):
    runs.healthy(tmp_path, layers=1, steps=400)
    client = client_of(loaded(tmp_path, provider, samples=20))
    (run,) = client.get(f"{BASE}/runs").get_json()
    assert run["steps"] == 20
    assert run["recorded"] == 85
    steps, values = get_matrix(client, run["name"])
    assert len(steps) == values.shape[1] == 20


def test_runs_tell_what_there_is_besides_variables(client):
    listed = {run["name"]: run for run in client.get(f"{BASE}/runs").get_json()}
    told = listed["layered/gradscope"]
    per_row = [a["units_per_row"] for a in told["activations"]]
    assert per_row == [1, 2, 1]
    states = [("batch_normalization", "batch_norm"), ("dropout", "dropout")]
    expected = [
        {"name": n, "kind": kind, "size": 0, "layer": n} for n, kind in states
    ]
    assert told["states"] == expected
    assert told["data"] == ["input", "target"]
    assert told["state_statistics"] == list(schema.STATE_COLUMNS)
    assert told["data_statistics"] == list(schema.DATA_COLUMNS)
    assert told["unit_statistics"] == list(schema.UNIT_COLUMNS)


@pytest.mark.parametrize(
    "rows, family",
    [
        ("activations", "activations"),
        ("state", "state"),
        ("data", "data"),
    ],
)
def test_other_families_are_what_gradscope_read_returns(
    client, logdir, rows, family
):
    record = gradscope.read(logdir / "layered")
    for statistic in schema.FAMILIES[family]:
        steps, values = get_matrix(client, "layered/gradscope", statistic, rows)
        np.testing.assert_array_equal(steps, record.steps)
        np.testing.assert_array_equal(values, record[statistic].T)


def test_units_have_steps_of_their_own(client, logdir):
    record = gradscope.read(logdir / "layered")
    expected_steps, expected = record.occasional("units")
    assert 0 < len(expected_steps) < len(record.steps)
    for column, statistic in enumerate(schema.UNIT_COLUMNS):
        steps, values = get_matrix(
            client, "layered/gradscope", statistic, "units"
        )
        np.testing.assert_array_equal(steps, expected_steps)
        np.testing.assert_array_equal(values, expected[:, :, column].T)


def test_dead_units_by_hand(client):
    steps, dead = get_matrix(client, "layered/gradscope", "unit_dead", "units")
    # They die at step 150, and a window is of 256 examples: eight steps.
    assert not dead[:64, steps < 157].any()
    gone = sorted([*runs.DYING, runs.REVIVING])
    for column in np.flatnonzero((steps >= 157) & (steps < 200)):
        assert np.flatnonzero(dead[:64, column]).tolist() == gone
    assert np.flatnonzero(dead[:64, -1]).tolist() == list(runs.DYING)
    # dense_2 is shown in groups of two; what is leaky cannot die.
    assert np.flatnonzero(dead[64:192, -1]).tolist() == [0, 1, 2, 3]
    assert np.isnan(dead[192:]).all()
    _, fired = get_matrix(
        client, "layered/gradscope", "unit_last_fired", "units"
    )
    assert fired[5, -1] <= 149 and fired[0, -1] > 350


def test_a_run_without_a_map_of_units_says_so(client):
    query = {
        "run": "healthy/gradscope",
        "statistic": "unit_dead",
        "rows": "units",
    }
    response = client.get(f"{BASE}/matrix", query_string=query)
    assert response.status_code == 400
    assert "no units were recorded so far" in response.text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_activations_have_rows_of_their_own(provider, tmp_path):
    net = runs.network(1)
    relu = schema.Activation("dense_1/relu", "relu", 32)
    described = dataclasses.replace(
        net, activations=(relu,), unseen=("a/loop",)
    )
    columns = len(schema.ACTIVATION_COLUMNS)
    file = event_writer.EventWriter(str(tmp_path / "run" / schema.DIRECTORY))
    for step in range(3):
        values = [
            event_writer.family_value(
                "variables",
                described.id,
                np.ones([len(net.variables), len(runs.COLUMNS)]),
            ),
            event_writer.family_value(
                "activations", described.id, np.full([1, columns], step / 4)
            ),
            event_writer.family_value(
                "run", described.id, np.ones([1, len(schema.RUN_COLUMNS)])
            ),
            event_writer.schema_value(described),
        ]
        file.write(step, float(step), values)
    file.close()
    client = client_of(loaded(tmp_path, provider))
    (listed,) = client.get(f"{BASE}/runs").get_json()
    expected = {
        "name": "dense_1/relu",
        "kind": "relu",
        "units": 32,
        "dtype": "float32",
        "units_per_row": 1,
    }
    assert listed["activations"] == [expected]
    assert listed["unseen"] == ["a/loop"]
    assert listed["activation_statistics"] == list(schema.ACTIVATION_COLUMNS)
    name = "run/gradscope"
    steps, values = get_matrix(client, name, "dead_fraction", "activations")
    np.testing.assert_array_equal(steps, [0, 1, 2])
    np.testing.assert_array_equal(values, [[0, 0.25, 0.5]])
    wrong = client.get(
        f"{BASE}/matrix",
        query_string={
            "run": name,
            "statistic": "dead_fraction",
            "rows": "layers",
        },
    )
    assert wrong.status_code == 400
