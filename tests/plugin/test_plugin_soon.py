"""What takes long is answered soon, and made beside."""

import json
import threading

import numpy as np
import pytest
import runs
from plugin_client import (
    BASE,
    PROVIDERS,
    CountingProvider,
    client_of,
    loaded,
    parse,
)

from gradscope import diagnosis
from gradscope_plugin.replies import answer_queue
from gradscope_plugin.runs import data_provider, run_data

COUNT = 6


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory with six runs of one network, and another."""
    directory = tmp_path_factory.mktemp("logs")
    for number in range(COUNT):
        runs.healthy(directory, f"run_{number}", layers=3, steps=100)
    runs.vanishing(directory, "zz_other", layers=5)
    return directory


@pytest.fixture(scope="module")
def sources(logdir):
    return {name: loaded(logdir, name) for name in PROVIDERS}


@pytest.fixture(params=PROVIDERS)
def source(request, sources):
    return sources[request.param]


def ask(client, path, **query):
    return client.get(f"{BASE}/{path}", query_string={"soon": 1, **query})


def whole(listed):
    """Returns runs with what they have in common with others, by name."""
    found = {}
    for run in listed:
        like = found.get(run.pop("like", None), {})
        found[run["name"]] = {**like, **run}
    return found


def test_runs_of_one_network_tell_it_once(source):
    client = client_of(source)
    expected = {r["name"]: r for r in client.get(f"{BASE}/runs").get_json()}
    reply = ask(client, "runs")
    listed = reply.get_json()
    assert ["variables" in run for run in listed] == [
        True,
        *[False] * (COUNT - 1),
        True,
    ]
    assert whole(listed) == expected
    mark = reply.headers["X-Gradscope-Mark"]
    assert ask(client, "runs", known=mark).get_json() is None


def test_what_is_known_of_runs_comes_first_and_all_of_it_later(source):
    client = client_of(source)
    expected = {r["name"]: r for r in client.get(f"{BASE}/runs").get_json()}
    client = client_of(source)
    for _ in range(50):
        found = whole(ask(client, "runs").get_json())
        assert list(found) == list(expected)
        pending = [run for run in found.values() if run.pop("pending", False)]
        # The number of steps is right from the first time on.
        for run in pending:
            if "steps" in run:
                same = expected[run["name"]]
                assert run["steps"] == same["steps"]
                assert run["variables"] == same["variables"]
        if not pending:
            break
    assert found == expected


def test_a_list_is_not_read_beyond_its_time(sources):
    counting = CountingProvider(sources["rust"])
    reader = run_data.Runs(counting)
    told = reader.list_runs(_plugin_context(), "", within=0)
    assert [one.fields.get("pending") for one in told] == [True] * (COUNT + 1)
    assert sum("steps" in one.fields for one in told) == 2
    # A run that has waited longest is read first.
    for _ in range(20):
        told = reader.list_runs(_plugin_context(), "", within=0)
    assert not any("pending" in one.fields for one in told)


def test_a_run_that_cannot_be_read_does_not_keep_others_waiting(tmp_path):
    runs.bad_schema(tmp_path)
    for number in range(3):
        runs.healthy(tmp_path, f"run_{number}", layers=1, steps=20)
    client = client_of(loaded(tmp_path, "rust"))
    for _ in range(20):
        listed = ask(client, "runs").get_json()
        if not any("pending" in run for run in listed):
            break
    assert ["error" in run for run in listed] == [True, False, False, False]
    assert not any("pending" in run for run in listed)


def _plugin_context():
    from tensorboard import context

    return context.RequestContext()


def test_what_takes_long_is_not_waited_for(source, monkeypatch):
    monkeypatch.setattr(answer_queue, "PATIENCE", 0.02)
    may_end = threading.Event()
    real = diagnosis.diagnose
    asked = []

    def slowly(record):
        asked.append(record.run)
        may_end.wait(30)
        return real(record)

    monkeypatch.setattr(diagnosis, "diagnose", slowly)
    client = client_of(source)
    run = "zz_other/gradscope"
    for _ in range(3):
        reply = ask(client, "findings", run=run)
        assert reply.status_code == 202
        assert reply.content_type.startswith("text/plain")
    may_end.set()
    monkeypatch.setattr(answer_queue, "PATIENCE", 30)
    reply = ask(client, "findings", run=run)
    assert reply.status_code == 200
    assert reply.get_json()["findings"]
    assert asked == [run]


@pytest.mark.parametrize("preview", [{}, {"preview": "1"}])
def test_numbers_made_beside_are_the_same(source, monkeypatch, preview):
    monkeypatch.setattr(answer_queue, "PATIENCE", 30)
    client = client_of(source)
    query = {"run": "run_1/gradscope", "statistic": "gradient_norm"}
    query |= {"rows": "layers", **preview}
    beside = ask(client, "matrix", **query)
    assert beside.status_code == 200
    client = client_of(source)
    expected = client.get(f"{BASE}/matrix", query_string=query)
    assert beside.data == expected.data


def test_what_went_wrong_beside_is_told_as_ever(source, monkeypatch):
    monkeypatch.setattr(answer_queue, "PATIENCE", 30)
    client = client_of(source)
    query = {"statistic": "gradient_norm", "rows": "layers"}
    reply = ask(client, "matrix", run="nobody", **query)
    assert reply.status_code == 404 and "nobody" in reply.text
    query["statistic"] = "nothing"
    reply = ask(client, "matrix", run="run_1/gradscope", **query)
    assert reply.status_code == 400 and "nothing" in reply.text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_of_a_run_too_large_for_one_reply_as_many_steps_are_read_as_fit(
    tmp_path, monkeypatch, provider
):
    described = runs.network(5)
    numbers = runs.statistics(runs.noisy(range(200), 10, 0.5))
    runs.write(tmp_path, "large", described, range(200), numbers)
    source = loaded(tmp_path, provider)
    step_bytes = 4 * 10 * len(runs.COLUMNS)
    monkeypatch.setattr(data_provider, "ROOM", 50 * step_bytes)
    client = client_of(source)
    (run,) = client.get(f"{BASE}/runs").get_json()
    assert (run["steps"], run["readable"], run["recorded"]) == (50, 50, 200)
    query = {"run": run["name"], "statistic": "gradient_norm"}
    query["rows"] = "variables"
    reply = client.get(f"{BASE}/matrix", query_string=query)
    head, steps, values = parse(reply.data)
    assert head[1] == head[3] == len(steps) == 50
    assert steps[-1] == 199
    column = runs.COLUMNS.index("gradient_norm")
    expected = numbers[steps.astype(int), :, column].T
    np.testing.assert_array_equal(values, expected)
    # All families have the same of the steps.
    record = run_data.Runs(source).record(
        _plugin_context(), "", run["name"], "variables"
    )
    np.testing.assert_array_equal(record["recorded"], record.steps + 1)


def test_answers_are_made_once_for_all_who_ask_meanwhile(monkeypatch):
    monkeypatch.setattr(answer_queue, "PATIENCE", 0.01)
    may_end, made = threading.Event(), []
    beside = answer_queue.AnswerQueue("test")

    def make():
        made.append(1)
        may_end.wait(30)
        return "answer"

    for _ in range(3):
        with pytest.raises(answer_queue.NotYet):
            beside.get("key", make)
    may_end.set()
    monkeypatch.setattr(answer_queue, "PATIENCE", 30)
    assert beside.get("key", make) == "answer"
    assert len(made) == 1
    assert beside.get("key", make) == "answer"
    assert len(made) == 2, "what was fetched is not kept"


def test_an_answer_that_nobody_fetched_is_forgotten(monkeypatch):
    monkeypatch.setattr(answer_queue, "PATIENCE", 0)
    monkeypatch.setattr(answer_queue, "_EXPIRY", 0)
    beside, answers = answer_queue.AnswerQueue("test"), iter("ab")
    may_end = threading.Event()

    def make():
        may_end.wait(30)
        return next(answers)

    with pytest.raises(answer_queue.NotYet):
        beside.get("key", make)
    may_end.set()
    beside._pool.submit(lambda: None).result()
    monkeypatch.setattr(answer_queue, "PATIENCE", 30)
    assert beside.get("key", make) == "b"


def test_lists_that_are_sent_are_json(source):
    reply = ask(client_of(source), "runs")
    assert reply.content_type == "application/json"
    json.loads(reply.data)
