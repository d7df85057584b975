"""Routes of one layer and of parts of a run, through both data providers."""

import numpy as np
import pytest
import runs
from plugin_client import (
    BASE,
    PROVIDERS,
    client_of,
    loaded,
    parse,
)

import gradscope
from gradscope.format import histogram_buckets, schema
from gradscope.recording import event_writer
from gradscope_plugin.replies import matrix
from gradscope_plugin.runs import run_data

RUN = "detailed/gradscope"


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    runs.detailed(directory)
    runs.healthy(directory, layers=2, steps=100)
    return directory


@pytest.fixture(scope="module")
def sources(logdir):
    return {name: loaded(logdir, name) for name in PROVIDERS}


@pytest.fixture(params=PROVIDERS)
def client(request, sources):
    return client_of(sources[request.param])


def ask(client, route, **query):
    return client.get(f"{BASE}/{route}", query_string={"run": RUN, **query})


def test_a_layer_tells_its_configuration_and_what_there_is(client):
    told = ask(client, "layer", layer="dense_1").get_json()
    assert told["class"] == "Dense" and told["has_model"]
    assert told["config"]["units"] == 32
    assert told["config"]["kernel_initializer"]["class_name"] == "HeNormal"
    assert told["variables"][0] == {
        "name": "dense_1/kernel",
        "shape": [32, 32],
        "dtype": "float32",
        "histograms": ["gradients", "weights", "updates"],
    }
    assert told["activations"] == ["dense_1/relu"]
    other = ask(client, "layer", layer="dropout").get_json()
    assert other["states"] == ["dropout"] and other["variables"] == []


def test_a_layer_without_a_model_has_no_configuration(client):
    reply = ask(client, "layer", run="healthy/gradscope", layer="dense_1")
    told = reply.get_json()
    assert told["class"] is None and told["config"] == {}
    assert not told["has_model"]
    assert told["variables"][0]["histograms"] == []


def test_a_series_is_what_gradscope_read_returns(client, logdir):
    record = gradscope.read(logdir / "detailed")
    reply = ask(client, "series", rows="layers", only="dense_2")
    _, steps, values = parse(reply.data)
    np.testing.assert_array_equal(steps, record.steps)
    for row, statistic in enumerate(schema.VARIABLE_COLUMNS):
        expected = record.by_layer(statistic)[:, 1]
        np.testing.assert_array_equal(values[row], expected)
    reply = ask(client, "series", rows="activations", only="dense_2/relu")
    _, _, values = parse(reply.data)
    np.testing.assert_array_equal(values[2], record["zero_fraction"][:, 1])


def test_a_matrix_of_one_activation_has_only_its_units(client, logdir):
    steps, expected = gradscope.read(logdir / "detailed").occasional("units")
    reply = ask(
        client,
        "matrix",
        rows="units",
        statistic="unit_dead",
        only="dense_2/relu",
    )
    _, told, values = parse(reply.data)
    np.testing.assert_array_equal(told, steps)
    np.testing.assert_array_equal(values, expected[:, 64:192, 1].T)


def test_histograms_are_counts_in_the_buckets_of_the_writer(client):
    reply = ask(
        client, "histograms", variable="dense_1/kernel", kind="gradients"
    )
    head, steps, values = parse(reply.data)
    np.testing.assert_array_equal(steps, np.arange(0, 400, 20))
    assert head[0] == histogram_buckets.COUNT - 1
    assert np.all(values[histogram_buckets.ZERO] == 100)
    middle = 2 * (-8 - histogram_buckets.LOWEST_EXPONENT)
    assert values[histogram_buckets.ZERO + 1 + middle, 0] == 50
    assert values[histogram_buckets.ZERO - 1 - middle, 0] == 50
    # A factor of 2 in 50 steps: an octave, two buckets; seven in 380.
    assert values[histogram_buckets.ZERO + 1 + middle - 2 * 7, -1] == 50


def more(client, head, last, **query):
    query = {"statistic": "gradient_norm", "rows": "layers", **query}
    return parse(ask(client, "matrix", after=last, mark=head[4], **query).data)


def test_only_what_is_new_is_sent(client, monkeypatch):
    query = {"statistic": "gradient_norm", "rows": "layers"}
    whole = parse(ask(client, "matrix", **query).data)
    # 24 + 100 x (8 + 4 x 6 variables) bytes hold a hundred columns.
    monkeypatch.setattr(matrix, "MAX_BYTES", 24 + 100 * 32)
    head, steps, values = parse(ask(client, "matrix", **query).data)
    assert head[1:4] == (100, 0, 400)
    parts = [values]
    while head[2] + head[1] < head[3]:
        head, steps, values = more(client, head, int(steps[-1]))
        parts.append(values)
    np.testing.assert_array_equal(np.hstack(parts), whole[2])
    head, steps, values = more(client, head, int(steps[-1]))
    assert head[1:4] == (0, 400, 400)


def test_a_mark_that_is_not_the_same_begins_again(client):
    head, _, _ = parse(
        ask(client, "matrix", statistic="gradient_norm", rows="layers").data
    )
    wrong = (*head[:4], head[4] ^ 1)
    head, _, values = more(client, wrong, 399)
    assert head[2] == 0 and values.shape == (3, 400)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_restart_changes_the_mark(provider, tmp_path):
    described = runs.network(1)
    numbers = runs.statistics(np.full((60, 2), 0.5))
    runs.write(tmp_path, "a", described, range(60), numbers)
    client = client_of(loaded(tmp_path, provider))
    query = {
        "statistic": "gradient_norm",
        "rows": "layers",
        "run": "a/gradscope",
    }
    head, _, _ = parse(ask(client, "matrix", **query).data)
    again = {"begun": runs.WALL_TIME + 1000}
    runs.write(tmp_path, "a", described, range(30, 90), numbers * 2, **again)
    client = client_of(loaded(tmp_path, provider))
    head, steps, values = more(client, head, 59, run="a/gradscope")
    # The steps from 30 on were made again, so that all is sent.
    assert head[2] == 0 and steps.tolist() == list(range(90))
    assert (values[:, 30:] == 2 * values[:, :1]).all()


def test_a_preview_has_some_steps_of_all_rows(sources):
    client = client_of(sources["rust"])
    full = parse(
        ask(client, "matrix", statistic="gradient_rms", rows="layers").data
    )
    fresh = client_of(sources["rust"])
    few = parse(
        ask(
            fresh,
            "matrix",
            statistic="gradient_rms",
            rows="layers",
            preview=1,
        ).data
    )
    assert few[0][0] == 3 and few[0][1] == run_data.PREVIEW
    columns = np.searchsorted(full[1], few[1])
    np.testing.assert_array_equal(few[2], full[2][:, columns])


def test_runs_are_not_sent_again_while_nothing_changes(client):
    first = client.get(f"{BASE}/runs")
    mark = first.headers["X-Gradscope-Mark"]
    again = client.get(f"{BASE}/runs", query_string={"known": mark})
    assert again.get_json() is None
    other = client.get(f"{BASE}/runs", query_string={"known": "0"})
    assert other.get_json() == first.get_json()


@pytest.mark.parametrize(
    "route, change, status, message",
    [
        ("layer", {"layer": None}, 400, "`layer` is missing"),
        (
            "layer",
            {"layer": "dense_9"},
            404,
            "`layer` must be a layer or a row of the run 'detailed/gradscope', "
            "as listed by `runs`; got 'dense_9'.",
        ),
        ("layer", {"run": "nope"}, 404, "no run 'nope' was recorded"),
        ("series", {"only": "dense_9"}, 404, "`only` must be a layer or a row"),
        (
            "series",
            {"rows": "units"},
            400,
            "`rows` must be one of layers, variables, activations, state; "
            "got 'units'",
        ),
        (
            "histograms",
            {"kind": "losses"},
            400,
            "`kind` must be one of gradients, weights, updates; got 'losses'",
        ),
        (
            "histograms",
            {"variable": "dense_9/kernel"},
            404,
            "no histograms of gradients of 'dense_9/kernel' were recorded in "
            "'detailed/gradscope'. `layer` lists the recorded ones.",
        ),
        (
            "matrix",
            {"after": "soon"},
            400,
            "`after` must be an integer up to 2**53, as in `after=390`; "
            "got 'soon'.",
        ),
        ("matrix", {"after": "9" * 30}, 400, "up to 2**53"),
        ("matrix", {"only": "dense_9"}, 404, "`only` must be a layer or a row"),
        ("matrix", {"mark": "1.5"}, 400, "`mark` must be an integer"),
    ],
)
def test_a_bad_request_says_what_is_wrong(
    client, route, change, status, message
):
    good = {
        "layer": {"layer": "dense_1"},
        "series": {"rows": "layers", "only": "dense_1"},
        "histograms": {"variable": "dense_1/kernel", "kind": "gradients"},
        "matrix": {"statistic": "gradient_norm", "rows": "layers"},
    }[route]
    query = {k: v for k, v in {**good, **change}.items() if v is not None}
    response = ask(client, route, **query)
    assert response.status_code == status
    assert message in response.text


@pytest.mark.parametrize("owner", ["layer", "name"])  # name: of older versions
def test_histograms_say_how_many_were_sampled_away(tmp_path, owner):
    described = runs.network(1)
    histograms = runs.histograms(described, every=1)

    def panels(step):
        ratios = [
            event_writer.scalar_value(
                f"ratios/{getattr(v, owner)}/gradient_to_weight", 0.1
            )
            for v in described.variables[:1]
        ]
        return histograms(step) + ratios

    numbers = runs.statistics(runs.noisy(range(120), 2, 0.5))
    runs.write(
        tmp_path, "detailed", described, range(120), numbers, panels=panels
    )
    # TensorBoard's data server keeps 100, its own reader 500.
    for provider, kept in (("rust", 100), ("python", 120)):
        client = client_of(loaded(tmp_path, provider))
        reply = ask(
            client, "histograms", variable="dense_1/kernel", kind="weights"
        )
        head, steps, _ = parse(reply.data)
        assert (len(steps), head[5]) == (kept, 120)
