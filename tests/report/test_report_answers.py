"""A report answers the page's requests as the plugin's routes do."""

import base64
import json
import subprocess
import urllib.parse

import numpy as np
import pytest
import runs
import trained_runs
from plugin_client import BASE, client_of, loaded, parse
from tensorboard.plugins import base_plugin

from gradscope.cli import main
from gradscope.format import schema
from gradscope_plugin import plugin
from gradscope_plugin.replies import histograms
from gradscope_plugin.report import routes as report_routes


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    runs.detailed(directory, steps=121)
    runs.abnormal(directory)
    runs.hostile(directory)
    runs.restarted(directory)
    runs.bad_schema(directory)
    runs.replaced(directory)  # which has an earlier training, too
    trained_runs.trained(directory)
    return directory


@pytest.fixture(scope="module")
def report(logdir):
    """Returns the path of a report that leaves out nothing."""
    path = logdir.parent / "report.html"
    main.main(["report", str(logdir), "-o", str(path)])
    return path


@pytest.fixture(scope="module")
def client(logdir):
    return client_of(loaded(logdir, "python", samples=0))


def answers(path, urls):
    """Returns status and body of what a report answers."""
    done = subprocess.run(
        ["node", "tests/frontend/answer_urls.js", path, json.dumps(urls)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        (status, base64.b64decode(body))
        for status, body in json.loads(done.stdout)
    ]


def url(path, **query):
    return f"{path}?{urllib.parse.urlencode(query)}"


def matrix_urls(run):
    for rows, listed in (
        ("layers", "statistics"),
        ("kernels", "statistics"),
        ("variables", "statistics"),
        ("activations", "activation_statistics"),
        ("state", "state_statistics"),
        ("data", "data_statistics"),
        ("units", "unit_statistics"),
    ):
        for statistic in filter(report_routes.is_shown, run[listed]):
            query = {"run": run["name"], "rows": rows, "statistic": statistic}
            yield url("matrix", **query, soon=1)
    for activation in run["activations"]:
        if run["unit_statistics"]:
            yield url(
                "matrix",
                run=run["name"],
                rows="units",
                statistic="unit_activity",
                only=activation["name"],
            )


def series_urls(run):
    for rows, names in (
        ("layers", run["layers"]),
        ("variables", [v["name"] for v in run["variables"]]),
        ("activations", [a["name"] for a in run["activations"]]),
        ("state", [s["name"] for s in run["states"]]),
    ):
        for name in names:
            yield url("series", run=run["name"], rows=rows, only=name)


def test_matrices_are_those_of_the_routes_bit_by_bit(client, report):
    listed = [r for r in client.get(f"{BASE}/runs").get_json() if "layers" in r]
    assert len(listed) == 7
    urls = [u for run in listed for u in matrix_urls(run)]
    assert len(urls) > 100
    for asked, (status, body) in zip(urls, answers(report, urls), strict=True):
        expected = client.get(f"{BASE}/{asked}")
        assert status == expected.status_code == 200, (asked, body)
        _, steps, values = parse(body)
        _, right_steps, right = parse(expected.data)
        np.testing.assert_array_equal(steps, right_steps)
        np.testing.assert_array_equal(values, right, err_msg=asked)


def test_series_are_those_of_the_routes_where_a_chart_shows_them(
    client, report
):
    listed = [r for r in client.get(f"{BASE}/runs").get_json() if "layers" in r]
    urls = [u for run in listed for u in series_urls(run)]
    for asked, (_, body) in zip(urls, answers(report, urls), strict=True):
        expected = parse(client.get(f"{BASE}/{asked}").data)[2]
        values = parse(body)[2]
        # What no chart shows is not in a report.
        is_shown = ~np.isnan(values).all(axis=1)
        np.testing.assert_array_equal(values[is_shown], expected[is_shown])
        assert is_shown.sum() >= (~np.isnan(expected)).any(axis=1).sum() - 1


def test_runs_findings_and_layers_are_those_of_the_routes(client, report):
    listed = client.get(f"{BASE}/runs").get_json()
    urls = ["runs?soon=1&known=abc"]
    for run in listed:
        if "layers" in run:
            urls.append(url("findings", run=run["name"], soon=1))
            urls.append(url("curves", run=run["name"]))
            states = [state["layer"] for state in run["states"]]
            urls += [
                url("layer", run=run["name"], layer=layer)
                for layer in (*run["layers"], *states)
            ]
    replies = answers(report, urls)
    told = json.loads(replies[0][1])
    named = {run["name"]: run for run in told}
    for mine, theirs in zip(told, listed, strict=True):
        like = named[mine["like"]] if "like" in mine else {}
        whole = {**like, **mine}
        whole.pop("like", None)
        assert whole == theirs
    for asked, (_, body) in zip(urls[1:], replies[1:], strict=True):
        assert json.loads(body) == client.get(f"{BASE}/{asked}").get_json()


def test_histograms_are_those_of_the_routes(client, report):
    urls = [
        url("histograms", run="detailed/gradscope", variable=name, kind=kind)
        for name in ("dense_1/kernel", "dense_3/bias")
        for kind in histograms.KINDS
    ]
    for asked, (status, body) in zip(urls, answers(report, urls), strict=True):
        (_, _, _, _, _, written), steps, counts = parse(body)
        _, right_steps, right = parse(client.get(f"{BASE}/{asked}").data)
        assert status == 200 and written == len(steps) == 7
        np.testing.assert_array_equal(steps, right_steps)
        np.testing.assert_array_equal(counts, right)


def test_the_names_of_runs_give_them_tensorboards_colours(report):
    ((_, body),) = answers(report, ["../../runs"])
    assert json.loads(body) == sorted(json.loads(body))
    assert f"abnormal/{schema.DIRECTORY}" in json.loads(body)


def test_what_a_report_lacks_is_an_error_with_a_remedy(report):
    run = "abnormal/gradscope"
    urls = [
        url("matrix", run=run, rows="layers", statistic="loss"),
        url("matrix", run="nobody", rows="kernels", statistic="gradient_norm"),
        url("later", run=run),
    ]
    for status, body in answers(report, urls):
        assert status == 404
        assert b"gradscope report --max-mb" in body


def test_a_report_answers_every_route_of_the_plugin():
    context = base_plugin.TBContext(data_provider=None)
    routes = {
        path[1:]
        for path in plugin.GradscopePlugin(context).get_plugin_apps()
        if not path.startswith("/static/")
    }
    # The list of runs is put together from that of each, and series are
    # derived from matrices.
    answered = {route.path for route in report_routes.ROUTES}
    assert routes == answered | {"runs", "series"}


def test_the_reply_of_a_route_that_refuses_is_its_error(tmp_path, monkeypatch):
    routes = report_routes.ROUTES
    route = report_routes.Route("matrix", lambda run, _: [{"rows": "layers"}])
    monkeypatch.setattr(report_routes, "ROUTES", (*routes, route))
    runs.one_step(tmp_path)
    path = tmp_path / "report.html"
    main.main(["report", str(tmp_path), "-o", str(path)])
    asks = url("matrix", run="one_step/gradscope", rows="layers")
    ((status, body),) = answers(path, [asks])
    assert status == 400 and b"`statistic` is missing" in body
