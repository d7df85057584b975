"""The routes, through TensorBoard's own application and both data providers."""

import dataclasses
import importlib.resources
import json
import pathlib
import re

import numpy as np
import pytest
import runs
from plugin_client import (
    BASE,
    PROVIDERS,
    CountingProvider,
    client_of,
    get_matrix,
    loaded,
    plugin_context,
)
from tensorboard.plugins import base_plugin

import gradscope
import gradscope_plugin
from gradscope.format import schema
from gradscope.format.columns import STATISTICS
from gradscope.recording import event_writer
from gradscope_plugin import plugin
from gradscope_plugin.replies import matrix
from gradscope_plugin.runs import run_data


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory with runs of every kind."""
    directory = tmp_path_factory.mktemp("logs")
    runs.healthy(directory, layers=3, steps=100)
    runs.abnormal(directory)
    runs.hostile(directory)
    runs.restarted(directory)
    runs.bad_schema(directory)
    runs.layered(directory)
    return directory


@pytest.fixture(scope="module")
def sources(logdir):
    return {name: loaded(logdir, name) for name in PROVIDERS}


@pytest.fixture(params=PROVIDERS)
def client(request, sources):
    return client_of(sources[request.param])


def test_runs_are_described(client):
    response = client.get(f"{BASE}/runs")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    listed = {run["name"]: run for run in response.get_json()}
    assert list(listed) == sorted(listed)
    healthy = dict(listed["healthy/gradscope"])
    variables = healthy.pop("variables")
    assert healthy.pop("readable") > 5000
    assert variables[:2] == [
        {
            "name": "dense_1/kernel",
            "layer": "dense_1",
            "shape": [32, 32],
            "dtype": "float32",
        },
        {
            "name": "dense_1/bias",
            "layer": "dense_1",
            "shape": [32],
            "dtype": "float32",
        },
    ]
    assert healthy == {
        "name": "healthy/gradscope",
        "layers": ["dense_1", "dense_2", "dense_3"],
        "activations": [],
        "states": [],
        "data": [],
        "unseen": [],
        "steps": 55,
        "first_step": 0,
        "last_step": 90,
        "recorded": 55,
        "dropped": 0,
        "skipped": None,
        "last_wall_time": runs.WALL_TIME + 90,
        "statistics": list(runs.COLUMNS),
        "activation_statistics": [],
        "state_statistics": [],
        "data_statistics": [],
        "unit_statistics": [],
    }
    assert listed["abnormal/gradscope"]["dropped"] == 3


def test_names_come_through_unchanged(client):
    listed = {run["name"]: run for run in client.get(f"{BASE}/runs").get_json()}
    hostile = listed["<b>bold</b> 🚀/gradscope"]
    assert hostile["layers"][0] == runs.HOSTILE.format(1)
    assert get_matrix(client, hostile["name"])[1].shape == (6, 5)


def test_a_schema_that_cannot_be_read_is_reported_and_hides_nothing(client):
    listed = {run["name"]: run for run in client.get(f"{BASE}/runs").get_json()}
    assert set(listed["newer/gradscope"]) == {"name", "error"}
    assert "upgrade gradscope" in listed["newer/gradscope"]["error"]
    assert len(listed) == 6
    response = client.get(
        f"{BASE}/matrix",
        query_string={
            "run": "newer/gradscope",
            "statistic": "gradient_norm",
            "rows": "layers",
        },
    )
    assert response.status_code == 500
    assert "newer/gradscope: the run was recorded in format 99" in response.text


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


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_empty_log_directory_has_no_runs(tmp_path, provider):
    client = client_of(loaded(tmp_path, provider))
    assert client.get(f"{BASE}/runs").get_json() == []


GOOD = {
    "run": "healthy/gradscope",
    "statistic": "gradient_norm",
    "rows": "layers",
}


@pytest.mark.parametrize(
    "change, status, message",
    [
        ({"run": None}, 400, "`run` is missing: add `run=...`"),
        ({"statistic": None}, 400, "`statistic` is missing"),
        ({"rows": None}, 400, "`rows` is missing"),
        (
            {"rows": "neurons"},
            400,
            "`rows` must be one of layers, kernels, variables, activations, "
            "state, data, units; got 'neurons'",
        ),
        (
            {"statistic": "loss"},
            400,
            "`statistic` must be one of gradient_norm, gradient_rms,",
        ),
        ({"statistic": "learning_rate"}, 400, "got 'learning_rate'"),
        ({"run": "nope"}, 404, "no run 'nope' was recorded"),
        ({"run": "../healthy/gradscope"}, 404, "no run '../healthy"),
    ],
)
def test_a_bad_request_says_what_is_wrong(client, change, status, message):
    query = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    response = client.get(f"{BASE}/matrix", query_string=query)
    assert response.status_code == status
    assert response.content_type == "text/plain; charset=utf-8"
    assert message in response.text


def test_a_column_that_is_too_large_names_the_remedy(client, monkeypatch):
    monkeypatch.setattr(matrix, "MAX_BYTES", 40)
    response = client.get(f"{BASE}/matrix", query_string=GOOD)
    assert response.status_code == 400
    assert "`rows` must be at most 2 a run" in response.text
    assert "has at most 40 bytes; got 6: choose one layer" in response.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("route", ["/runs", "/matrix", "/static/index.js"])
def test_only_reading_is_allowed(client, method, route):
    response = client.open(BASE + route, method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert f"Method not allowed: {method}. Use GET." in response.text


def test_head_is_get_without_the_body(client):
    response = client.head(f"{BASE}/static/index.js")
    assert response.status_code == 200
    assert response.data == b""


def test_every_static_file_is_served_with_its_type(client):
    folder = pathlib.Path(gradscope_plugin.__file__).parent / "static"
    types = {".js": "text/javascript", ".css": "text/css"}
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert len(paths) > 60
    for path in paths:
        name = path.relative_to(folder).as_posix()
        response = client.get(f"{BASE}/static/{name}")
        assert response.status_code == 200, name
        expected = types[path.suffix]
        assert response.content_type == f"{expected}; charset=utf-8"
        assert response.data == path.read_bytes()


def test_all_modules_are_listed_so_that_they_are_asked_for_at_once(client):
    response = client.get(f"{BASE}/static/modules.json")
    assert response.content_type == "application/json"
    folder = pathlib.Path(gradscope_plugin.__file__).parent / "static"
    there = (path.relative_to(folder) for path in folder.rglob("*.js"))
    assert response.get_json() == sorted(path.as_posix() for path in there)


def test_the_page_is_told_what_is_declared_of_each_statistic(client):
    response = client.get(f"{BASE}/static/statistics.json")
    assert response.content_type == "application/json"
    told = {entry["name"]: entry for entry in response.get_json()}
    assert told.keys() == STATISTICS.keys()
    for name, statistic in STATISTICS.items():
        assert ("group" in told[name]) == (statistic.drawing is not None)
    assert told["update_to_weight_ratio"] == {
        "name": "update_to_weight_ratio",
        "group": "Weights and updates",
        "label": "update : weight",
        "help": STATISTICS["update_to_weight_ratio"].meaning,
        "scale": "log",
        "domain": [1e-6, 1],
        "ends": ["hardly learns", "overwrites itself"],
        "center": 1e-3,
        "line": {
            "chart": "ratios",
            "color": 1,
            "band": {"low": 3e-4, "high": 3e-3, "text": "usual about 1e-3"},
        },
    }
    assert told["gradient_max"]["help"].count("\u2019") == 1
    assert told["unit_activity"]["marksDead"] is True
    assert told["gradient_rms"]["ofGradient"] is True
    assert told["mean_distance"]["of"] == ["batch_norm", "state"]
    assert "rows" not in told["gradient_norm"]
    assert told["data_mean"]["rows"] == "data"
    assert told["data_mean"]["center"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "static/../plugin.py",
        "static/%2e%2e/plugin.py",
        "static/..%2fplugin.py",
        "static/..%5cplugin.py",
        "static//etc/passwd",
        "static/%2fetc%2fpasswd",
        "static/",
        "static/index.js%00.css",
        "static/nope.js",
        "../../../etc/passwd",
    ],
)
def test_nothing_but_the_page_is_served(client, path):
    response = client.get(f"{BASE}/{path}")
    assert response.status_code == 404
    assert b"import" not in response.data and b"root:" not in response.data


def test_the_listing_offers_the_tab_without_asking_the_plugin(client):
    listing = client.get("/data/plugins_listing").get_json()["gradscope"]
    assert listing["enabled"]
    assert listing["tab_name"] == "Gradscope"
    assert listing["loading_mechanism"]["module_path"] == (
        "/data/plugin/gradscope/static/index.js"
    )


def test_every_route_is_documented(sources):
    package = importlib.resources.files("gradscope_plugin")
    text = (package / "http_api.md").read_text()
    context = base_plugin.TBContext(data_provider=sources["python"])
    for route in plugin.GradscopePlugin(context).get_plugin_apps():
        folder = re.sub(r"[^/]+\.js$", "*.js", route)
        assert f"`{route}`" in text or f"`{folder}`" in text, route


def test_unchanged_runs_are_read_once_and_one_tag_at_a_time(sources):
    provider = CountingProvider(sources["python"])
    reader = run_data.Runs(provider)
    context = plugin_context()
    for _ in range(2):
        reader.summaries(context, "")
        reader.record(context, "", "healthy/gradscope", "variables")
    families = [tag.split("/")[1] for tag in provider.read]
    assert families.count("variables") == 1


def test_the_cache_forgets_the_run_used_longest_ago(sources, monkeypatch):
    monkeypatch.setattr(run_data, "_CACHE_BYTES", 0)
    provider = CountingProvider(sources["python"])
    reader = run_data.Runs(provider)
    for run in ("healthy", "abnormal", "abnormal", "healthy"):
        name = f"{run}/gradscope"
        assert reader.record(plugin_context(), "", name, "variables")
    families = [tag.split("/")[1] for tag in provider.read]
    assert families.count("variables") == 3


def test_a_failing_read_hides_no_other_run(sources, caplog):
    class Failing(CountingProvider):
        def read_tensors(self, *args, run_tag_filter, **kwargs):
            if "healthy/gradscope" in run_tag_filter.runs:
                raise RuntimeError("secret /home/me")
            return super().read_tensors(
                *args, run_tag_filter=run_tag_filter, **kwargs
            )

    reader = run_data.Runs(Failing(sources["python"]))
    told = {r["name"]: r for r in reader.summaries(plugin_context(), "")}
    assert "cannot be read" in told["healthy/gradscope"]["error"]
    assert "secret" not in json.dumps(told)
    assert "secret" in caplog.text
    assert told["abnormal/gradscope"]["steps"] == 120


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


def test_units_are_read_only_where_they_are_shown(sources):
    provider = CountingProvider(sources["python"])
    reader = run_data.Runs(provider)
    name = "layered/gradscope"

    def families(family):
        provider.read.clear()
        if family is None:
            reader.summaries(plugin_context(), "")
        else:
            reader.record(plugin_context(), "", name, family)
        return {tag.split("/")[1] for tag in provider.read}

    assert families(None) == {"schema", "run"}
    assert families("units") == {"schema", "run", "units"}
    everything = {"schema", *schema.FAMILIES}
    assert families("state") == everything
    assert families("units") == families("variables") == set()


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
