"""The routes, through TensorBoard's own application and both data providers."""

import importlib.resources
import re

import pytest
import runs
from plugin_client import (
    BASE,
    PROVIDERS,
    client_of,
    get_matrix,
    loaded,
)
from tensorboard.backend import application
from tensorboard.plugins import base_plugin
from werkzeug.test import Client

from gradscope.format.columns import STATISTICS
from gradscope_plugin import bundle, plugin
from gradscope_plugin.replies import matrix


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
    assert "`rows` must be at most 2 per run" in response.text
    assert "has at most 40 bytes; got 6. Choose one layer" in response.text


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


def test_the_page_is_served_with_its_types_and_no_other_file_is(client):
    files = bundle.page_files()
    assert len(files) > 60
    expected = {
        "index.js": ("text/javascript", files["index.js"]),
        "page/start.js": (
            "text/javascript",
            bundle.bundle(files, "page/start.js"),
        ),
        "style.css": ("text/css", files["style.css"]),
    }
    for name in files:
        response = client.get(f"{BASE}/static/{name}")
        if name not in expected:
            assert response.status_code == 404, name
            continue
        kind, text = expected[name]
        assert response.status_code == 200
        assert response.content_type == f"{kind}; charset=utf-8"
        assert response.text == text


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


@pytest.mark.parametrize(
    "directory, name",
    [
        ("/a/b/run", "run"),
        ("/a/b/run/", "run"),
        ("/a/b/run/gradscope", "run"),
        ("gs://bucket/run/gradscope", "run"),
        ("/a/<b> ü", "%3Cb%3E%20%C3%BC"),
        ("", ""),
    ],
)
def test_the_page_learns_what_the_log_directory_is_called(
    directory, name, sources
):
    context = base_plugin.TBContext(
        data_provider=sources["python"], logdir=directory
    )
    tensorboard = application.TensorBoardWSGI(
        [plugin.GradscopePlugin(context)], data_provider=sources["python"]
    )
    reply = Client(tensorboard).get(f"{BASE}/runs")
    assert reply.headers["X-Gradscope-Directory"] == name
