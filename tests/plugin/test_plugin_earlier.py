"""An earlier training of another model in the directory of a run."""

import pytest
import runs
from plugin_client import BASE, PROVIDERS, client_of, get_matrix, loaded

import gradscope

RUN = "replaced/gradscope"


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    runs.replaced(directory)
    runs.changed(directory)
    runs.restarted(directory)
    return directory


@pytest.fixture(scope="module")
def sources(logdir):
    return {name: loaded(logdir, name) for name in PROVIDERS}


@pytest.fixture(params=PROVIDERS)
def client(request, sources):
    return client_of(sources[request.param])


def listed(client, **query):
    """Returns the summaries by name, once no run is pending."""
    for _ in range(100):
        reply = client.get(f"{BASE}/runs", query_string=query).get_json()
        if not any(run.get("pending") for run in reply):
            return {run["name"]: run for run in reply}
    raise AssertionError(reply)


@pytest.mark.parametrize("query", [{}, {"soon": 1}])
def test_a_training_whose_steps_were_all_made_again_is_listed(client, query):
    found = listed(client, **query)
    name = f"{RUN}@{runs.network(3).id}"
    # A model that changed, or a run that was resumed, goes on.
    others = ["changed/gradscope", "restarted/gradscope"]
    assert list(found) == sorted([RUN, name, *others])
    assert found[name]["earlier_in"] == RUN
    assert "earlier_in" not in found[RUN]
    assert (found[name]["steps"], found[RUN]["steps"]) == (77, 90)
    assert found[name]["layers"] == ["dense_1", "dense_2", "dense_3"]
    assert found[RUN]["layers"] == ["conv_1", "conv_2", "conv_3", "conv_4"]


def test_all_routes_know_it(client, logdir):
    name = f"{RUN}@{runs.network(3).id}"
    steps, values = get_matrix(client, name)
    assert values.shape == (6, 77) and list(steps) == list(range(77))
    _, values = get_matrix(client, RUN)
    assert values.shape == (8, 90)

    def ask(route, **query):
        query = {"run": name, **query}
        reply = client.get(f"{BASE}/{route}", query_string=query)
        assert reply.status_code == 200, reply.text
        return reply

    assert ask("findings").get_json()["steps"] == 77
    assert ask("layer", layer="dense_1").get_json()["layer"] == "dense_1"
    ask("series", rows="layers", only="dense_2")
    wrong = client.get(f"{BASE}/findings", query_string={"run": f"{RUN}@0"})
    assert wrong.status_code == 404


def test_a_record_names_the_schemas_that_were_replaced(logdir):
    assert gradscope.read(logdir / "replaced").replaced == (runs.network(3).id,)
    for name in ("changed", "restarted"):
        assert gradscope.read(logdir / name).replaced == ()
