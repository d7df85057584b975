"""The route of a training as a whole, through both data providers."""

import numpy as np
import pytest
import runs
import trained_runs
from plugin_client import (
    BASE,
    PROVIDERS,
    CountingProvider,
    client_of,
    get_matrix,
    loaded,
)

RUN = "trained/gradscope"


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    trained_runs.trained(directory, scaled=True)
    trained_runs.trained(directory, "nan", steps=200, nan_at=6)
    runs.healthy(directory, layers=2, steps=60)
    return directory


@pytest.fixture(scope="module")
def sources(logdir):
    return {name: loaded(logdir, name) for name in PROVIDERS}


@pytest.fixture(params=PROVIDERS)
def client(request, sources):
    return client_of(sources[request.param])


def curves(client, run=RUN, **query):
    reply = client.get(f"{BASE}/curves", query_string={"run": run, **query})
    assert reply.status_code == 200, reply.text
    assert reply.content_type == "application/json"
    return reply.get_json()


def test_losses_rates_and_epochs_are_those_of_the_record(client):
    told = curves(client)
    steps = runs.dense_then_sparse(400)
    assert told["steps"] == steps.tolist()
    assert (told["start"], told["total"]) == (0, len(steps))
    assert set(told["curves"]) == {
        "loss",
        "learning_rate",
        "global_gradient_norm",
        "loss_scale",
        "skipped",
    }
    np.testing.assert_allclose(
        told["curves"]["loss"], trained_runs.loss(steps), rtol=1e-5
    )
    assert told["curves"]["learning_rate"][0] == 0.1
    assert told["curves"]["skipped"][-1] == 3
    assert [epoch["step"] for epoch in told["epochs"]] == list(
        range(40, 400, 40)
    )
    first = told["epochs"][0]
    assert first["epoch"] == 0
    assert first["values"]["val_loss"] == pytest.approx(
        1.2 * trained_runs.loss(40), rel=1e-5
    )


def test_a_loss_that_is_nan_is_told(client):
    loss = curves(client, "nan/gradscope")["curves"]["loss"]
    assert loss[6:] == ["NaN"] * (len(loss) - 6)
    assert all(isinstance(number, float) for number in loss[:6])


def test_a_run_without_losses_has_no_curve_of_them(client):
    told = curves(client, "healthy/gradscope")
    assert told["curves"] == {} and told["epochs"] == []


def test_only_what_is_new_is_sent(client):
    whole = curves(client)
    none = curves(client, after=390, mark=whole["mark"])
    assert none["steps"] == [] and none["start"] == whole["total"]
    assert none["epochs"] == whole["epochs"]
    again = curves(client, after=390, mark=whole["mark"] ^ 1)
    assert again == whole


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nothing_is_read_again_for_it(sources, provider):
    source = CountingProvider(sources[provider])
    client = client_of(source)
    get_matrix(client, RUN)
    before = list(source.read)
    assert curves(client)["epochs"]
    assert source.read == before


@pytest.mark.parametrize(
    "query, status, message",
    [
        ({}, 400, "`run` is missing: add `run=...`"),
        ({"run": "nope"}, 404, "no run 'nope' was recorded"),
        ({"run": RUN, "after": "x"}, 400, "`after` must be an integer"),
    ],
)
def test_a_bad_request_says_what_is_wrong(client, query, status, message):
    reply = client.get(f"{BASE}/curves", query_string=query)
    assert reply.status_code == status
    assert message in reply.text
