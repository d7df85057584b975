"""What the plugin reads, and how often."""

import json

import numpy as np
import runs
from plugin_client import (
    CountingProvider,
    loaded,
    plugin_context,
)

from gradscope.format import schema
from gradscope_plugin.runs import data_provider, run_data


def test_unchanged_runs_are_read_once_and_one_tag_at_a_time(sources):
    provider = CountingProvider(sources["python"])
    reader = run_data.Runs(provider)
    context = plugin_context()
    for _ in range(2):
        reader.summaries(context, "")
        reader.record(context, "", "healthy/gradscope", "variables")
    families = [tag.split("/")[1] for tag in provider.read]
    assert families.count("variables") == 1


def test_a_preview_right_after_the_list_of_runs_lists_no_tags(
    sources, monkeypatch
):
    listed = []

    class Listing(CountingProvider):
        def list_tensors(self, *args, **kwargs):
            listed.append(kwargs)
            return super().list_tensors(*args, **kwargs)

    reader = run_data.Runs(Listing(sources["python"]))
    context, name = plugin_context(), "healthy/gradscope"
    reader.list_runs(context, "")
    for experiment, run, lists in [("", name, 1), ("other", name, 2)]:
        assert reader.preview(context, experiment, run, "variables")
        assert len(listed) == lists
    assert reader.preview(context, "", "no such run", "variables") is None
    assert len(listed) == 3
    monkeypatch.setattr(data_provider, "_RECENT", 0)
    assert reader.preview(context, "", name, "variables")
    assert len(listed) == 4


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


def test_a_run_that_grew_or_restarted_is_listed_anew(tmp_path):
    provider = CountingProvider(None)
    reader = run_data.Runs(provider)

    def listed(steps, begun):
        numbers = runs.statistics(np.full((len(steps), 4), 0.5))
        described = runs.network(2)
        runs.write(tmp_path, "a", described, steps, numbers, begun=begun)
        provider._source = loaded(tmp_path, "python")
        (run,) = reader.summaries(plugin_context(), "")
        return run["steps"], run["last_wall_time"]

    begun = runs.WALL_TIME
    assert listed(range(10), begun) == (10, begun + 9)
    assert listed(range(10, 30), begun) == (30, begun + 29)
    # The same steps are made again, later.
    assert listed(range(10, 30), begun + 100) == (30, begun + 129)
