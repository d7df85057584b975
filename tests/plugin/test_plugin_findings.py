"""Findings through TensorBoard's own application and both data providers."""

import dataclasses
import importlib.resources
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
    plugin_context,
)

import gradscope
from gradscope import diagnosis
from gradscope.format import json_tensor, schema
from gradscope.format.epoch_logs import Log
from gradscope.recording import event_writer
from gradscope_plugin.replies import findings
from gradscope_plugin.runs import data_provider, run_data


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory with runs of every kind."""
    directory = tmp_path_factory.mktemp("logs")
    runs.healthy(directory)
    runs.vanishing(directory)
    runs.abnormal(directory)
    runs.hostile(directory)
    runs.bad_schema(directory)
    runs.layered(directory)
    probed(directory)
    return directory


def probed(directory):
    """Writes a run whose probes differ between training and inference."""
    described, steps = runs.network(2), np.arange(100)
    numbers = runs.statistics(runs.noisy(steps, 4, 0.5))
    probe = {step: np.array([[0.5, 5.0]]) for step in range(0, 100, 10)}
    runs.write(directory, "probed", described, steps, numbers, probe=probe)


@pytest.fixture(scope="module")
def sources(logdir):
    return {name: loaded(logdir, name) for name in PROVIDERS}


@pytest.fixture(params=PROVIDERS)
def client(request, sources):
    return client_of(sources[request.param])


def get_findings(client, run):
    """Returns what `/findings` tells of a run."""
    response = client.get(f"{BASE}/findings", query_string={"run": run})
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    reply = response.get_json()
    assert set(reply) == {
        "version",
        "steps",
        "sampled",
        "nonfinite",
        "findings",
        "problem",
    }
    assert reply["version"] == 1
    return reply


def test_a_healthy_run_has_none(client, logdir):
    reply = get_findings(client, "healthy/gradscope")
    assert reply["findings"] == []
    assert reply["steps"] == len(gradscope.read(logdir / "healthy").steps)
    assert reply["sampled"] is False and reply["problem"] is None


@pytest.mark.parametrize(
    "run, kinds",
    [
        ("vanishing", {"vanishing-gradient"}),
        ("abnormal", {"non-finite", "zero-gradient"}),
        ("layered", {"non-finite", "dropout-keep-prob"}),
        ("probed", {"train-inference-mismatch"}),
    ],
)
def test_they_are_those_of_gradscope_diagnose(client, logdir, run, kinds):
    reply = get_findings(client, f"{run}/gradscope")
    assert reply["problem"] is None
    assert {one["kind"] for one in reply["findings"]} == kinds
    expected = [
        {**finding.to_dict(), "run": f"{run}/gradscope"}
        for finding in gradscope.diagnose(logdir / run)
    ]
    for finding in reply["findings"]:
        assert finding.pop("shown_by")["statistics"]
    assert reply["findings"] == expected
    origin = gradscope.read(logdir / run).first_nonfinite()
    assert reply["nonfinite"] == (origin.headline if origin else None)


def test_of_a_sampled_run_it_is_told(tmp_path):
    runs.vanishing(tmp_path)
    for provider in PROVIDERS:
        client = client_of(loaded(tmp_path, provider, samples=30))
        reply = get_findings(client, "vanishing/gradscope")
        assert reply["sampled"] is True
        assert reply["steps"] == 30
        assert reply["findings"][0]["kind"] == "vanishing-gradient"


def test_a_run_that_cannot_be_read_is_a_problem_and_no_error(client):
    reply = get_findings(client, "newer/gradscope")
    assert reply["findings"] == []
    assert "format 99" in reply["problem"]


@pytest.mark.parametrize(
    "query, status, message",
    [
        ({}, 400, "`run` is missing: add `run=...`"),
        ({"run": "nope"}, 404, "no run 'nope' was recorded. `runs` lists all"),
    ],
)
def test_a_bad_request_says_what_is_wrong(client, query, status, message):
    response = client.get(f"{BASE}/findings", query_string=query)
    assert response.status_code == status
    assert message in response.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_reading_is_allowed(client, method):
    response = client.open(f"{BASE}/findings", method=method)
    assert response.status_code == 405


def test_a_diagnosis_that_fails_is_a_problem_and_no_error(
    client, monkeypatch, caplog
):
    def fail(record):
        raise StopIteration("secret /home/me")

    monkeypatch.setattr(diagnosis, "diagnose", fail)
    reply = get_findings(client, "healthy/gradscope")
    assert reply["findings"] == []
    assert "could not be diagnosed" in reply["problem"]
    assert "secret" not in json.dumps(reply)
    assert "secret" in caplog.text
    monkeypatch.undo()
    assert get_findings(client, "healthy/gradscope")["problem"] is None


def test_numbers_that_json_does_not_have_are_null(client, monkeypatch):
    found = gradscope.Finding(
        kind="non-finite",
        severity="error",
        run="",
        layer=None,
        steps=(0, 1),
        what="",
        evidence={"loss": np.nan, "peak": np.float32(np.inf)},
        cause="",
        remedy="",
    )
    monkeypatch.setattr(diagnosis, "diagnose", lambda record: [found])
    (told,) = get_findings(client, "healthy/gradscope")["findings"]
    assert told["evidence"] == {"loss": None, "peak": None}


def test_a_run_is_diagnosed_again_only_when_it_has_grown_or_restarted(
    tmp_path, monkeypatch
):
    described = runs.network(2)
    numbers = runs.statistics(np.full((30, 4), 0.5))
    runs.write(tmp_path, "growing", described, range(10), numbers[:10])
    counted = []
    monkeypatch.setattr(
        diagnosis, "diagnose", lambda record: counted.append(record) or []
    )
    provider = CountingProvider(loaded(tmp_path, "python"))
    asked = findings.Findings(run_data.Runs(provider))

    def steps():
        text = asked.text(plugin_context(), "", "growing/gradscope")
        return json.loads(text)["steps"]

    assert [steps() for _ in range(3)] == [10, 10, 10]
    assert len(counted) == 1
    runs.write(tmp_path, "growing", described, range(10, 30), numbers[10:])
    provider._source = loaded(tmp_path, "python")
    assert [steps() for _ in range(3)] == [30, 30, 30]
    assert len(counted) == 2
    # The same steps are made again, later.
    begun = runs.WALL_TIME + 1000
    more = range(10, 30), numbers[10:]
    runs.write(tmp_path, "growing", described, *more, begun=begun)
    provider._source = loaded(tmp_path, "python")
    assert [steps() for _ in range(3)] == [30, 30, 30]
    assert len(counted) == 3


def test_others_are_answered_during_a_diagnosis(sources, monkeypatch):
    begun, end = threading.Event(), threading.Event()

    def slow(record):
        begun.set()
        assert end.wait(60)
        return []

    monkeypatch.setattr(diagnosis, "diagnose", slow)
    client = client_of(sources["python"])
    replies = []
    asking = [
        threading.Thread(
            target=lambda: replies.append(
                get_findings(client, "healthy/gradscope")
            )
        )
        for _ in range(2)
    ]
    for thread in asking:
        thread.start()
    try:
        assert begun.wait(60)
        assert len(client.get(f"{BASE}/runs").get_json()) == 7
        query = {
            "run": "healthy/gradscope",
            "statistic": "gradient_norm",
            "rows": "layers",
        }
        matrix = client.get(f"{BASE}/matrix", query_string=query)
        assert matrix.status_code == 200
        assert not replies
    finally:
        end.set()
        for thread in asking:
            thread.join()
    assert len(replies) == 2


def test_rules_get_all_that_was_recorded(tmp_path, monkeypatch):
    runs.layered(tmp_path)
    described = gradscope.read(tmp_path / "layered").schema
    log = Log(step=400, epoch=0, values={"loss": 0.5, "val_loss": 0.6})
    file = event_writer.EventWriter(
        str(tmp_path / "layered" / schema.DIRECTORY)
    )
    logged = event_writer.logs_value(described.id, log)
    # And what a later gradscope may add.
    later = logged._replace(tag=schema.tag("later", described.id))
    file.write(400, runs.WALL_TIME + 400, [logged, later])
    file.close()
    passed = {}
    from_series = data_provider.joining.from_series

    def note(run, series, *more):
        passed.update(series)
        return from_series(run, series, *more)

    monkeypatch.setattr(data_provider.joining, "from_series", note)
    for provider in PROVIDERS:
        passed.clear()
        reader = run_data.Runs(loaded(tmp_path, provider))
        record = reader.full_record(plugin_context(), "", "layered/gradscope")
        assert schema.tag("later", described.id) in passed
        (point,) = passed[schema.tag("logs", described.id)]
        assert Log.from_json(json_tensor.to_text(point[2])) == log
        expected = gradscope.read(tmp_path / "layered")
        assert record.logs == expected.logs
        assert set(record.families) == set(expected.families)
        for family, values in expected.families.items():
            np.testing.assert_array_equal(record.families[family], values)
        for family in schema.OCCASIONAL:
            for got, wanted in zip(
                record.occasional(family),
                expected.occasional(family),
                strict=True,
            ):
                np.testing.assert_array_equal(got, wanted)
        assert record.schema == expected.schema


def test_what_the_heatmap_has_read_is_not_read_again(sources):
    provider = CountingProvider(sources["python"])
    reader = run_data.Runs(provider)
    asked = findings.Findings(reader)
    name = "probed/gradscope"
    reader.record(plugin_context(), "", name, "variables")
    for _ in range(2):
        asked.text(plugin_context(), "", name)
    families = [tag.split("/")[1] for tag in provider.read]
    assert families.count("variables") == 1
    assert families.count("probe") == 1


def test_every_field_of_a_finding_is_documented(logdir):
    fields = {f.name for f in dataclasses.fields(gradscope.Finding)}
    (found,) = gradscope.diagnose(logdir / "vanishing")
    assert set(found.to_dict()) == {*fields, "message"}
    package = importlib.resources.files("gradscope_plugin")
    text = (package / "http_api.md").read_text()
    example = text.split("## `/findings`")[1].split("```json")[1]
    example = json.loads(example.split("```")[0])
    assert set(example["findings"][0]) == {*found.to_dict(), "shown_by"}


def test_the_page_is_told_where_to_look(client):
    (finding,) = get_findings(client, "vanishing/gradscope")["findings"]
    assert finding["shown_by"] == {
        "statistics": ["gradient_rms", "gradient_norm"],
        "role": None,
    }
