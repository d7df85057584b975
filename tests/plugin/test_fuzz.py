"""Some hundred of the inputs of `benchmarks.fuzz`, and some of hypothesis."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gradscope
from benchmarks.fuzz import mutating, seeds, targets
from benchmarks.fuzz.__main__ import TARGETS, Counted, Inputs, feed, table
from benchmarks.fuzz.provider import Memory
from gradscope.format import schema
from gradscope.reading import joining

NET = seeds.described()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return Inputs(1, str(tmp_path_factory.mktemp("run")))


@pytest.mark.parametrize(
    "name, count",
    [
        ("file", 150),
        ("record", 60),
        ("schema", 300),
        ("run", 8),
        ("query", 150),
    ],
)
def test_no_input_is_a_crash(inputs, name, count):
    told = []
    counted = feed(getattr(inputs, name), count, told.append)
    assert not counted.crashes, told[0]
    assert counted.inputs == count and counted.refused < count
    assert name in TARGETS


def test_a_crash_is_counted_and_told():
    told = []

    def crash():
        raise IndexError("7")

    counted = feed(crash, 3, told.append)
    assert counted.crashes.total() == 3 and len(counted.crashes) == 1
    (text,) = told
    assert "IndexError: 7" in text
    lines = table({"file": counted, "query": Counted(5)}).splitlines()
    assert lines[2].startswith("| file | 3 | 0 | 3 |")
    assert lines[-1].startswith("| all | 8 | | 3 |")


numbers = st.integers(-(2**63), 2**63 - 1)
points = st.tuples(
    numbers | st.integers(0, 5),
    st.floats() | st.just(1.0),
    st.sampled_from(
        [
            np.ones([4, len(schema.VARIABLE_COLUMNS)], np.float32),
            np.full([4, len(schema.VARIABLE_COLUMNS)], 1e300),
            np.full([1, len(schema.RUN_COLUMNS)], math.inf, np.float32),
            np.zeros([0, 3]),
            b"{}",
            NET.to_json().encode(),
        ]
    ),
)
tags = st.sampled_from(
    [schema.tag(family, NET.id) for family in (*NET.columns, "logs", "new")]
)


@given(st.dictionaries(tags, st.lists(points, min_size=1, max_size=8)))
@settings(max_examples=100)
def test_points_in_any_order_are_a_record_or_none(series):
    described = (0, 0.0, NET.to_json().encode())
    series = {schema.tag("schema", NET.id): [described], **series}
    with np.errstate(all="ignore"):
        record = joining.from_series("run", series)
    if record is not None:
        assert (np.diff(record.steps.astype(float)) >= 0).all()
        assert all(
            len(v) == len(record.steps) for v in record.families.values()
        )


@pytest.mark.parametrize("value", [np.ones(3), 7, None, [1]])
def test_a_schema_that_is_no_text_is_refused(value):
    series = {schema.tag("schema", NET.id): [(0, 0.0, value)]}
    with pytest.raises(schema.SchemaError, match="not a gradscope schema: an"):
        joining.from_series("run", series)


queries = st.dictionaries(
    st.sampled_from(
        ["run", "rows", "statistic", "only", "after", "mark", "preview", "kind"]
    )
    | st.text(max_size=5),
    st.sampled_from(["run", "layers", "units", "gradient_norm", "dense_1"])
    | st.integers().map(str)
    | st.text(max_size=30),
)


@given(
    st.sampled_from(
        ["runs", "matrix", "series", "curves", "layer", "histograms"]
    ),
    queries,
)
@settings(max_examples=100)
@example("matrix", {"run": ""})
@example("series", {"run": "run", "rows": "layers", "only": ""})
def test_no_query_is_a_crash(route, query):
    targets.ask(client(), route, query)


def client(known=[]):  # noqa: B006  (made once)
    if not known:
        events = seeds.events(NET, range(4))
        known.append(targets.client_of(Memory({"run": events})))
    return known[0]


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": {"a": mutating.spoilt_json}},
        {"variables": [("a", (2**53 + 1,))]},
        {"variables": [("a", (-1,))]},
        {"variables": [("a", (2**40, 2**40))]},
        {"activations": [-1]},
        {"activations": [2**60]},
    ],
)
def test_sizes_and_depths_that_nobody_wrote_are_refused(change):
    data = json.loads(NET.to_json())
    ((key, value),) = change.items()
    if key == "optimizer":
        nested: list = []
        for _ in range(500):
            nested = [nested]
        data[key] = {"a": nested}
    elif key == "variables":
        data[key][0]["shape"] = list(value[0][1])
    else:
        data[key][0]["units"] = value[0]
    with pytest.raises(
        schema.SchemaError, match="damaged gradscope schema"
    ) as e:
        schema.Schema.from_json(json.dumps(data))
    assert len(str(e.value)) < 300


def test_an_activation_without_units_has_no_groups():
    assert schema.Activation("a", "relu", 0).groups == ()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_counts_and_times_that_are_no_numbers_hide_no_run(number):
    bad = seeds.events(NET, range(3))
    event = seeds.event_writer.tf.compat.v1.Event.FromString(bad[-1])
    event.wall_time = number
    for value in event.summary.value:
        if value.tag == schema.tag("run", NET.id):
            row = np.full([1, len(schema.RUN_COLUMNS)], number, "<f4")
            value.tensor.tensor_content = row.tobytes()
    bad[-1] = event.SerializeToString()
    good = seeds.events(NET, range(4))
    served = targets.client_of(Memory({"bad": bad, "good": good}))
    targets.show(served, "bad")
    listed = served.get(f"{targets.BASE}/runs").get_json()
    assert [run["name"] for run in listed] == ["bad", "good"]
    assert listed[0]["recorded"] is None
    assert listed[0]["last_wall_time"] == 0


def test_infinities_of_a_configuration_are_texts():
    data = json.loads(NET.to_json())
    data["optimizer"]["config"]["clipnorm"] = math.inf
    data["model"]["layers"][0]["config"] = {"rate": [math.nan, 0.5]}
    described = schema.Schema.from_json(json.dumps(data))
    events = seeds.events(described, range(2))
    served = targets.client_of(Memory({"run": events}))
    query = {"run": "run", "layer": "dense_1"}
    told = served.get(f"{targets.BASE}/layer", query_string=query).get_json()
    assert told["config"] == {"rate": ["NaN", 0.5]}
    assert told["optimizer"]["config"]["clipnorm"] == "Infinity"


def test_seeds_are_whole(tmp_path):
    content = seeds.framed(seeds.events(NET, range(6)))
    targets.read_file(content, str(tmp_path))
    record = gradscope.read(tmp_path)
    assert len(record.steps) == 6 and not record.damage
    assert len(record.logs) == 6
